internal import Postgres

/// Takes over jobs whose outcome is unknown and whose time for a look has come.
///
/// The lease stays, with a new fence; so the lane stays held and no later job of it overtakes.
struct CheckOperation: BatchOperation {
  struct Answer: Sendable {
    var jobs: [ClaimedJob] = []
    /// When the next check is due.
    var next: Duration?
  }

  static let rank = QueueRank.checks

  let shape: ClaimShape
  let kinds: [String]
  let count: Int

  static func statement(for operations: [CheckOperation]) -> SQL {
    let shape = operations[0].shape
    let count = operations.reduce(0) { $0 + $1.count }
    return """
      WITH c AS MATERIALIZED (
        SELECT l.job_id FROM leases l
        WHERE l.check_at <= statement_timestamp() AND l.kind = ANY (\(operations[0].kinds)::text[])
        ORDER BY l.check_at LIMIT \(Int32(clamping: count))::int
        FOR NO KEY UPDATE SKIP LOCKED
      ),
      d AS (
        UPDATE leases l SET fence = nextval('lease_fences'), node_epoch = \(shape.nodeEpoch), check_at = NULL,
          claimed_at = statement_timestamp()
        FROM c WHERE l.job_id = c.job_id
        RETURNING l.*
      )
      SELECT d.job_id, d.fence, d.lane_id, d.group_id, d.site_id, d.kind, d.priority, d.due_at, d.attempts,
        coalesce(j.max_attempts, 1::smallint) AS max_attempts, d.live, j.payload::text AS payload, true AS is_check,
        d.checks, d.called_at, 0::float8 AS due_in, z.next_in\(fragment: shape.columns)
      FROM (
        SELECT extract(epoch FROM min(l.check_at) - clock_timestamp())::float8 AS next_in
        FROM leases l WHERE l.check_at > statement_timestamp()
      ) z
      LEFT JOIN (d LEFT JOIN jobs j ON j.job_id = d.job_id\(fragment: shape.joins)) ON true
      """
  }

  static func outputs(of rows: [Row], for operations: [CheckOperation]) throws -> [Answer] {
    var answer = Answer()
    var claimed = Set<Int64>(minimumCapacity: rows.count)
    for row in rows {
      answer.next = try row.get("next_in", as: Double?.self).map { .seconds($0) }
      guard let _: Int64 = try row.get("job_id") else { continue }
      let job = try ClaimedJob(row, nodeEpoch: operations[0].shape.nodeEpoch)
      guard claimed.insert(job.id).inserted else { throw ClaimShape.repeated }
      answer.jobs.append(job)
    }
    return [answer] + Array(repeating: Answer(), count: operations.count - 1)
  }
}
