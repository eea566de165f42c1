import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue

/// What happens when rows change between a statement's snapshot and its locks.
@Suite(.database, .timeLimit(.minutes(10))) struct SnapshotRaceTests {
  /// The lane allows two jobs, so its lock does not keep the second claim away from the first one's job.
  @Test(arguments: [false, true])
  func aClaimWithAnOldSnapshotTakesNoJobAgain(isFinished: Bool) async throws {
    try await QueueDatabase.with { database in
      let lane = try await database.lane(limits: LaneLimits(cap: 2))
      let past = Date().addingTimeInterval(-100)
      let ids = try await database.enqueue(
        (0..<2).map {
          NewJob(siteID: 1, laneID: lane, kind: "test", dueAt: past.addingTimeInterval(Double($0)))
        }
      ).compactMap(\.self)
      let (prompt, late) = (ManualNode(database.configuration), ManualNode(database.configuration))
      try await prompt.promote()
      let gate = try await Gate.close(before: "queue_sites", in: database)
      try await gate.stops(late.session)

      async let lateClaim = late.claim(1, quantum: 1)
      try await gate.reached()
      let first = try #require(try await prompt.claim(1, quantum: 1).jobs.first)
      #expect(first.id == ids[0])
      if isFinished { try await prompt.settle([first.lease], .finished) }
      // A claim moves its lanes to the end of their row, which keeps older statements away; a clock that was set back
      // does not.
      try await database.pool.execute("UPDATE lanes SET runnable_at = statement_timestamp() - interval '1 h'")
      try await gate.open()

      let answer = try await lateClaim
      #expect(answer.lanes == 1)
      #expect(answer.jobs.isEmpty)
      #expect(try await database.inconsistencies() == [])
      // Nothing is lost either: the next snapshot sees the second job.
      #expect(try await late.claim().jobs.map(\.id) == [ids[1]])
      #expect(try await database.inconsistencies() == [])
    }
  }

  /// The promotion locks the new version of the row, which its snapshot does not let it delete.
  @Test func aJobThatIsMovedWhileItIsPromotedStandsInOnePlace() async throws {
    try await QueueDatabase.with { database in
      let lane = try await database.lane()
      try await database.pool.execute(Enqueue.group(9, siteID: 1))
      let job = NewJob(
        siteID: 1,
        laneID: lane,
        groupID: 9,
        kind: "test",
        dueAt: Date().addingTimeInterval(-100)
      )
      let id = try #require(try await database.enqueue([job])[0])
      let node = ManualNode(database.configuration)
      let gate = try await Gate.close(before: "job_groups", in: database)
      try await gate.stops(node.session)

      async let promotion = node.promote()
      try await gate.reached()
      let moved = try await database.queue([:]).reschedule([id], to: Date().addingTimeInterval(-50))
      #expect(moved == 1)
      try await gate.open()

      let answer = try await promotion
      #expect(answer.moved == 0)
      #expect(answer.missed == 1)
      #expect(try await database.inconsistencies() == [])
      #expect(try await node.promote().moved == 1)
      #expect(try await node.claim().jobs.map(\.id) == [id])
      #expect(try await database.inconsistencies() == [])
    }
  }

  @Test func aJobThatIsPutOffWhileItIsPromotedWaits() async throws {
    try await QueueDatabase.with { database in
      let lane = try await database.lane()
      try await database.pool.execute(Enqueue.group(9, siteID: 1))
      let past = Date().addingTimeInterval(-100)
      let job = NewJob(siteID: 1, laneID: lane, groupID: 9, kind: "test", dueAt: past)
      let id = try #require(try await database.enqueue([job])[0])
      let node = ManualNode(database.configuration)
      let gate = try await Gate.close(before: "job_groups", in: database)
      try await gate.stops(node.session)

      async let promotion = node.promote()
      try await gate.reached()
      let moved = try await database.queue([:]).reschedule([id], to: Date().addingTimeInterval(3_600))
      #expect(moved == 1)
      try await gate.open()

      #expect(try await promotion.moved == 0)
      #expect(try await node.promote().moved == 0)
      #expect(try await node.claim().jobs.isEmpty)
      #expect(try await database.inconsistencies() == [])
    }
  }
}
