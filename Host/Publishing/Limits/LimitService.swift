import FoundationEssentials
import JobQueue
package import PluginHost
package import PluginManifest
package import Postgres
import Synchronization

/// Keeps lanes and pools in line with what plugins, operators and sites allow.
package final class LimitService: Sendable {
  private let pool: Pool
  private let plugins: PluginHost
  private let limits: AccountLimits
  /// What the lanes were last brought in line with.
  private let applied = Mutex<String?>(nil)

  package init(pool: Pool, plugins: PluginHost, limits: AccountLimits) {
    self.pool = pool
    self.plugins = plugins
    self.limits = limits
  }

  /// The key of a platform's pools; the one of the whole host stands around those of the sites.
  static func poolKey(_ platform: String) -> String { "platform:\(platform)" }

  // MARK: Overrides

  /// Sets an operator's limit, or takes it away.
  ///
  /// - Parameters:
  ///   - connection: nil for all accounts of the platform.
  ///   - value: nil for what holds without one.
  ///   - also: What is stored in the same transaction.
  package func set(
    _ value: LimitOverride?,
    scope: LimitScope,
    platform: String,
    connection: Int64? = nil,
    user: Int64? = nil,
    also: [SQL] = []
  ) async throws {
    try await Self.store(
      value,
      scope: scope,
      platform: platform,
      connection: connection,
      user: user,
      also: also,
      in: pool
    )
    try await apply(platform: platform)
  }

  /// The rows alone; hosts notice within seconds.
  ///
  /// - Parameter also: What is stored in the same transaction.
  package static func store(
    _ value: LimitOverride?,
    scope: LimitScope,
    platform: String,
    connection: Int64? = nil,
    user: Int64? = nil,
    also: [SQL] = [],
    in pool: Pool
  ) async throws {
    let change = Self.change(value, scope: scope, platform: platform, connection: connection ?? 0, user: user)
    try await pool.batch([change] + also)
  }

  private static func change(
    _ value: LimitOverride?,
    scope: LimitScope,
    platform: String,
    connection id: Int64,
    user: Int64?
  ) -> SQL {
    guard let value else {
      return """
        DELETE FROM limit_overrides
        WHERE platform = \(platform) AND connection_id = \(id) AND scope = \(scope.rawValue)
        """
    }
    var numbers: (count: Int32, seconds: Int32)?
    if case .count(let count, let window) = value {
      numbers = (Int32(clamping: count), Int32(clamping: window.components.seconds))
    }
    return """
      INSERT INTO limit_overrides (platform, connection_id, scope, site_id, request_count, window_seconds, set_by)
      SELECT \(platform), \(id), \(scope.rawValue),
        coalesce((SELECT c.site_id FROM platform_connections c WHERE c.id = \(id)), 0), \(numbers?.count),
        \(numbers?.seconds), \(user)
      ON CONFLICT (platform, connection_id, scope) DO UPDATE SET request_count = excluded.request_count,
        window_seconds = excluded.window_seconds, set_by = excluded.set_by, set_at = now()
      """
  }

  /// What operators set for a platform, and for one of its accounts.
  package static func overrides(
    platform: String,
    connection: Int64? = nil,
    in pool: Pool
  ) async throws -> LimitOverrides {
    let rows = try await pool.query(
      """
      SELECT connection_id, scope, request_count, window_seconds FROM limit_overrides
      WHERE platform = \(platform) AND connection_id IN (0, \(connection ?? 0))
      """
    )
    var result = LimitOverrides()
    for row in rows {
      let value = try value(row)
      if try row.get("connection_id", as: Int64.self) != 0 {
        result.account = value
      } else if let scope = LimitScope(rawValue: try row.get("scope")) {
        result.platform[scope] = value
      }
    }
    return result
  }

  private static func value(_ row: Row) throws -> LimitOverride {
    guard let count = try row.get("request_count", as: Int32?.self),
      let seconds = try row.get("window_seconds", as: Int32?.self)
    else { return .unlimited }
    return .count(Int(count), per: .seconds(Int64(seconds)))
  }

  // MARK: Lanes

  /// What a lane of an account allows and the pool it is in; the pools are made when there are none.
  ///
  /// Call it outside of any transaction.
  func lane(
    for manifest: PluginManifest,
    site: Int64,
    connection: Int64?,
    perHour: Int? = nil
  ) async throws -> (limits: LaneLimits, poolID: Int64) {
    let overrides = try await Self.overrides(platform: manifest.id, connection: connection, in: pool)
    let outer = try await outerPool(manifest, overrides)
    let inner = try await innerPool(manifest, overrides, site: site, inside: outer)
    return (limits.lane(for: manifest, perHour: perHour, overrides: overrides), inner)
  }

  private func outerPool(_ manifest: PluginManifest, _ overrides: LimitOverrides) async throws -> Int64 {
    try await ensurePool(
      LaneStatements.ensurePool(
        siteID: JobQueue.hostSite,
        key: Self.poolKey(manifest.id),
        rate: limits.rate(.perApp, for: manifest, overrides: overrides)
      )
    )
  }

  private func innerPool(
    _ manifest: PluginManifest,
    _ overrides: LimitOverrides,
    site: Int64,
    inside outer: Int64
  ) async throws -> Int64 {
    try await ensurePool(
      LaneStatements.ensurePool(
        siteID: site,
        key: Self.poolKey(manifest.id),
        rate: limits.rate(.perSite, for: manifest, overrides: overrides),
        parentID: outer
      )
    )
  }

  private func ensurePool(_ statement: SQL) async throws -> Int64 {
    // A pool that another transaction makes at the same moment is visible to the next statement.
    for _ in 0..<20 {
      if let row = try await pool.query(statement).first { return try row.get("pool_id") }
    }
    throw PublishingError(.unavailable, "no_pool", "A pool of limits could not be made")
  }

  /// Brings all lanes in line when plugins or overrides changed since the last time.
  package func refresh() async throws {
    let rows = try await pool.query(
      "SELECT count(*) AS n, coalesce(max(set_at)::text, '') AS newest FROM limit_overrides"
    )
    let overrides = try rows.first.map { "\(try $0.get("n", as: Int64.self)) \(try $0.get("newest", as: String.self))" }
    let versions = plugins.manifests.map { "\($0.id) \($0.version)" }.sorted()
    let stand = ([overrides ?? ""] + versions).joined(separator: "\n")
    guard applied.withLock({ $0 }) != stand else { return }
    try await apply(platform: nil)
    applied.withLock { $0 = stand }
  }

  /// Brings the lanes of a platform's accounts, or of all, in line with their limits; writes only what differs.
  package func apply(platform: String?) async throws {
    for manifest in plugins.manifests where manifest.kind == .platform && (platform ?? manifest.id) == manifest.id {
      try await apply(manifest)
    }
  }

  private func apply(_ manifest: PluginManifest) async throws {
    let overrides = try await Self.overrides(platform: manifest.id, in: pool)
    let outer = try await outerPool(manifest, overrides)
    var pools: [Int64: Int64] = [:]
    var last: Int64 = 0
    while true {
      let rows = try await pool.query(
        """
        SELECT c.id, c.site_id, c.lane_id, c.platform, o.connection_id AS own, o.request_count, o.window_seconds,
          (SELECT min(t.rate_limit_per_hour) FROM publishing_targets t
            WHERE t.connection_id = c.id AND t.deleted_at IS NULL AND t.is_active) AS per_hour
        FROM platform_connections c
        LEFT JOIN limit_overrides o ON o.platform = c.platform AND o.connection_id = c.id AND o.scope = 'perAccount'
        WHERE c.platform = \(manifest.id) AND c.deleted_at IS NULL AND c.id > \(last) ORDER BY c.id LIMIT 1000
        """
      )
      var changes: [LaneStatements.Change] = []
      for row in rows {
        last = try row.get("id")
        let site: Int64 = try row.get("site_id")
        if pools[site] == nil { pools[site] = try await innerPool(manifest, overrides, site: site, inside: outer) }
        var own = overrides
        if try row.get("own", as: Int64?.self) != nil { own.account = try Self.value(row) }
        let perHour = try row.get("per_hour", as: Int32?.self).map(Int.init)
        changes.append(
          LaneStatements.Change(
            laneID: try row.get("lane_id"),
            limits: limits.lane(for: manifest, perHour: perHour, overrides: own),
            poolID: pools[site]
          )
        )
      }
      if !changes.isEmpty { try await pool.execute(LaneStatements.configure(changes)) }
      if rows.count < 1000 { return }
    }
  }

  /// Takes one more turn for a delivery that makes several posts.
  ///
  /// - Returns: how long to wait for one, because a limit is used up and nothing was taken; nil when the turn is there.
  func takeTurn(of lane: Int64) async throws -> Duration? {
    try await pool.query(LaneStatements.takeTurn(of: lane)).first.map { .seconds(try $0.get("wait", as: Double.self)) }
  }

  /// Keeps all accounts that share a limit still, after the platform said that it is used up.
  func block(_ pause: QuotaPacing.Pause, platform: String, site: Int64) async throws {
    let owner = pause.scope == .perApp ? JobQueue.hostSite : site
    let rows = try await pool.query(
      "SELECT pool_id FROM lane_pools WHERE site_id = \(owner) AND key = \(Self.poolKey(platform))"
    )
    guard let poolID = try rows.first?.get("pool_id", as: Int64.self) else { return }
    try await pool.execute(LaneStatements.blockPool(poolID, for: pause.duration, pause.reason))
  }
}
