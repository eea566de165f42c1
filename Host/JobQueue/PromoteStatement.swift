package import Postgres

/// Moves jobs whose time has come to their lanes.
///
/// Jobs of a paused group are parked, those of a cancelled group are dropped. It waits for locks of lanes, in the order
/// of their numbers, so it must be a transaction of its own. A paused group is locked while jobs are parked, so that
/// whoever resumes it finds all of them.
///
/// What moves comes from the DELETE, never from what the SELECT saw: a row that was changed in between is locked in its
/// new version, which this statement cannot delete, and would stand in two places.
package enum PromoteStatement {
  package struct Answer: Sendable {
    package var moved = 0
    /// Rows that were changed while they were looked for; the next promotion finds them.
    var missed = 0
    var runnable = 0
    var nextSlot: Duration?
    var nextDue: Duration?
  }

  /// - Parameters:
  ///   - lookahead: Jobs that are due within this time move too.
  ///   - turn: Which of them, where not all fit.
  package static func make(
    limit: Int,
    lookahead: Duration = .zero,
    turn: PromotionTurn = .oldest,
    hooks: ClosingHooks
  ) -> SQL {
    let ahead: SQL = "statement_timestamp() + \(lookahead.seconds) * interval '1 s'"
    return """
      WITH p AS MATERIALIZED (
        \(fragment: candidates(turn, limit: Int32(clamping: limit), ahead: ahead))
      ),
      \(trusted: moves)\(fragment: hooks.expressions)
      SELECT (SELECT count(*) FROM gone) AS moved, (SELECT count(*) FROM p) - (SELECT count(*) FROM gone) AS missed,
        (SELECT count(*) FROM u WHERE u.runnable_at <= statement_timestamp()) AS runnable,
        (SELECT extract(epoch FROM min(u.runnable_at) - clock_timestamp())::float8 FROM u
          WHERE u.runnable_at > statement_timestamp() AND u.runnable_at < 'infinity') AS next_slot_in,
        (SELECT extract(epoch FROM min(d.due_at) - clock_timestamp())::float8 FROM due d
          WHERE d.due_at > \(fragment: ahead)) AS next_due_in
      """
  }

  private static func candidates(_ turn: PromotionTurn, limit: Int32, ahead: SQL) -> SQL {
    switch turn {
    case .oldest:
      """
      SELECT d.ctid AS place, d.group_id, s.paused_at, s.canceled_at
      FROM due d LEFT JOIN job_groups s ON s.group_id = d.group_id
      WHERE d.due_at <= \(fragment: ahead) ORDER BY d.due_at LIMIT \(limit)::int
      FOR UPDATE OF d SKIP LOCKED
      """
    case .oldestOfEachSite:
      """
      SELECT d.place, d.group_id, s.paused_at, s.canceled_at
      FROM (SELECT greatest(1, \(limit)::int / greatest(1, count(*))) AS share FROM queue_sites) n
      CROSS JOIN queue_sites q
      CROSS JOIN LATERAL (
        SELECT d.ctid AS place, d.group_id FROM due d
        WHERE d.site_id = q.site_id AND d.due_at <= \(fragment: ahead) ORDER BY d.due_at LIMIT n.share
        FOR UPDATE SKIP LOCKED
      ) d
      LEFT JOIN job_groups s ON s.group_id = d.group_id
      """
    }
  }

  static func answer(_ rows: [Row]) throws(PostgresError) -> Answer {
    guard let row = rows.first else { return Answer() }
    return Answer(
      moved: Int(try row.get("moved", as: Int64.self)),
      missed: Int(try row.get("missed", as: Int64.self)),
      runnable: Int(try row.get("runnable", as: Int64.self)),
      nextSlot: try row.get("next_slot_in", as: Double?.self).map { .seconds($0) },
      nextDue: try row.get("next_due_in", as: Double?.self).map { .seconds($0) }
    )
  }

  private static let moves: StaticString = """
    held AS MATERIALIZED (
      SELECT s.group_id FROM job_groups s
      WHERE s.group_id IN (SELECT p.group_id FROM p WHERE p.paused_at IS NOT NULL AND p.canceled_at IS NULL)
        AND s.paused_at IS NOT NULL AND s.canceled_at IS NULL
      ORDER BY s.group_id FOR SHARE
    ),
    gone AS (DELETE FROM due d USING p WHERE d.ctid = p.place RETURNING d.*, p.paused_at, p.canceled_at),
    v AS MATERIALIZED (
      SELECT g.*, CASE WHEN g.live THEN 'run' WHEN g.canceled_at IS NOT NULL THEN 'drop'
        WHEN h.group_id IS NOT NULL THEN 'park' ELSE 'run' END AS way
      FROM gone g LEFT JOIN held h ON g.paused_at IS NOT NULL AND h.group_id = g.group_id
    ),
    park AS (
      INSERT INTO parked (lane_id, due_at, job_id, site_id, group_id, priority, attempts, live)
      SELECT v.lane_id, v.due_at, v.job_id, v.site_id, v.group_id, v.priority, v.attempts, v.live
      FROM v WHERE v.way = 'park'
    ),
    closed AS (
      DELETE FROM jobs j USING v WHERE v.way = 'drop' AND j.job_id = v.job_id
      RETURNING j.job_id, j.site_id, j.group_id, j.lane_id, j.kind, v.due_at, v.attempts
    ),
    history AS (
      INSERT INTO attempts (ended_at, job_id, fence, lane_id, group_id, site_id, due_at, attempt, outcome, kind)
      SELECT clock_timestamp(), c.job_id, 0, c.lane_id, c.group_id, c.site_id, c.due_at, c.attempts, 8, c.kind
      FROM closed c
    ),
    r AS (
      INSERT INTO ready (lane_id, due_at, job_id, site_id, group_id, priority, attempts, live)
      SELECT v.lane_id, v.due_at, v.job_id, v.site_id, v.group_id, v.priority, v.attempts, v.live
      FROM v WHERE v.way = 'run'
      RETURNING lane_id
    ),
    k AS MATERIALIZED (SELECT r.lane_id, count(*)::int AS n FROM r GROUP BY 1),
    lk AS MATERIALIZED (
      SELECT o.lane_id, k.n FROM lanes o JOIN k ON k.lane_id = o.lane_id ORDER BY o.lane_id FOR NO KEY UPDATE OF o
    ),
    u AS (
      UPDATE lanes o SET pending = o.pending + lk.n,
        runnable_at = CASE WHEN o.paused OR o.inflight >= o.cap THEN 'infinity'
          WHEN o.runnable_at < 'infinity' THEN o.runnable_at
          ELSE greatest(statement_timestamp(), o.next_slot_at, o.blocked_until,
            CASE WHEN o.rate_interval IS NOT NULL THEN o.tat - o.rate_burst END) END
      FROM lk WHERE o.lane_id = lk.lane_id
      RETURNING o.runnable_at
    )
    """
}

/// Whose jobs a promotion takes.
///
/// While more is due than one promotion moves, every other one takes the oldest of each site: a site that puts in very
/// many jobs at once would else keep what others put in after it from their lanes. Within a site, and so within a lane,
/// the order stays.
package enum PromotionTurn: Sendable {
  case oldest
  case oldestOfEachSite

  /// What comes after a promotion that moved as much as it may, or less.
  func next(isFull: Bool) -> PromotionTurn {
    self == .oldest && isFull ? .oldestOfEachSite : .oldest
  }
}
