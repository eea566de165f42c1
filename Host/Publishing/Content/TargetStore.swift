package import FoundationEssentials
package import Postgres

/// Named publishing settings over a connection.
package struct Target: Sendable, Equatable {
  package var id: Int64
  package var siteID: Int64
  package var connectionID: Int64
  package var platform: String
  package var name: String
  /// `{hashtags?, includeLink?, text?, options?}` as JSON text.
  package var defaultPayload: String
  package var isActive: Bool
  /// The most posts an hour that the site allows on this account; nil: the platform's own limit alone.
  package var rateLimitPerHour: Int?
  package var version: Int
  package var createdAt: Date
  package var updatedAt: Date
}

/// The changeable part of a target; nil leaves a field as it is.
package struct TargetChange: Sendable, Equatable {
  package var name: String?
  package var defaultPayload: String?
  package var isActive: Bool?
  /// The outer nil leaves the limit, the inner nil removes it.
  package var rateLimitPerHour: Int??

  package init(
    name: String? = nil,
    defaultPayload: String? = nil,
    isActive: Bool? = nil,
    rateLimitPerHour: Int?? = nil
  ) {
    self.name = name
    self.defaultPayload = defaultPayload
    self.isActive = isActive
    self.rateLimitPerHour = rateLimitPerHour
  }
}

/// Publishing targets. Every call runs in a transaction confined to the site.
package struct TargetStore: Sendable {
  package init() {}

  private static let selection: SQL = """
    SELECT t.id, t.site_id, t.connection_id, c.platform, t.name, t.default_payload::text AS default_payload,
      t.is_active, t.rate_limit_per_hour, t.version, t.created_at, t.updated_at
    FROM publishing_targets t JOIN platform_connections c ON c.id = t.connection_id
    """

  package func create(
    name: String,
    connection: Int64,
    defaultPayload: String,
    isActive: Bool,
    rateLimitPerHour: Int?,
    site: Int64,
    in tx: Transaction
  ) async throws -> Target {
    let connections = try await tx.query(
      "SELECT FROM platform_connections WHERE id = \(connection) AND deleted_at IS NULL"
    )
    if connections.isEmpty { throw PublishingError.notFound("connection", connection, field: "connectionId") }
    let rows = try await naming(name) {
      try await tx.query(
        """
        INSERT INTO publishing_targets (site_id, connection_id, name, default_payload, is_active, rate_limit_per_hour)
        VALUES (\(site), \(connection), \(name), \(JSONB(text: defaultPayload)), \(isActive),
          \(rateLimitPerHour.map { Int32(clamping: $0) }))
        RETURNING id
        """
      )
    }
    guard let id = try rows.first?.get("id", as: Int64.self) else { throw PublishingError.notFound("site", site) }
    return try await target(id, in: tx)
  }

  package func target(_ id: Int64, in tx: Transaction) async throws -> Target {
    let rows = try await tx.query("\(fragment: Self.selection) WHERE t.id = \(id) AND t.deleted_at IS NULL")
    guard let row = rows.first else { throw PublishingError.notFound("target", id) }
    return try Self.target(row)
  }

  /// Targets, newest first, with ids below `before`.
  package func list(before: Int64?, limit: Int, in tx: Transaction) async throws -> [Target] {
    try await tx.query(
      """
      \(fragment: Self.selection) WHERE t.deleted_at IS NULL AND t.id < \(before ?? Int64.max)
      ORDER BY t.id DESC LIMIT \(limit)
      """
    ).map(Self.target)
  }

  /// - Parameter expectedVersion: the version that was edited; another one is a conflict. Nil skips the check.
  package func update(
    _ id: Int64,
    with change: TargetChange,
    expectedVersion: Int?,
    in tx: Transaction
  ) async throws -> Target {
    let rows = try await tx.query(
      "SELECT version FROM publishing_targets WHERE id = \(id) AND deleted_at IS NULL FOR UPDATE"
    )
    guard let row = rows.first else { throw PublishingError.notFound("target", id) }
    let version = Int(try row.get("version", as: Int32.self))
    if let expectedVersion, expectedVersion != version {
      throw PublishingError(
        .conflict,
        "version_conflict",
        "The target was changed by somebody else: it is at version \(version), you edited version \(expectedVersion)",
        field: "version"
      )
    }
    let limit = change.rateLimitPerHour
    _ = try await naming(change.name ?? "") {
      try await tx.query(
        """
        UPDATE publishing_targets SET name = coalesce(\(change.name), name),
          default_payload = coalesce(\(change.defaultPayload.map { JSONB(text: $0) }), default_payload),
          is_active = coalesce(\(change.isActive), is_active),
          rate_limit_per_hour = CASE WHEN \(limit != nil)
            THEN \((limit ?? nil).map { Int32(clamping: $0) }) ELSE rate_limit_per_hour END,
          version = version + 1, updated_at = now()
        WHERE id = \(id)
        """
      )
    }
    return try await target(id, in: tx)
  }

  package func delete(_ id: Int64, in tx: Transaction) async throws {
    let count = try await tx.execute(
      "UPDATE publishing_targets SET deleted_at = now() WHERE id = \(id) AND deleted_at IS NULL"
    )
    if count == 0 { throw PublishingError.notFound("target", id) }
  }

  private func naming(_ name: String, _ body: () async throws -> [Row]) async throws -> [Row] {
    do {
      return try await body()
    } catch let error as PostgresError where error.isUniqueViolation {
      throw PublishingError(.conflict, "target_name_taken", "There is already a target named “\(name)”", field: "name")
    }
  }

  private static func target(_ row: Row) throws -> Target {
    Target(
      id: try row.get("id"),
      siteID: try row.get("site_id"),
      connectionID: try row.get("connection_id"),
      platform: try row.get("platform"),
      name: try row.get("name"),
      defaultPayload: try row.get("default_payload"),
      isActive: try row.get("is_active"),
      rateLimitPerHour: try row.get("rate_limit_per_hour", as: Int32?.self).map(Int.init),
      version: Int(try row.get("version", as: Int32.self)),
      createdAt: try row.get("created_at"),
      updatedAt: try row.get("updated_at")
    )
  }
}
