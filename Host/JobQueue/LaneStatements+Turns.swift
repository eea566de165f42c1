package import Postgres

extension LaneStatements {
  /// Takes one more turn of a lane's rate, and of the pools around it, for a job that is running.
  ///
  /// Answers with `wait`: nothing when it was taken, else the seconds until there is one; then nothing was taken.
  /// Run it in a transaction of its own: it waits for the lane and then for its pools.
  package static func takeTurn(of laneID: Int64) -> SQL {
    """
    WITH a AS MATERIALIZED (SELECT clock_timestamp() AS t),
    l AS MATERIALIZED (
      SELECT o.lane_id, o.pool_id, o.tat - o.rate_burst AS next_at
      FROM lanes o WHERE o.lane_id = \(laneID) FOR NO KEY UPDATE
    ),
    p AS MATERIALIZED (
      SELECT q.pool_id, q.tat - q.rate_burst AS next_at
      FROM lane_pools q
      WHERE q.rate_interval IS NOT NULL AND q.pool_id IN (
        SELECT l.pool_id FROM l UNION ALL SELECT i.parent_id FROM l JOIN lane_pools i ON i.pool_id = l.pool_id)
      ORDER BY q.pool_id FOR NO KEY UPDATE
    ),
    w AS MATERIALIZED (
      SELECT greatest(
        (SELECT l.next_at FROM l JOIN lanes o USING (lane_id) WHERE o.rate_interval IS NOT NULL),
        (SELECT max(p.next_at) FROM p)) AS next_at
    ),
    ul AS (
      UPDATE lanes o SET tat = greatest(a.t, o.tat) + o.rate_interval
      FROM l, w, a WHERE o.lane_id = l.lane_id AND o.rate_interval IS NOT NULL AND coalesce(w.next_at <= a.t, true)
    ),
    up AS (
      UPDATE lane_pools q SET tat = greatest(a.t, q.tat) + q.rate_interval
      FROM p, w, a WHERE q.pool_id = p.pool_id AND coalesce(w.next_at <= a.t, true)
    )
    SELECT extract(epoch FROM w.next_at - a.t)::float8 AS wait FROM w, a WHERE w.next_at > a.t
    """
  }
}
