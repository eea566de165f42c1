internal import FoundationEssentials
internal import Postgres

/// Ends a lease, or moves it to "unknown".
///
/// All ends are one kind of operation, because a transaction may wait for the locks of lanes only once: two waits could
/// deadlock with another node.
struct SettleOperation: BatchOperation {
  /// What becomes of the job; the numbers below 9 stand in `attempts.outcome`.
  enum Way: Int16, Sendable {
    case finished = 1
    case failed = 2
    case retried = 3
    case snoozed = 4
    /// Back to its lane without an attempt, if nothing was committed.
    case released = 5
    /// Back to where a due job belongs: its group may be paused or cancelled.
    case refused = 6
    case unknown = 7
    case canceled = 8
    /// A retry if nothing was committed, else unknown.
    case retriedOrUnknown = 9
    /// Back to its lane if nothing was committed, else unknown.
    case releasedOrUnknown = 10
  }

  enum Output: Sendable {
    /// What was done, and when the earliest of the freed lanes may run again.
    case settled(Way, nextSlot: Duration?)
    /// The lease is another one's or gone; nothing was changed.
    case stale
  }

  static let rank = QueueRank.settle

  let lease: Lease
  var way: Way
  /// The wait before the next attempt or check.
  var delay: Duration = .zero
  var laneBlock: Duration?
  var blockReason: BlockReason?
  var extraTurns = 0
  var error: String?
  var hooks: ClosingHooks
  var metrics: QueueMetrics?

  static func statement(for operations: [SettleOperation]) -> SQL {
    operations[0].metrics?.flushed(rows: operations.count)
    return """
      WITH i AS MATERIALIZED (
        SELECT * FROM unnest(
          \(operations.map(\.lease.jobID)), \(operations.map(\.lease.fence)), \(operations.map(\.lease.nodeEpoch)),
          \(operations.map(\.way.rawValue)), \(operations.map(\.delay.seconds)),
          \(operations.map { $0.laneBlock?.seconds ?? 0 }), \(operations.map { $0.blockReason?.rawValue ?? "" }),
          \(operations.map { Int32(clamping: $0.extraTurns) }), \(operations.map { $0.error ?? "" })
        ) AS t(job_id, fence, epoch, what, delay, block, reason, extra, error)
      ),
      \(trusted: SettleStatement.leases),
      \(trusted: SettleStatement.rows),
      \(trusted: SettleStatement.lanes)\(fragment: pools(operations))\(fragment: operations[0].hooks.expressions)
      SELECT x.job_id, x.fence, x.way,
        (SELECT extract(epoch FROM min(u.runnable_at) - clock_timestamp())::float8 FROM u
          WHERE u.runnable_at < 'infinity') AS next_in
      FROM x
      UNION ALL
      SELECT n.job_id, n.fence, 7::smallint, NULL FROM n
      """
  }

  /// Pools are touched only when a job may have used more or less than the turn that its claim took.
  private static func pools(_ operations: [SettleOperation]) -> SQL {
    let isEven = operations.allSatisfy { operation in
      switch operation.way {
      case .finished, .failed, .retried, .unknown, .retriedOrUnknown: operation.extraTurns == 0
      case .snoozed, .released, .refused, .canceled, .releasedOrUnknown: false
      }
    }
    return isEven ? "" : "\(trusted: SettleStatement.pools)"
  }

  static func outputs(of rows: [Row], for operations: [SettleOperation]) throws -> [Output] {
    var done: [Int64: Output] = [:]
    done.reserveCapacity(rows.count)
    for row in rows {
      let next: Double? = try row.get("next_in")
      guard let way = Way(rawValue: try row.get("way")) else { continue }
      done[try row.get("fence")] = .settled(way, nextSlot: next.map { .seconds($0) })
    }
    return operations.map { done[$0.lease.fence] ?? .stale }
  }
}

/// The fixed parts of the settlement.
private enum SettleStatement {
  /// `x`: ended leases and their way; `n`: leases whose outcome became unknown. The fence decides who may end a lease;
  /// a release also needs that nothing was committed under it, whatever its holder believed. What was stopped or may
  /// not start is dropped when it was canceled, also if who canceled it died before it had taken the job away.
  static let leases: StaticString = """
    d AS (
      DELETE FROM leases l USING i
      WHERE l.job_id = i.job_id AND l.fence = i.fence AND l.node_epoch = i.epoch
        AND (i.what IN (1, 2, 3, 4, 6) OR (i.what IN (5, 9, 10) AND l.phase = 1))
      RETURNING l.*, i.delay, i.block, nullif(i.reason, '') AS reason, i.extra, nullif(i.error, '') AS error,
        CASE i.what WHEN 9 THEN 3::smallint WHEN 10 THEN 5::smallint ELSE i.what END AS what
    ),
    n AS (
      UPDATE leases l SET phase = 3, checks = l.checks + 1, check_at = clock_timestamp() + i.delay * interval '1 s'
      FROM i
      WHERE l.job_id = i.job_id AND l.fence = i.fence AND l.node_epoch = i.epoch
        AND (i.what = 7 OR (i.what IN (9, 10) AND l.phase <> 1))
      RETURNING l.*, nullif(i.error, '') AS error
    ),
    x AS MATERIALIZED (
      SELECT d.*, CASE
        WHEN NOT d.live AND d.what IN (3, 4, 5, 6)
          AND (j.canceled_at IS NOT NULL OR s.canceled_at IS NOT NULL) THEN 8::smallint
        ELSE d.what END AS way
      FROM d
      LEFT JOIN jobs j ON j.job_id = CASE WHEN d.stop OR d.what = 6 THEN d.job_id END
      LEFT JOIN job_groups s ON s.group_id = CASE WHEN d.stop OR d.what = 6 THEN d.group_id END
    )
    """

  /// The rows that a job leaves behind or moves to.
  static let rows: StaticString = """
    history AS (
      INSERT INTO attempts (ended_at, job_id, fence, lane_id, group_id, site_id, due_at, claimed_at, called_at,
        attempt, outcome, kind, error)
      SELECT clock_timestamp(), x.job_id, x.fence, x.lane_id, x.group_id, x.site_id, x.due_at, x.claimed_at,
        x.called_at, x.attempts, x.way, x.kind, x.error
      FROM x WHERE x.way NOT IN (5, 6)
      UNION ALL
      SELECT clock_timestamp(), n.job_id, n.fence, n.lane_id, n.group_id, n.site_id, n.due_at, n.claimed_at,
        n.called_at, n.attempts, 7, n.kind, n.error
      FROM n
    ),
    done AS (DELETE FROM jobs j USING x WHERE x.way = 1 AND j.job_id = x.job_id),
    closed AS (
      DELETE FROM jobs j USING x WHERE x.way = 8 AND j.job_id = x.job_id
      RETURNING j.job_id, j.site_id, j.group_id, j.kind
    ),
    dead AS (
      UPDATE jobs j SET state = 'failed', failed_at = clock_timestamp(), attempts = x.attempts, last_error = x.error
      FROM x WHERE x.way = 2 AND j.job_id = x.job_id
    ),
    later AS (
      INSERT INTO due (due_at, job_id, lane_id, site_id, group_id, priority, attempts, live)
      SELECT CASE WHEN x.way = 6 THEN x.due_at ELSE clock_timestamp() + x.delay * interval '1 s' END,
        x.job_id, x.lane_id, x.site_id, x.group_id, x.priority,
        CASE WHEN x.way = 3 THEN x.attempts ELSE x.attempts - 1 END, x.live
      FROM x WHERE x.way IN (3, 4, 6)
    ),
    back AS (
      INSERT INTO ready (lane_id, due_at, job_id, site_id, group_id, priority, attempts, live)
      SELECT x.lane_id, x.due_at, x.job_id, x.site_id, x.group_id, x.priority, x.attempts - 1, x.live
      FROM x WHERE x.way = 5
    )
    """

  /// `u`: the lanes' new counters. The gap runs from the end of the job; what was never called pays no rate.
  static let lanes: StaticString = """
    k AS MATERIALIZED (
      SELECT x.lane_id, count(*)::int AS n, (count(*) FILTER (WHERE x.way = 5))::int AS returned,
        (count(*) FILTER (WHERE x.called_at IS NULL AND x.way IN (4, 5, 6, 8)))::int AS unused,
        sum(x.extra)::int AS extra, max(x.block) AS block, max(x.reason) AS reason
      FROM x GROUP BY 1
    ),
    lk AS MATERIALIZED (
      SELECT o.lane_id, o.pool_id, k.n, k.returned, k.unused, k.extra - k.unused AS turns, k.reason,
        CASE WHEN k.block > 0 THEN clock_timestamp() + k.block * interval '1 s' END AS blocked,
        CASE WHEN o.min_gap > '0' AND k.n > k.unused THEN clock_timestamp() + o.min_gap END AS slot
      FROM lanes o JOIN k ON k.lane_id = o.lane_id ORDER BY o.lane_id FOR NO KEY UPDATE OF o
    ),
    u AS (
      UPDATE lanes o SET inflight = greatest(0, o.inflight - lk.n), pending = o.pending + lk.returned,
        next_slot_at = greatest(o.next_slot_at, lk.slot), blocked_until = greatest(o.blocked_until, lk.blocked),
        block_reason = CASE WHEN lk.blocked > o.blocked_until THEN lk.reason ELSE o.block_reason END,
        tat = CASE WHEN o.rate_interval IS NULL THEN o.tat ELSE o.tat + lk.turns * o.rate_interval END,
        runnable_at = CASE WHEN o.paused OR o.pending + lk.returned <= 0 OR o.inflight - lk.n >= o.cap THEN 'infinity'
          ELSE greatest(statement_timestamp(), o.next_slot_at, lk.slot, o.blocked_until, lk.blocked,
            CASE WHEN o.rate_interval IS NOT NULL
              THEN o.tat + lk.turns * o.rate_interval - o.rate_burst END) END
      FROM lk WHERE o.lane_id = lk.lane_id
      RETURNING o.runnable_at
    )
    """

  /// Turns that the pools get back, or that they are charged beyond the one of the claim. Lanes are locked before.
  static let pools: StaticString = """
    , pk AS MATERIALIZED (
      SELECT q.pool_id, y.turns
      FROM (
        SELECT z.pool_id, sum(z.turns)::int AS turns
        FROM (
          SELECT lk.pool_id, lk.turns FROM lk WHERE lk.turns <> 0
          UNION ALL
          SELECT o.parent_id, lk.turns FROM lk JOIN lane_pools o ON o.pool_id = lk.pool_id WHERE lk.turns <> 0
        ) z WHERE z.pool_id IS NOT NULL GROUP BY 1
      ) y JOIN lane_pools q ON q.pool_id = y.pool_id
      WHERE q.rate_interval IS NOT NULL
      ORDER BY q.pool_id FOR NO KEY UPDATE OF q
    ),
    pu AS (
      UPDATE lane_pools q SET tat = q.tat + pk.turns * q.rate_interval FROM pk WHERE q.pool_id = pk.pool_id
    )
    """
}
