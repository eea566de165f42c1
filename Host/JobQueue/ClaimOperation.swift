internal import FoundationEssentials
internal import Postgres

/// What belongs to every claim of a node.
final class ClaimShape: Sendable {
  let nodeEpoch: UUID
  let extensions: [ClaimExtension]

  init(nodeEpoch: UUID, extensions: [ClaimExtension]) {
    self.nodeEpoch = nodeEpoch
    self.extensions = extensions
  }

  /// The extensions' columns, each with a comma before it.
  var columns: SQL {
    SQL.joined(extensions.indices.map { "\(identifier: ClaimShape.alias($0)).*" }.map { ", " + $0 }, separator: "")
  }

  /// The joins behind `d(job_id, kind)`.
  var joins: SQL {
    SQL.joined(
      extensions.enumerated().map { index, item in
        """
         LEFT JOIN LATERAL (\(fragment: item.query)) AS \(identifier: ClaimShape.alias(index)) ON d.kind = \(item.kind)
        """
      },
      separator: ""
    )
  }

  /// Such a job would run twice at once, each time with another's columns.
  static var repeated: PostgresError {
    PostgresError(.misuse, "A claim extension gave more than one row for a job")
  }

  private static func alias(_ index: Int) -> String { "extension_\(index)" }
}

/// Claims the next jobs of the lanes that may run, fairly between the sites.
struct ClaimOperation: BatchOperation {
  struct Answer: Sendable {
    var jobs: [ClaimedJob] = []
    /// Jobs whose group or job was paused or cancelled; they must be given back at once.
    var stopped: [Lease] = []
    /// How many lanes were looked at, over how many sites, and the last of these in the order of the rotation.
    var lanes = 0
    var sites = 0
    var lastSite: Int64?
    /// When a lane that was touched may run again.
    var nextSlot: Duration?
    /// Whether another claim held a pool, so that its lanes were passed over.
    var isContended = false
  }

  static let rank = QueueRank.claim

  let shape: ClaimShape
  let kinds: [String]
  let request: ClaimLedger.Request

  static func statement(for operations: [ClaimOperation]) -> SQL {
    // A node has one claim under way at a time; several would only be one larger claim.
    let first = operations[0]
    let want = operations.reduce(0) { $0 + $1.request.count }
    return statement(first.shape, kinds: first.kinds, request: first.request, count: want)
  }

  static func outputs(of rows: [Row], for operations: [ClaimOperation]) throws -> [Answer] {
    var answer = Answer()
    var claimed = Set<Int64>(minimumCapacity: rows.count)
    for row in rows {
      answer.lanes = Int(try row.get("lanes", as: Int64.self))
      answer.sites = Int(try row.get("sites", as: Int64.self))
      answer.lastSite = try row.get("last_site")
      answer.nextSlot = try row.get("next_in", as: Double?.self).map { .seconds($0) }
      answer.isContended = try row.get("contended")
      // A claim that found nothing answers with one row that has no job.
      guard let _: Int64 = try row.get("job_id") else { continue }
      let job = try ClaimedJob(row, nodeEpoch: operations[0].shape.nodeEpoch)
      guard claimed.insert(job.id).inserted else { throw ClaimShape.repeated }
      if try row.get("stopped", as: Bool.self), !job.isLive {
        answer.stopped.append(job.lease)
      } else {
        answer.jobs.append(job)
      }
    }
    return [answer] + Array(repeating: Answer(), count: operations.count - 1)
  }

  private static func statement(_ shape: ClaimShape, kinds: [String], request: ClaimLedger.Request, count: Int) -> SQL {
    """
    WITH a AS MATERIALIZED (
      SELECT statement_timestamp() AS t, \(shape.nodeEpoch)::uuid AS epoch, \(request.afterSite)::bigint AS after_site,
        \(Int32(clamping: request.quantum))::int AS quantum, \(Int32(clamping: count))::int AS want, \(kinds)::text[] AS kinds
    ),
    \(trusted: ClaimStatement.lanes),
    \(trusted: ClaimStatement.jobs),
    \(trusted: ClaimStatement.counters)
    SELECT d.job_id, d.fence, d.lane_id, d.group_id, d.site_id, d.kind, d.priority, d.due_at,
      (d.attempts + 1)::smallint AS attempts, coalesce(d.max_attempts, 1::smallint) AS max_attempts, d.live,
      d.payload::text AS payload, false AS is_check, 0 AS checks, NULL::timestamptz AS called_at,
      extract(epoch FROM d.due_at - clock_timestamp())::float8 AS due_in,
      (s.paused_at IS NOT NULL OR s.canceled_at IS NOT NULL OR d.canceled_at IS NOT NULL) AS stopped,
      z.lanes, z.sites, z.last_site, z.next_in, z.contended\(fragment: shape.columns)
    FROM (
      SELECT (SELECT count(*) FROM l) AS lanes, (SELECT count(DISTINCT l.site_id) FROM l) AS sites,
        (SELECT l.site_id FROM l ORDER BY l.place DESC LIMIT 1) AS last_site,
        (SELECT extract(epoch FROM min(u.runnable_at) - clock_timestamp())::float8 FROM u
          WHERE u.runnable_at < 'infinity') AS next_in,
        (SELECT count(*) FROM w) > (SELECT count(*) FROM p) AS contended
    ) z
    LEFT JOIN (x AS d LEFT JOIN job_groups s ON s.group_id = d.group_id\(fragment: shape.joins)) ON true
    ORDER BY d.place
    """
  }
}

/// The fixed parts of the claim.
private enum ClaimStatement {
  /// `l`: lanes that may run, locked; at most `quantum` times its weight for each site, the sites in rotation.
  /// `p`: what the lanes' pools allow, and the pools around these. A pool that counts is locked; one that another claim
  /// holds is missing, and its lanes get nothing this time. A claim never waits for a lock.
  ///
  /// The condition on `infinity` lets the planner use the partial index; the kind is kept out of every index.
  static let lanes: StaticString = """
    s AS (
      (SELECT q.site_id, q.weight FROM queue_sites q
        WHERE NOT q.paused AND q.site_id > (SELECT after_site FROM a) ORDER BY q.site_id)
      UNION ALL
      (SELECT q.site_id, q.weight FROM queue_sites q
        WHERE NOT q.paused AND q.site_id <= (SELECT after_site FROM a) ORDER BY q.site_id)
    ),
    l AS MATERIALIZED (
      SELECT n.*, row_number() OVER () AS place
      FROM s CROSS JOIN LATERAL (
        SELECT o.lane_id, o.site_id, o.pool_id,
          CASE WHEN o.min_gap > '0' OR o.rate_interval IS NOT NULL THEN 1
            ELSE least(o.cap - o.inflight, o.pending, (SELECT quantum FROM a)) END AS take
        FROM lanes o
        WHERE o.site_id = s.site_id AND o.runnable_at <= statement_timestamp() AND o.runnable_at < 'infinity'
          AND o.kind || '' = ANY ((SELECT kinds FROM a)::text[])
        ORDER BY o.runnable_at LIMIT (SELECT quantum FROM a) * s.weight
        FOR NO KEY UPDATE SKIP LOCKED
      ) n LIMIT (SELECT want FROM a)
    ),
    b AS MATERIALIZED (
      SELECT o.pool_id, o.parent_id
      FROM (SELECT DISTINCT l.pool_id FROM l WHERE l.pool_id IS NOT NULL) u
      JOIN lane_pools o ON o.pool_id = u.pool_id
    ),
    w AS MATERIALIZED (SELECT b.pool_id FROM b UNION SELECT b.parent_id FROM b WHERE b.parent_id IS NOT NULL),
    m AS MATERIALIZED (
      SELECT o.* FROM w JOIN lane_pools o ON o.pool_id = w.pool_id
      WHERE o.rate_interval IS NOT NULL OR o.probe_for IS NOT NULL
      FOR NO KEY UPDATE OF o SKIP LOCKED
    ),
    p AS MATERIALIZED (
      SELECT m.pool_id, m.rate_interval,
        greatest(m.blocked_until, CASE WHEN m.rate_interval IS NOT NULL THEN m.tat - m.rate_burst END) AS next_at,
        CASE WHEN m.blocked_until > a.t THEN 0 ELSE least(
          CASE WHEN m.probe_for IS NULL THEN 1000000 ELSE 1 END,
          CASE WHEN m.rate_interval IS NULL THEN 1000000
            ELSE least(1000000, greatest(0, 1 + floor(extract(epoch FROM (a.t + m.rate_burst - greatest(m.tat, a.t)))
              / extract(epoch FROM m.rate_interval))))::int END) END AS allowed
      FROM m CROSS JOIN a
      UNION ALL
      SELECT o.pool_id, NULL, o.blocked_until, CASE WHEN o.blocked_until > a.t THEN 0 ELSE 1000000 END
      FROM a CROSS JOIN w JOIN lane_pools o ON o.pool_id = w.pool_id
      WHERE o.rate_interval IS NULL AND o.probe_for IS NULL
    )
    """

  /// `x`: the jobs that are ours now. Leases come from the DELETE, never from what a SELECT saw: its snapshot may be
  /// older than the lane's lock, and then the job may have run already.
  static let jobs: StaticString = """
    f AS MATERIALIZED (
      SELECT l.lane_id, l.pool_id, b.parent_id, l.place, c.place_in_ready,
        row_number() OVER (PARTITION BY l.pool_id ORDER BY l.place) AS rank
      FROM l LEFT JOIN b ON b.pool_id = l.pool_id CROSS JOIN LATERAL (
        SELECT r.ctid AS place_in_ready FROM ready r WHERE r.lane_id = l.lane_id
        ORDER BY r.priority, r.due_at, r.job_id LIMIT l.take
      ) c LIMIT (SELECT want FROM a)
    ),
    h AS MATERIALIZED (
      SELECT f.*, row_number() OVER (PARTITION BY f.parent_id ORDER BY f.place) AS outer_rank
      FROM f WHERE f.pool_id IS NULL OR f.rank <= (SELECT p.allowed FROM p WHERE p.pool_id = f.pool_id)
    ),
    d AS (
      DELETE FROM ready r USING h
      WHERE r.ctid = h.place_in_ready
        AND (h.parent_id IS NULL OR h.outer_rank <= (SELECT p.allowed FROM p WHERE p.pool_id = h.parent_id))
      RETURNING r.*, h.pool_id, h.place
    ),
    x AS MATERIALIZED (
      SELECT d.*, nextval('lease_fences') AS fence, coalesce(j.kind, '') AS kind, j.payload, j.max_attempts, j.canceled_at
      FROM d LEFT JOIN jobs j ON j.job_id = d.job_id
    ),
    e AS (
      INSERT INTO leases
        (job_id, fence, node_epoch, lane_id, group_id, site_id, due_at, claimed_at, priority, attempts, live, kind)
      SELECT x.job_id, x.fence, a.epoch, x.lane_id, x.group_id, x.site_id, x.due_at, a.t, x.priority,
        x.attempts + 1, x.live, x.kind
      FROM x CROSS JOIN a
    )
    """

  /// `u`: the lanes' new counters, gap and rate. Lanes whose pool is used up wait for it, one behind the other, so that
  /// they are not all looked at each time that it allows one job.
  static let counters: StaticString = """
    k AS MATERIALIZED (
      SELECT m.lane_id, m.pool_id, sum(m.n)::int AS n
      FROM (
        SELECT d.lane_id, d.pool_id, 1 AS n FROM d
        UNION ALL
        SELECT l.lane_id, l.pool_id, 0 FROM l WHERE l.pool_id IS NOT NULL
      ) m GROUP BY 1, 2
    ),
    g AS MATERIALIZED (
      SELECT b.pool_id, b.parent_id, least(i.allowed, o.allowed) AS allowed,
        greatest(CASE WHEN i.allowed = 0 THEN i.next_at END, CASE WHEN o.allowed = 0 THEN o.next_at END) AS next_at,
        greatest(CASE WHEN i.allowed = 0 THEN i.rate_interval END, CASE WHEN o.allowed = 0 THEN o.rate_interval END) AS step
      FROM b LEFT JOIN p i ON i.pool_id = b.pool_id LEFT JOIN p o ON o.pool_id = b.parent_id
    ),
    t AS MATERIALIZED (
      SELECT k.lane_id, k.n, g.allowed,
        g.next_at + least(interval '5 s', coalesce(
          (row_number() OVER (PARTITION BY coalesce(g.parent_id, g.pool_id), k.n = 0) - 1) * g.step, interval '0')) AS next_at
      FROM k LEFT JOIN g ON g.pool_id = k.pool_id
    ),
    u AS (
      UPDATE lanes o SET pending = o.pending - t.n, inflight = o.inflight + t.n,
        next_slot_at = CASE WHEN t.n > 0 AND o.min_gap > '0' THEN greatest(a.t, o.next_slot_at) + o.min_gap
          ELSE o.next_slot_at END,
        tat = CASE WHEN o.rate_interval IS NULL THEN o.tat ELSE greatest(a.t, o.tat) + t.n * o.rate_interval END,
        runnable_at = CASE
          WHEN o.paused OR o.pending <= t.n OR o.inflight + t.n >= o.cap THEN 'infinity'
          ELSE greatest(a.t, o.blocked_until,
            CASE WHEN t.n > 0 AND o.min_gap > '0' THEN greatest(a.t, o.next_slot_at) + o.min_gap
              ELSE o.next_slot_at END,
            CASE WHEN o.rate_interval IS NOT NULL
              THEN greatest(a.t, o.tat) + t.n * o.rate_interval - o.rate_burst END,
            CASE WHEN t.n = 0 THEN t.next_at END)
          END
      FROM a CROSS JOIN t
      WHERE o.lane_id = t.lane_id AND (t.n > 0 OR t.allowed = 0)
      RETURNING o.runnable_at
    ),
    debit AS (
      UPDATE lane_pools o SET tat = CASE WHEN o.rate_interval IS NULL THEN o.tat
          ELSE greatest(a.t, o.tat) + c.n * o.rate_interval END,
        blocked_until = CASE WHEN o.probe_for IS NULL THEN o.blocked_until
          ELSE greatest(o.blocked_until, a.t + o.probe_for) END
      FROM a CROSS JOIN (
        SELECT y.pool_id, sum(y.n)::int AS n
        FROM (
          SELECT k.pool_id, k.n FROM k WHERE k.n > 0
          UNION ALL
          SELECT b.parent_id, k.n FROM k JOIN b ON b.pool_id = k.pool_id WHERE k.n > 0
        ) y WHERE y.pool_id IS NOT NULL GROUP BY 1
      ) c
      WHERE o.pool_id = c.pool_id AND (o.rate_interval IS NOT NULL OR o.probe_for IS NOT NULL)
    )
    """
}
