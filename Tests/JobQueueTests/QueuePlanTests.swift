import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue

/// The hot statements read what they move and nothing else, however much lies in the tables beside it.
@Suite(.database, .timeLimit(.minutes(10))) struct QueuePlanTests {
  private static let isLong = ProcessInfo.processInfo.environment["ROSTRUM_LONG"] == "1"
  private static let futureRows = isLong ? 1_000_000 : 100_000
  private static let idleLanes = isLong ? 50_000 : 5_000
  private static let hotTables = ["due", "ready", "lanes", "leases", "jobs", "job_groups", "queue_sites"]

  /// Rows read by one statement, by table.
  private struct Reads {
    var scanned: [String: Int] = [:]
    var fetched: [String: Int] = [:]
  }

  /// With the statistics of an empty database, as after a start, and with those of a full one.
  @Test(arguments: [false, true])
  func futureRowsAndIdleLanesCostNothing(isAnalyzed: Bool) async throws {
    try await QueueDatabase.with { database in
      let node = ManualNode(database.configuration)
      // Prepared while the tables are empty: the plan must be right for what comes.
      try await node.promote()
      _ = try await node.claim()
      try await fill(database)
      if isAnalyzed { try await database.pool.execute("ANALYZE") }
      let lanes = try await busyLanes(database)
      try await database.enqueue(
        (0..<200).map { NewJob(siteID: 1, laneID: lanes[$0 % lanes.count], kind: "test", dueAt: Date()) }
      )

      let empty = try await reads(of: PromoteStatement.make(limit: 0, hooks: ClosingHooks()), on: node)
      expect(empty, atMost: 20, "a promotion that moves nothing")
      let promotion = try await reads(of: PromoteStatement.make(limit: 2_000, hooks: ClosingHooks()), on: node)
      expect(promotion, atMost: 1_000, "a promotion of 200")
      let claim = ClaimOperation(
        shape: node.shape,
        kinds: ["test"],
        request: ClaimLedger.Request(count: 100, quantum: 100, afterSite: .min)
      )
      expect(try await reads(of: ClaimOperation.statement(for: [claim]), on: node), atMost: 1_000, "a claim of 100")
      let leases = try await database.pool.query("SELECT job_id, fence FROM leases ORDER BY job_id").map {
        Lease(jobID: try $0.get("job_id"), fence: try $0.get("fence"), nodeEpoch: node.epoch)
      }
      #expect(leases.count == 100)
      let start: SQL = "WITH \(fragment: LeaseGuard.started(leases.map { ($0, isCommit: true) })) SELECT fence FROM ok"
      expect(try await reads(of: start, on: node), atMost: 500, "the start of 100")
      let ends = leases.map { SettleOperation(lease: $0, way: .finished, hooks: ClosingHooks()) }
      expect(try await reads(of: SettleOperation.statement(for: ends), on: node), atMost: 1_000, "the end of 100")
      let check = CheckOperation(shape: node.shape, kinds: ["test"], count: 100)
      expect(try await reads(of: CheckOperation.statement(for: [check]), on: node), atMost: 20, "a look for checks")
      #expect(try await database.count("SELECT count(*) FROM due") == Self.futureRows)
    }
  }

  private func fill(_ database: QueueDatabase) async throws {
    try await database.pool.execute(
      """
      INSERT INTO lanes (site_id, kind, key) SELECT 1 + n % 20, 'test', 'idle ' || n
      FROM generate_series(1, \(Int32(Self.idleLanes))::int) n
      """
    )
    try await database.pool.execute(
      "INSERT INTO queue_sites (site_id) SELECT generate_series(1, 20) ON CONFLICT DO NOTHING"
    )
    try await database.pool.execute(
      """
      WITH j AS (
        INSERT INTO jobs (site_id, lane_id, due_at, priority, max_attempts, kind)
        SELECT l.site_id, l.lane_id, now() + interval '1 day' + n * interval '1 s', 3, 3, 'test'
        FROM generate_series(1, \(Int32(Self.futureRows))::int) n
        JOIN lanes l ON l.key = 'idle ' || (1 + n % \(Int32(Self.idleLanes))::int)
        RETURNING *
      )
      INSERT INTO due (due_at, job_id, lane_id, site_id, priority)
      SELECT j.due_at, j.job_id, j.lane_id, j.site_id, j.priority FROM j
      """
    )
  }

  private func busyLanes(_ database: QueueDatabase) async throws -> [Int64] {
    var lanes: [Int64] = []
    for number in 0..<20 {
      lanes.append(try await database.lane("busy \(number)", limits: LaneLimits(cap: 10)))
    }
    return lanes
  }

  /// Runs a statement on the node's own session and settings, and asks the server what it read.
  private func reads(of statement: SQL, on node: ManualNode) async throws -> Reads {
    try await node.session.transaction { transaction in
      // The session may not have reported earlier transactions yet, so only the difference counts.
      let before = try await counters(transaction)
      _ = try await transaction.query(statement)
      let after = try await counters(transaction)
      return Reads(
        scanned: after.scanned.merging(before.scanned) { $0 - $1 },
        fetched: after.fetched.merging(before.fetched) { $0 - $1 }
      )
    }
  }

  private func counters(_ transaction: Transaction) async throws -> Reads {
    var reads = Reads()
    let rows = try await transaction.query(
      """
      SELECT relname::text AS name, coalesce(seq_tup_read, 0) AS scanned, coalesce(idx_tup_fetch, 0) AS fetched
      FROM pg_stat_xact_user_tables WHERE relname = ANY (\(Self.hotTables))
      """
    )
    for row in rows {
      let name: String = try row.get("name")
      reads.scanned[name] = Int(try row.get("scanned", as: Int64.self))
      reads.fetched[name] = Int(try row.get("fetched", as: Int64.self))
    }
    return reads
  }

  private func expect(_ reads: Reads, atMost limit: Int, _ what: String) {
    #expect(reads.scanned.count == Self.hotTables.count)
    for (table, count) in reads.scanned {
      #expect(count == 0, "\(what) reads all of \(table)")
    }
    for (table, count) in reads.fetched {
      #expect(count <= limit, "\(what) reads \(count) rows of \(table)")
    }
  }
}
