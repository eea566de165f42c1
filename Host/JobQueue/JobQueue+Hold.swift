package import Postgres
internal import Synchronization

extension JobQueue {
  /// Names the kinds of which this node claims no job. Looks at unknown outcomes go on, and jobs become ready.
  package func hold(_ kinds: Set<String>) {
    let changed = state.withLock { state in
      guard state.heldKinds != kinds else { return false }
      state.heldKinds = kinds
      return true
    }
    if changed { claimWake.raise() }
  }

  /// The kinds that this node claims now.
  var claimableKinds: [String] {
    let held = state.withLock(\.heldKinds)
    return handlers.keys.filter { !held.contains($0) }.sorted()
  }

  /// Moves ready jobs whose outcome may be unknown to where outcomes are looked for; answers how many.
  ///
  /// - Parameter condition: Over `ready r`.
  @discardableResult
  package func question(kind: String, where condition: SQL) async throws -> Int {
    let rows = try await pool.query(
      """
      SELECT DISTINCT r.lane_id FROM ready r JOIN lanes o ON o.lane_id = r.lane_id
      WHERE o.kind = \(kind) AND \(fragment: condition) ORDER BY 1
      """
    )
    let lanes: [Int64] = try rows.map { try $0.get("lane_id") }
    var count = 0
    for start in stride(from: 0, to: lanes.count, by: 500) {
      let chunk = Array(lanes[start..<min(start + 500, lanes.count)])
      let answers = try await pool.batch([
        // A claim that held a lane is visible to the next statement.
        "SELECT FROM lanes o WHERE o.lane_id = ANY (\(chunk)) ORDER BY o.lane_id FOR NO KEY UPDATE",
        """
        WITH gone AS (
          DELETE FROM ready r WHERE r.lane_id = ANY (\(chunk)) AND \(fragment: condition) RETURNING r.*
        ), e AS (
          INSERT INTO leases (job_id, fence, node_epoch, lane_id, group_id, site_id, due_at, claimed_at, called_at,
            check_at, priority, attempts, phase, live, kind)
          SELECT g.job_id, nextval('lease_fences'), \(nodeEpoch), g.lane_id, g.group_id, g.site_id, g.due_at,
            statement_timestamp(), statement_timestamp(), statement_timestamp(), g.priority, g.attempts + 1, 3, g.live,
            \(kind)
          FROM gone g
        ), u AS (
          UPDATE lanes o SET pending = o.pending - k.n, inflight = o.inflight + k.n,
            runnable_at = CASE WHEN o.pending <= k.n OR o.inflight + k.n >= o.cap THEN 'infinity' ELSE o.runnable_at END
          FROM (SELECT g.lane_id, count(*)::int AS n FROM gone g GROUP BY 1) k WHERE o.lane_id = k.lane_id
        )
        SELECT count(*) AS moved FROM gone
        """,
      ])
      count += Int(try answers[1].first?.get("moved", as: Int64.self) ?? 0)
    }
    if count > 0 {
      state.withLock { $0.nextCheck = nil }
      claimWake.raise()
    }
    return count
  }
}
