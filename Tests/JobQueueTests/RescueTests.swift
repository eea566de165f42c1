import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue

/// What a node does with the jobs of another one that is gone or hangs.
@Suite(.database, .timeLimit(.minutes(10))) struct RescueTests {
  private static let key: Int64 = 4_712

  /// A node that holds its lock and three claimed jobs, one of which has begun a commit.
  private func victim(_ database: QueueDatabase) async throws -> (node: ManualNode, lock: Session) {
    let node = ManualNode(database.configuration)
    let lock = Session(database.configuration)
    try await lock.execute("SELECT pg_advisory_lock(\(Self.key))")
    try await database.pool.execute(
      "INSERT INTO nodes (node_epoch, home, adv_key) VALUES (\(node.epoch), 'elsewhere', \(Self.key))"
    )
    let lane = try await database.lane(limits: LaneLimits(cap: 3))
    try await database.enqueue((0..<3).map { _ in NewJob(siteID: 1, laneID: lane, kind: "test") })
    try await node.promote()
    let jobs = try await node.claim().jobs
    #expect(jobs.count == 3)
    _ = try await node.start([try #require(jobs.first).lease])
    return (node, lock)
  }

  private func phases(_ database: QueueDatabase) async throws -> [Int16] {
    try await database.pool.query("SELECT phase FROM leases ORDER BY phase").map { try $0.get("phase") }
  }

  /// Returns when the server has ended the session and so freed its lock.
  private func released(_ database: QueueDatabase) async throws {
    while try await database.count(
      "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = \(Self.key)::oid"
    ) > 0 {
      await Task.yield()
    }
  }

  @Test func twoLooksAtAFreeLockAreEnough() async throws {
    try await QueueDatabase.with { database in
      let (node, lock) = try await victim(database)
      let queue = database.queue([:]) { $0.rescueInterval = QueueSettings(home: "").rescueInterval }
      #expect(try await queue.rescue([]).isEmpty)
      #expect(try await phases(database) == [1, 1, 2])
      await lock.close()
      try await released(database)
      // One look is not enough: a node whose connection was cut takes its lock again at once.
      let suspects = try await queue.rescue([])
      #expect(suspects == [node.epoch])
      #expect(try await phases(database) == [1, 1, 2])
      _ = try await queue.rescue(suspects)
      // What was not begun runs elsewhere; what was begun waits until nobody can finish it any more.
      #expect(try await phases(database) == [2])
      #expect(try await ManualNode(database.configuration).claim().jobs.count == 2)
      try await database.pool.execute("UPDATE nodes SET heartbeat_at = clock_timestamp() - interval '12.1 s'")
      _ = try await queue.rescue(suspects)
      #expect(try await phases(database).first == 1)
      #expect(try await phases(database).last == 3)
      #expect(try await database.inconsistencies() == [])
    }
  }

  @Test func aNodeThatHangsLosesItsSessionAndItsJobs() async throws {
    try await QueueDatabase.with { database in
      let (node, lock) = try await victim(database)
      let queue = database.queue([:])
      try await database.pool.execute("UPDATE nodes SET heartbeat_at = clock_timestamp() - interval '11 s'")
      #expect(try await queue.rescue([]).isEmpty)
      #expect(try await phases(database) == [1, 1, 2])
      try await database.pool.execute("UPDATE nodes SET heartbeat_at = clock_timestamp() - interval '12.1 s'")
      _ = try await queue.rescue([])
      #expect(try await phases(database) == [3])
      await #expect(throws: PostgresError.self) { try await lock.execute("SELECT 1") }
      // Its fences are worth nothing any more.
      let leases = try await database.pool.query("SELECT job_id, fence FROM leases")
      let late = Lease(jobID: try leases[0].get("job_id"), fence: -1, nodeEpoch: node.epoch)
      #expect(try await node.settle([late], .finished)[0].isStale)
      await lock.close()
    }
  }

  /// The promises of the documentation: a dead process within a second, one that hangs within fifteen.
  @Test func theIntervalsKeepThePromises() {
    let settings = QueueSettings(home: "")
    #expect(settings.rescueInterval * 2 < .seconds(1))
    #expect(settings.deadAfter + settings.rescueInterval < .seconds(15))
    // A node stops sending by itself before anybody takes over what it began.
    #expect(settings.heartbeatLimit < settings.deadAfter)
    // At most 200 notifications a second, however many jobs are put in.
    #expect(settings.notifyInterval * 200 >= .seconds(1))
  }
}
