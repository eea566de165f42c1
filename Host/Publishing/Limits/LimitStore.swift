package import FoundationEssentials
package import PluginManifest
package import Postgres

/// One limit of an account and how much of it is left.
package struct Quota: Sendable, Equatable {
  package enum Source: String, Sendable, CaseIterable {
    /// The platform said so in its newest answer.
    case headers
    /// The host's own bucket: what may go out at once.
    case ownCount
    /// The same, of a limit that an operator set.
    case override
  }

  package var scope: LimitScope
  /// The manifest's rule, for what the platform reported.
  package var rule: String?
  package var source: Source
  package var limit: Int64?
  package var remaining: Int64?
  /// When all of it is there again; nil when it is, or when nobody knows.
  package var resetsAt: Date?
  package var measuredAt: Date

  /// Whether four fifths or more are used up.
  package var isLow: Bool {
    guard let limit, let remaining, limit > 0 else { return false }
    return remaining * 5 <= limit
  }
}

/// Something that keeps accounts still for a time.
package struct LaneHold: Sendable, Equatable {
  package enum Extent: String, Sendable, CaseIterable {
    case connection
    /// All accounts of the site on the platform.
    case site
    /// All accounts on the platform.
    case platform
  }

  package var extent: Extent
  package var platform: String
  package var connectionID: Int64?
  package var until: Date
  package var reason: String?
}

/// A breaker that is not closed, as people see it.
package struct BreakerView: Sendable, Equatable {
  package var isPlatform: Bool
  package var phase: Breaker.Phase
  package var trips: Int
  package var openedAt: Date
  package var openUntil: Date
  package var error: String
}

/// Reads of limits. Every call runs in a transaction that sees at least the site.
package struct LimitStore: Sendable {
  package init() {}

  /// What keeps accounts of the site still, the longest first.
  ///
  /// - Parameter connection: only what concerns this account.
  package func holds(connection: Int64? = nil, in tx: Transaction) async throws -> [LaneHold] {
    let rows = try await tx.query(
      """
      SELECT 'connection' AS extent, c.platform, c.id, l.blocked_until AS until, l.block_reason AS reason
      FROM platform_connections c JOIN lanes l ON l.lane_id = c.lane_id
      WHERE c.deleted_at IS NULL AND (\(connection)::bigint IS NULL OR c.id = \(connection))
        AND l.blocked_until > clock_timestamp()
      UNION
      SELECT CASE WHEN q.site_id = 0 THEN 'platform' ELSE 'site' END, c.platform, NULL, q.blocked_until, q.block_reason
      FROM platform_connections c JOIN lanes l ON l.lane_id = c.lane_id JOIN lane_pools p ON p.pool_id = l.pool_id
      JOIN lane_pools q ON q.pool_id IN (p.pool_id, p.parent_id)
      WHERE c.deleted_at IS NULL AND (\(connection)::bigint IS NULL OR c.id = \(connection))
        AND q.blocked_until > clock_timestamp()
      ORDER BY 4 DESC, 1, 3 LIMIT 50
      """
    )
    return try rows.compactMap { row in
      guard let extent = LaneHold.Extent(rawValue: try row.get("extent")) else { return nil }
      return LaneHold(
        extent: extent,
        platform: try row.get("platform"),
        connectionID: try row.get("id"),
        until: try row.get("until"),
        reason: try row.get("reason")
      )
    }
  }

  /// The breakers of an account and of its platform that are not closed.
  package func breakers(connection: Int64, in tx: Transaction) async throws -> [BreakerView] {
    let rows = try await tx.query(
      """
      SELECT b.connection_id, b.trips, b.opened_at, b.open_until, b.last_error, clock_timestamp() AS now
      FROM platform_connections c JOIN breakers b ON b.platform = c.platform AND b.connection_id IN (0, c.id)
      WHERE c.id = \(connection) ORDER BY b.connection_id
      """
    )
    return try rows.map { row in
      let breaker = Breaker(
        trips: Int(try row.get("trips", as: Int32.self)),
        openedAt: try row.get("opened_at"),
        openUntil: try row.get("open_until")
      )
      return BreakerView(
        isPlatform: try row.get("connection_id", as: Int64.self) == 0,
        phase: breaker.phase(at: try row.get("now")),
        trips: breaker.trips,
        openedAt: breaker.openedAt,
        openUntil: breaker.openUntil,
        error: try row.get("last_error")
      )
    }
  }

  /// Every limit of an account that somebody knows: what the platform reported, and the host's own buckets.
  package func quotas(connection: Int64, in tx: Transaction) async throws -> [Quota] {
    let rows = try await tx.query(
      """
      SELECT t.scope, t.rule, 'headers' AS source, t.request_limit::bigint AS size,
        CASE WHEN t.resets_at <= clock_timestamp() THEN t.request_limit ELSE t.remaining END::bigint AS remaining,
        CASE WHEN t.resets_at > clock_timestamp() THEN t.resets_at END AS resets_at, t.updated_at AS measured_at, t.place
      FROM rate_limit_tracking t WHERE t.connection_id = \(connection) AND t.rule <> \(LimitRecorder.ownRule)
      UNION ALL
      SELECT l.scope, NULL, CASE WHEN EXISTS (SELECT FROM limit_overrides o WHERE o.platform = l.platform
          AND o.scope = l.scope AND o.connection_id IN (0, l.connection_id)) THEN 'override' ELSE 'ownCount' END,
        (\(fragment: LimitRecorder.bucketSize))::bigint, (\(fragment: LimitRecorder.bucketLeft))::bigint,
        CASE WHEN l.tat > clock_timestamp() THEN l.tat END, clock_timestamp(), 0
      FROM (
        SELECT c.id AS connection_id, c.platform, 'perAccount' AS scope, o.rate_interval, o.rate_burst, o.tat
        FROM platform_connections c JOIN lanes o ON o.lane_id = c.lane_id
        WHERE c.id = \(connection) AND o.rate_interval IS NOT NULL
        UNION ALL
        SELECT c.id, c.platform, CASE WHEN q.site_id = 0 THEN 'perApp' ELSE 'perSite' END, q.rate_interval, q.rate_burst,
          q.tat
        FROM platform_connections c JOIN lanes o ON o.lane_id = c.lane_id JOIN lane_pools p ON p.pool_id = o.pool_id
        JOIN lane_pools q ON q.pool_id IN (p.pool_id, p.parent_id)
        WHERE c.id = \(connection) AND q.rate_interval IS NOT NULL
      ) l
      ORDER BY scope, rule NULLS FIRST, place
      """
    )
    return try rows.compactMap { row in
      guard let scope = LimitScope(rawValue: try row.get("scope")),
        let source = Quota.Source(rawValue: try row.get("source"))
      else { return nil }
      return Quota(
        scope: scope,
        rule: try row.get("rule"),
        source: source,
        limit: try row.get("size"),
        remaining: try row.get("remaining"),
        resetsAt: try row.get("resets_at"),
        measuredAt: try row.get("measured_at")
      )
    }
  }
}
