import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue

/// The plans of the queue's statements over a large analyzed database, as the server explains them.
@Suite(.database, .timeLimit(.minutes(10))) struct QueueExplainTests {
  /// Tables that grow with the number of accounts or posts.
  private static let large: Set<String> = ["due", "ready", "lanes", "leases", "jobs", "job_groups", "lane_pools"]

  /// A line of a plan and how deep it stands.
  private struct Step {
    let depth: Int
    let text: String
  }

  /// The cost of sorting the few rows of a batch is nothing; what must never be is a table read or sorted as a whole.
  @Test(arguments: [false, true])
  func nothingIsReadOrSortedAsAWhole(isAnalyzed: Bool) async throws {
    try await QueueDatabase.with { database in
      try await fill(database)
      if isAnalyzed { try await database.pool.execute("ANALYZE") }
      let node = ManualNode(database.configuration)
      for (name, statement) in statements(node) {
        let steps = try await plan(of: statement, on: node)
        #expect(steps.count > 1, "\(name)")
        for step in steps where step.text.contains("Seq Scan on ") {
          let table = step.text.split(separator: "Seq Scan on ")[1].split(separator: " ")[0]
          #expect(!Self.large.contains(String(table)), "\(name): \(step.text)")
        }
        for (place, step) in steps.enumerated() where step.text.contains("Sort  (") {
          // What is sorted stands right below.
          let below = steps[(place + 1)...].first { $0.text.hasPrefix("->") }?.text ?? ""
          #expect(
            !Self.large.contains { below.contains("Scan using \($0)") || below.contains("Scan on \($0) ") },
            "\(name) sorts \(below)"
          )
        }
        if name == "promote" {
          #expect(steps.contains { $0.text.contains("Index Scan using due_at_index on due") }, "\(steps.map(\.text))")
        }
      }
    }
  }

  private func statements(_ node: ManualNode) -> [(String, SQL)] {
    let hooks = ClosingHooks(["UPDATE jobs j SET last_error = 'x' FROM closed c WHERE j.job_id = c.job_id"])
    let claim = ClaimOperation(
      shape: node.shape,
      kinds: ["test"],
      request: ClaimLedger.Request(count: 100, quantum: 10, afterSite: 3)
    )
    let leases = (1...50).map { Lease(jobID: $0, fence: $0, nodeEpoch: node.epoch) }
    func settle(_ way: SettleOperation.Way) -> SQL {
      SettleOperation.statement(for: leases.map { SettleOperation(lease: $0, way: way, hooks: hooks) })
    }
    let check = CheckOperation(shape: node.shape, kinds: ["test"], count: 100)
    return [
      ("promote", PromoteStatement.make(limit: 2_000, lookahead: .milliseconds(10), hooks: hooks)),
      ("promote of each site", PromoteStatement.make(limit: 2_000, turn: .oldestOfEachSite, hooks: hooks)),
      ("claim", ClaimOperation.statement(for: [claim])), ("settle", settle(.finished)), ("put off", settle(.snoozed)),
      ("check", CheckOperation.statement(for: [check])),
      ("start", "WITH \(fragment: LeaseGuard.started(leases.map { ($0, isCommit: true) })) SELECT fence FROM ok"),
      ("hold", "WITH \(fragment: LeaseGuard.held(leases)) SELECT fence FROM g"),
      ("enqueue", Enqueue.jobs((0..<50).map { _ in NewJob(siteID: 1, laneID: 1, kind: "test") })),
      ("resume", JobQueue.unpark(7)), ("retry", JobQueue.retryStatement([1, 2, 3])),
      ("block", LaneStatements.block(5, for: .seconds(1), .breaker)),
      ("wake", LaneStatements.wakeLanes(of: 1)),
    ]
  }

  private func plan(of statement: SQL, on node: ManualNode) async throws -> [Step] {
    try await node.session.transaction { transaction in
      let rows = try await transaction.query("EXPLAIN \(fragment: statement)")
      return try rows.map { row in
        let line: String = try row.get(0)
        let text = line.drop { $0 == " " }
        return Step(depth: line.utf8.count - text.utf8.count, text: String(text))
      }
    }
  }

  private func fill(_ database: QueueDatabase) async throws {
    try await database.pool.execute(
      """
      INSERT INTO lane_pools (pool_id, site_id, key, parent_id)
      SELECT n, CASE WHEN n = 1 THEN 0 ELSE n END, 'pool', CASE WHEN n = 1 THEN NULL ELSE 1 END FROM generate_series(1, 500) n
      """
    )
    try await database.pool.execute(
      """
      INSERT INTO lanes (site_id, kind, key, pool_id, pending, runnable_at)
      SELECT 1 + n % 200, 'test', 'lane ' || n, 2 + n % 400, (n % 100 = 0)::int,
        CASE WHEN n % 100 = 0 THEN now() ELSE 'infinity' END
      FROM generate_series(1, 20000) n
      """
    )
    try await database.pool.execute(
      "INSERT INTO queue_sites (site_id) SELECT generate_series(1, 200) ON CONFLICT DO NOTHING"
    )
    try await database.pool.execute(
      """
      INSERT INTO job_groups (group_id, site_id) SELECT n, 1 FROM generate_series(1, 20000) n
      """
    )
    try await database.pool.execute(
      """
      INSERT INTO jobs (site_id, lane_id, group_id, due_at, priority, max_attempts, kind)
      SELECT 1, 1 + n % 20000, 1 + n % 20000, now() + n * interval '1 s', 3, 3, 'test' FROM generate_series(1, 200000) n
      """
    )
    try await database.pool.execute(
      """
      INSERT INTO due (due_at, job_id, lane_id, site_id, group_id, priority)
      SELECT j.due_at, j.job_id, j.lane_id, j.site_id, j.group_id, j.priority FROM jobs j WHERE j.job_id > 5000
      """
    )
    try await database.pool.execute(
      """
      INSERT INTO ready (due_at, job_id, lane_id, site_id, group_id, priority, attempts, live)
      SELECT j.due_at, j.job_id, j.lane_id, j.site_id, j.group_id, j.priority, 0, false FROM jobs j WHERE j.job_id <= 5000
      """
    )
    try await database.pool.execute(
      """
      INSERT INTO leases (job_id, fence, node_epoch, lane_id, site_id, due_at, claimed_at, priority, attempts, kind)
      SELECT 1000000 + n, n, gen_random_uuid(), n, 1, now(), now(), 3, 1, 'test' FROM generate_series(1, 5000) n
      """
    )
  }
}
