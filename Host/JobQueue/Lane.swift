package import Postgres

/// A limit of "so many in such a time", kept as a generic cell rate.
package struct RateLimit: Hashable, Sendable {
  /// The time that one job costs.
  package var interval: Duration
  /// How far the jobs may run ahead of the rate; zero spaces them evenly.
  package var burst: Duration

  package init(interval: Duration, burst: Duration = .zero) {
    self.interval = interval
    self.burst = burst
  }

  /// At most `count` jobs in every window of the length `window`.
  ///
  /// Half of the count may come at once; the other half pays for what the burst adds, so no window sees more.
  package init(count: Int, per window: Duration) {
    let count = max(1, count)
    let together = max(1, count / 2)
    // A window admits the jobs that come at once and one more each interval.
    // Rounded up, because a division that rounds down would let one more in at the very end of a window.
    interval = window / max(1, count - together + 1) + .nanoseconds(1)
    burst = interval * (together - 1)
  }
}

/// What a lane allows; a lane is the unit of order, concurrency, gap and rate.
package struct LaneLimits: Hashable, Sendable {
  /// Jobs in flight at the same time, 1 to 10,000.
  package var cap: Int
  /// The time from the end of one job to the start of the next.
  package var minimumGap: Duration
  package var rate: RateLimit?

  package init(cap: Int = 1, minimumGap: Duration = .zero, rate: RateLimit? = nil) {
    self.cap = cap
    self.minimumGap = minimumGap
    self.rate = rate
  }
}

/// A lane to be made when there is none with its kind and key.
package struct LaneSpecification: Sendable {
  package var kind: String
  package var key: String
  package var siteID: Int64
  package var limits: LaneLimits
  package var poolID: Int64?

  /// - Parameter kind: The kind that a node must handle to claim from the lane; its jobs may have other kinds.
  package init(kind: String, key: String, siteID: Int64, limits: LaneLimits = LaneLimits(), poolID: Int64? = nil) {
    self.kind = kind
    self.key = key
    self.siteID = siteID
    self.limits = limits
    self.poolID = poolID
  }
}

/// Statements about lanes and pools, for use in the caller's own transaction; they run with the owner's rights.
package enum LaneStatements {
  /// Makes the lanes that do not exist; answers with `place` (from 1) and `lane_id` of every one.
  ///
  /// A lane that another transaction makes at the same moment can be missing in the answer; ask again.
  package static func ensure(_ lanes: [LaneSpecification]) -> SQL {
    """
    WITH i AS MATERIALIZED (
      SELECT * FROM unnest(
        \(lanes.map(\.kind)), \(lanes.map(\.key)), \(lanes.map(\.siteID)), \(lanes.map(\.poolID)),
        \(lanes.map { Int32(clamping: $0.limits.cap) }), \(lanes.map(\.limits.minimumGap.seconds)),
        \(lanes.map { $0.limits.rate?.interval.seconds ?? 0 }), \(lanes.map { $0.limits.rate?.burst.seconds ?? 0 })
      ) WITH ORDINALITY AS t(kind, key, site_id, pool_id, cap, min_gap, rate_interval, rate_burst, place)
    ), s AS (
      INSERT INTO queue_sites (site_id) SELECT DISTINCT i.site_id FROM i ON CONFLICT DO NOTHING
    ), n AS (
      INSERT INTO lanes (kind, key, site_id, pool_id, cap, min_gap, rate_interval, rate_burst)
      SELECT i.kind, i.key, i.site_id, i.pool_id, i.cap, i.min_gap * interval '1 s',
        nullif(i.rate_interval, 0) * interval '1 s', i.rate_burst * interval '1 s'
      FROM i ORDER BY i.kind, i.key
      ON CONFLICT (kind, key) DO NOTHING
      RETURNING lane_id, kind, key
    )
    SELECT i.place, coalesce(n.lane_id, l.lane_id) AS lane_id
    FROM i LEFT JOIN n ON n.kind = i.kind AND n.key = i.key LEFT JOIN lanes l ON l.kind = i.kind AND l.key = i.key
    WHERE coalesce(n.lane_id, l.lane_id) IS NOT NULL
    ORDER BY i.place
    """
  }

  /// What a lane is to allow from its next claim on.
  package struct Change: Sendable {
    package var laneID: Int64
    package var limits: LaneLimits
    package var poolID: Int64?

    package init(laneID: Int64, limits: LaneLimits, poolID: Int64?) {
      self.laneID = laneID
      self.limits = limits
      self.poolID = poolID
    }
  }

  /// Changes what a lane allows, from its next claim on.
  package static func configure(_ laneID: Int64, _ limits: LaneLimits, poolID: Int64?) -> SQL {
    configure([Change(laneID: laneID, limits: limits, poolID: poolID)])
  }

  /// Changes what lanes allow; those that allow it already are left alone. Answers with the changed ones' `lane_id`.
  package static func configure(_ changes: [Change]) -> SQL {
    """
    WITH i AS MATERIALIZED (
      SELECT t.lane_id, t.pool_id, t.cap, t.min_gap * interval '1 s' AS min_gap,
        nullif(t.rate_interval, 0) * interval '1 s' AS rate_interval, t.rate_burst * interval '1 s' AS rate_burst
      FROM unnest(
        \(changes.map(\.laneID)), \(changes.map(\.poolID)), \(changes.map { Int32(clamping: $0.limits.cap) }),
        \(changes.map(\.limits.minimumGap.seconds)), \(changes.map { $0.limits.rate?.interval.seconds ?? 0 }),
        \(changes.map { $0.limits.rate?.burst.seconds ?? 0 })
      ) AS t(lane_id, pool_id, cap, min_gap, rate_interval, rate_burst)
    ), n AS MATERIALIZED (
      SELECT i.* FROM lanes o JOIN i ON i.lane_id = o.lane_id
      WHERE (o.pool_id, o.cap, o.min_gap, o.rate_interval, o.rate_burst)
        IS DISTINCT FROM (i.pool_id, i.cap, i.min_gap, i.rate_interval, i.rate_burst)
      ORDER BY o.lane_id FOR NO KEY UPDATE OF o
    )
    UPDATE lanes l SET cap = n.cap, min_gap = n.min_gap, rate_interval = n.rate_interval, rate_burst = n.rate_burst,
      pool_id = n.pool_id,
      runnable_at = CASE WHEN l.paused OR l.pending <= 0 OR l.inflight >= n.cap THEN 'infinity'
        ELSE greatest(statement_timestamp(), l.next_slot_at, l.blocked_until,
          CASE WHEN n.rate_interval IS NOT NULL THEN l.tat - n.rate_burst END) END
    FROM n WHERE l.lane_id = n.lane_id
    RETURNING l.lane_id
    """
  }

  /// Stops or starts a lane. From the commit on nothing is claimed from it, and what was claimed starts no effect;
  /// what has begun goes on.
  package static func setPaused(_ laneID: Int64, _ paused: Bool) -> SQL {
    """
    UPDATE lanes l SET paused = \(paused),
      runnable_at = CASE WHEN \(paused) OR l.pending <= 0 OR l.inflight >= l.cap THEN 'infinity'
        ELSE greatest(statement_timestamp(), l.next_slot_at, l.blocked_until,
          CASE WHEN l.rate_interval IS NOT NULL THEN l.tat - l.rate_burst END) END
    WHERE l.lane_id = \(laneID)
    """
  }

  /// Stops or starts everything of a site, by the same rules as ``setPaused(_:_:)``; call ``JobQueue/wake(dueAt:)`` after
  /// a start.
  package static func setSitePaused(_ siteID: Int64, _ paused: Bool) -> SQL {
    """
    INSERT INTO queue_sites (site_id, paused) VALUES (\(siteID), \(paused))
    ON CONFLICT (site_id) DO UPDATE SET paused = excluded.paused
    """
  }

  /// Sets a site's share of the claims and whether anything of it runs.
  package static func setSite(_ siteID: Int64, weight: Int, paused: Bool) -> SQL {
    """
    INSERT INTO queue_sites (site_id, weight, paused) VALUES (\(siteID), \(Int16(clamping: weight)), \(paused))
    ON CONFLICT (site_id) DO UPDATE SET weight = excluded.weight, paused = excluded.paused
    """
  }
}

extension Duration {
  /// The duration as a number of seconds, as statements take it.
  package var seconds: Double {
    let (seconds, attoseconds) = components
    return Double(seconds) + Double(attoseconds) / 1e18
  }
}
