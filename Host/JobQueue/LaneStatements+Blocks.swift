package import Postgres

/// Statements that keep lanes and pools still for a time.
extension LaneStatements {
  /// Keeps a lane still for a time; a longer block stays.
  package static func block(_ laneID: Int64, for duration: Duration, _ reason: BlockReason) -> SQL {
    """
    UPDATE lanes l SET blocked_until = greatest(l.blocked_until, n.until),
      block_reason = CASE WHEN n.until > l.blocked_until THEN \(reason.rawValue) ELSE l.block_reason END,
      runnable_at = CASE WHEN l.runnable_at < 'infinity' THEN greatest(l.runnable_at, n.until) ELSE l.runnable_at END
    FROM (SELECT clock_timestamp() + \(duration.seconds) * interval '1 s' AS until) n
    WHERE l.lane_id = \(laneID)
    """
  }

  /// Makes a pool, a limit that several lanes share, or changes it; answers with `pool_id`.
  ///
  /// Run it in a transaction of its own: whoever holds a pool must not wait for a lane.
  /// - Parameter parentID: A pool around this one, whose limit counts as well.
  package static func ensurePool(siteID: Int64, key: String, rate: RateLimit?, parentID: Int64? = nil) -> SQL {
    """
    WITH i AS (
      SELECT \(siteID)::bigint AS site_id, \(key)::text AS key, \(parentID)::bigint AS parent_id,
        nullif(\(rate?.interval.seconds ?? 0), 0) * interval '1 s' AS rate_interval,
        \(rate?.burst.seconds ?? 0) * interval '1 s' AS rate_burst
    ), n AS (
      INSERT INTO lane_pools (site_id, key, parent_id, rate_interval, rate_burst)
      SELECT i.site_id, i.key, i.parent_id, i.rate_interval, i.rate_burst FROM i
      ON CONFLICT (site_id, key) DO UPDATE
        SET parent_id = excluded.parent_id, rate_interval = excluded.rate_interval, rate_burst = excluded.rate_burst
        WHERE (lane_pools.parent_id, lane_pools.rate_interval, lane_pools.rate_burst)
          IS DISTINCT FROM (excluded.parent_id, excluded.rate_interval, excluded.rate_burst)
      RETURNING pool_id
    )
    SELECT pool_id FROM n
    UNION ALL
    SELECT o.pool_id FROM lane_pools o JOIN i ON o.site_id = i.site_id AND o.key = i.key
    LIMIT 1
    """
  }

  /// Keeps all lanes of a pool still for a time; a longer block stays.
  ///
  /// - Parameter probing: Then the pool gives out one job at a time and blocks itself for this long with each, until
  ///   ``open(pool:)`` says that all may go again; nil leaves that as it is.
  package static func blockPool(
    _ poolID: Int64,
    for duration: Duration,
    _ reason: BlockReason,
    probing: Duration? = nil
  ) -> SQL {
    """
    UPDATE lane_pools p SET blocked_until = greatest(p.blocked_until, n.until),
      block_reason = CASE WHEN n.until > p.blocked_until THEN \(reason.rawValue) ELSE p.block_reason END,
      probe_for = coalesce(\(probing?.seconds) * interval '1 s', p.probe_for)
    FROM (SELECT clock_timestamp() + \(duration.seconds) * interval '1 s' AS until) n
    WHERE p.pool_id = \(poolID)
    """
  }

  /// Ends a pool's probing and its block; ``wakeLanes(of:)`` lets the waiting lanes notice.
  package static func open(pool poolID: Int64) -> SQL {
    """
    UPDATE lane_pools SET probe_for = NULL, block_reason = NULL,
      blocked_until = CASE WHEN probe_for IS NULL THEN blocked_until ELSE '-infinity' END
    WHERE pool_id = \(poolID)
    """
  }

  /// Lets the lanes of a pool, and of the pools inside it, be looked at now; run it after the pool's own change.
  package static func wakeLanes(of poolID: Int64) -> SQL {
    """
    WITH n AS MATERIALIZED (
      SELECT l.lane_id FROM lanes l JOIN lane_pools p ON p.pool_id = l.pool_id
      WHERE l.runnable_at > statement_timestamp() AND l.runnable_at < 'infinity'
        AND (p.pool_id = \(poolID) OR p.parent_id = \(poolID))
      ORDER BY l.lane_id FOR NO KEY UPDATE OF l
    )
    UPDATE lanes l SET runnable_at = greatest(statement_timestamp(), l.next_slot_at, l.blocked_until,
      CASE WHEN l.rate_interval IS NOT NULL THEN l.tat - l.rate_burst END)
    FROM n WHERE l.lane_id = n.lane_id AND l.runnable_at < 'infinity'
    """
  }
}
