import FoundationEssentials
import Postgres
import ServiceTree
import Synchronization
import TestSupport
import Testing

@testable import JobQueue

/// Jobs are promoted and claimed a little before they are due, and never started before.
@Suite(.database, .timeLimit(.minutes(10))) struct LookaheadTests {
  @Test func aJobIsClaimedBeforeItsTimeAndWaitsForIt() async throws {
    try await QueueDatabase.with { database in
      let lane = try await database.lane(limits: LaneLimits(cap: 2))
      let dueAt = Date().addingTimeInterval(3_600)
      try await database.enqueue([
        NewJob(siteID: 1, laneID: lane, kind: "test", dueAt: dueAt), NewJob(siteID: 1, laneID: lane, kind: "test"),
      ])
      let node = ManualNode(database.configuration)
      let ahead = PromoteStatement.make(limit: 10, lookahead: .seconds(7_200), hooks: ClosingHooks())
      #expect(try PromoteStatement.answer(try await node.session.query(ahead)).moved == 2)
      let before = ContinuousClock.now
      let jobs = try await node.claim().jobs
      #expect(jobs.count == 2)
      // What is due starts at once; the rest waits, but never for longer than a second: the clock may have been set.
      #expect(jobs[0].startsAt == nil)
      let startsAt = try #require(jobs[1].startsAt)
      #expect(startsAt >= before + .seconds(1))
      #expect(startsAt <= ContinuousClock.now + .seconds(1))
    }
  }

  @Test func nothingStartsEarly() async throws {
    try await QueueDatabase.with { database in
      let count = 40
      let begin = Date().addingTimeInterval(0.5)
      var jobs: [NewJob] = []
      for number in 0..<count {
        let lane = try await database.lane("lane \(number % 8)", limits: LaneLimits(cap: 3))
        let dueAt = begin.addingTimeInterval(Double(number) * 0.007)
        jobs.append(NewJob(siteID: 1, laneID: lane, kind: "test", dueAt: dueAt))
      }
      try await database.enqueue(jobs)
      let earliness = Mutex<[Double]>([])
      let shutdown = Shutdown()
      let handler = ClosureHandler { job in
        let early = job.dueAt.timeIntervalSinceNow
        let isLast = earliness.withLock { earliness in
          earliness.append(early)
          return earliness.count == count
        }
        if isLast { shutdown.request() }
        return .finished()
      }
      let queue = database.queue(["test": handler]) { $0.lookahead = .milliseconds(50) }
      try await Shutdown.$current.withValue(shutdown) { try await queue.run() }
      let found = earliness.withLock { $0 }
      #expect(found.count == count)
      #expect(found.allSatisfy { $0 <= 0 }, "a job started \(found.max() ?? 0) s early")
      #expect(try await database.inconsistencies() == [])
    }
  }
}
