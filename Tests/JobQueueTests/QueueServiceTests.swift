import FoundationEssentials
import Logging
import Postgres
import ServiceTree
import Synchronization
import TestSupport
import Testing

@testable import JobQueue

/// The running queue: how ends are stored, and what it repairs by itself.
@Suite(.database, .timeLimit(.minutes(10))) struct QueueServiceTests {
  /// Runs the queue until a handler has asked for its end.
  private func run(_ queue: JobQueue, until shutdown: Shutdown) async throws {
    try await Shutdown.$current.withValue(shutdown) { try await queue.run() }
  }

  private func state(of job: Int64, _ database: QueueDatabase) async throws -> String {
    let rows = try await database.pool.query("SELECT state::text FROM jobs WHERE job_id = \(job)")
    return try rows.first?.get(0) ?? "gone"
  }

  @Test func everyWayToEndIsStored() async throws {
    try await QueueDatabase.with { database in
      let ways = ["failed", "retry", "snoozed", "unknown", "released", "lastTry"]
      var jobs: [NewJob] = []
      for way in ways {
        let lane = try await database.lane(way)
        let tries = way == "lastTry" ? 1 : 3
        jobs.append(
          NewJob(siteID: 1, laneID: lane, kind: "test", maximumAttempts: tries, payload: JSONB(text: #"["\#(way)"]"#))
        )
      }
      let numbers = try await database.enqueue(jobs).compactMap { $0 }
      let seen = Mutex<[Int64: [ClaimedJob]]>([:])
      let shutdown = Shutdown()
      let queue = database.queue([
        "test": ClosureHandler { job in
          let (times, isLast) = seen.withLock { seen in
            seen[job.id, default: []].append(job)
            // Four come a second time.
            return (seen[job.id]?.count ?? 0, seen.values.reduce(0) { $0 + $1.count } == ways.count + 4)
          }
          defer { if isLast { shutdown.request() } }
          let way = times > 1 ? "finished" : ways.first { job.payload?.contains($0) == true }
          return switch way {
          case "failed": .failed("it can not be done")
          case "retry": .retry(after: .zero, error: "not now")
          case "lastTry": .retry(error: "never")
          case "snoozed": .snoozed(for: .zero)
          case "unknown": .unknown(checkAfter: .zero, error: "who knows")
          case "released": .released
          default: .finished()
          }
        }
      ])
      try await run(queue, until: shutdown)
      let states = try await numbers.asyncMap { try await state(of: $0, database) }
      #expect(states[0] == "failed" && states[5] == "failed")
      let second = seen.withLock { seen in numbers[1...4].map { seen[$0]?.last } }
      // A retry counts, what was put off or given back does not, and what is unknown comes as a check.
      #expect(second.map { $0?.attempt } == [2, 1, 1, 1])
      #expect(second.map { $0?.isCheck } == [false, false, true, false])
      #expect(try await database.inconsistencies() == [])
      #expect(try await queue.health().deadLetters == 2)
    }
  }

  /// A handler's statement that the database refuses.
  private struct Refused: BatchOperation {
    static let rank = 500

    static func statement(for operations: [Refused]) -> SQL { "SELECT 1 / 0" }
    static func outputs(of rows: [Row], for operations: [Refused]) throws -> [Bool] { operations.map { _ in true } }
  }

  @Test func anEndThatIsRefusedBringsTheJobAgain() async throws {
    try await QueueDatabase.with { database in
      let lane = try await database.lane()
      let job = try #require(try await database.enqueue([NewJob(siteID: 1, laneID: lane, kind: "test")])[0])
      let attempts = Mutex<[Int]>([])
      let shutdown = Shutdown()
      let logger = MemorySink()
      let handler = ClosureHandler { job in
        attempts.withLock { $0.append(job.attempt) }
        if job.attempt == 1 { return .finished(with: Refused()) }
        shutdown.request()
        return .finished()
      }
      let queue = database.queue(["test": handler], logger: Logger(sink: logger)) {
        $0.retry.base = .milliseconds(1)
      }
      try await run(queue, until: shutdown)
      #expect(attempts.withLock { $0 } == [1, 2])
      #expect(try await state(of: job, database) != "failed")
      #expect(logger.records.contains { $0.message == "Storing the end of a job failed" })
      #expect(try await database.inconsistencies() == [])
    }
  }

  /// Two nodes with room for one job each and ten minutes between two looks: without a word from the node that promotes
  /// both jobs, the other one would not come in time.
  @Test func anotherNodeIsToldOfJobsThatThisOneHasNoRoomFor() async throws {
    try await QueueDatabase.with { database in
      let lanes = [try await database.lane("first"), try await database.lane("second")]
      let shutdown = Shutdown()
      let running = Mutex(0)
      let handler = ClosureHandler { _ in
        let count = running.withLock { count in
          count += 1
          return count
        }
        if count == 2 { shutdown.request() }
        // Neither ends before the other one runs.
        await shutdown.requested()
        return .finished()
      }
      let queues = (0..<2).map { number in
        database.queue(["test": handler]) {
          $0.home = "node\(number)"
          $0.slots = 1
          $0.pollInterval = .seconds(600)
        }
      }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for queue in queues { group.addTask { try await run(queue, until: shutdown) } }
        let listeners: SQL = """
          SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'
          """
        // A heartbeat after both listen, each node knows of the other one.
        while try await database.count(listeners) < 2 || queues.contains(where: { $0.state.withLock(\.peers) == 0 }) {}
        _ = try await database.enqueue(
          lanes.map { NewJob(siteID: 1, laneID: $0, kind: "test", dueAt: Date(timeIntervalSinceNow: 0.1)) }
        )
        queues[0].wake()
        try await group.waitForAll()
      }
      #expect(running.withLock { $0 } == 2)
      #expect(try await database.inconsistencies() == [])
    }
  }

  @Test func periodicJobsAreFired() async throws {
    try await QueueDatabase.with { database in
      let shutdown = Shutdown()
      let payloads = Mutex<[String?]>([])
      let handler = ClosureHandler { job in
        let count = payloads.withLock { payloads in
          payloads.append(job.payload)
          return payloads.count
        }
        if count == 2 { shutdown.request() }
        return .finished()
      }
      let tick = PeriodicJob("tick", every: .milliseconds(1), kind: "tick", payload: JSONB(text: #"{"a":1}"#))
      // Never more often than once a second.
      #expect(tick.interval == .seconds(1))
      try await run(database.queue(["tick": handler], periodic: [tick]), until: shutdown)
      #expect(payloads.withLock { $0.count } >= 2)
      let fires = try await database.count(
        "SELECT count(DISTINCT fire_at)::int FROM periodic_fires WHERE name = 'tick'"
      )
      #expect(fires >= 2)
      #expect(try await database.inconsistencies() == [])
    }
  }

  @Test func wrongCountersAreRepaired() async throws {
    try await QueueDatabase.with { database in
      let lane = try await database.lane()
      let right = try await database.lane("right")
      try await database.enqueue([
        NewJob(siteID: 1, laneID: lane, kind: "test"), NewJob(siteID: 1, laneID: right, kind: "test"),
      ])
      try await ManualNode(database.configuration).promote()
      try await database.pool.execute(
        "UPDATE lanes SET pending = 7, inflight = 1, runnable_at = 'infinity' WHERE lane_id = \(lane)"
      )
      #expect(try await !database.inconsistencies().isEmpty)
      let queue = database.queue([:])
      #expect(try await queue.audit() == [lane])
      #expect(try await database.inconsistencies() == [])
      #expect(try await queue.audit() == [])
    }
  }
}

extension Array {
  fileprivate func asyncMap<Value>(_ transform: (Element) async throws -> Value) async rethrows -> [Value] {
    var values: [Value] = []
    for element in self { values.append(try await transform(element)) }
    return values
  }
}
