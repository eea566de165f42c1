package import FoundationEssentials
package import Postgres

/// A connected account as people see it. Credentials are not part of it.
package struct Connection: Sendable, Equatable {
  package var id: Int64
  package var siteID: Int64
  package var platform: String
  package var accountID: String
  package var accountName: String
  package var accountHandle: String?
  package var accountURL: String?
  package var endpoint: String?
  /// The server that the user gave, for platforms that run on many.
  package var origin: String?
  /// active, expired, revoked or error.
  package var status: String
  package var statusReason: String?
  package var capabilities: String?
  package var expiresAt: Date?
  package var lastValidatedAt: Date?
  package var lastUsedAt: Date?
  package var createdAt: Date
  package var updatedAt: Date

  package var isActive: Bool { status == "active" }
}

/// Reads of connections. Every call runs in a transaction confined to the site.
package struct ConnectionStore: Sendable {
  package init() {}

  private static let columns: SQL = """
    c.id, c.site_id, c.platform, c.account_id, c.account_name, c.account_handle, c.account_url, c.endpoint, c.origin, c.status,
    c.status_reason, c.capabilities::text AS capabilities, c.expires_at, c.last_validated_at, c.last_used_at,
    c.created_at, c.updated_at
    """

  package func connection(_ id: Int64, in tx: Transaction) async throws -> Connection {
    let rows = try await tx.query(
      "SELECT \(fragment: Self.columns) FROM platform_connections c WHERE c.id = \(id) AND c.deleted_at IS NULL"
    )
    guard let row = rows.first else { throw PublishingError.notFound("connection", id) }
    return try Self.connection(row)
  }

  /// Connections, newest first, with ids below `before`.
  package func list(
    platform: String?,
    status: String?,
    before: Int64?,
    limit: Int,
    in tx: Transaction
  ) async throws -> [Connection] {
    try await tx.query(
      """
      SELECT \(fragment: Self.columns) FROM platform_connections c
      WHERE c.deleted_at IS NULL AND c.id < \(before ?? Int64.max)
        AND (\(platform)::text IS NULL OR c.platform = \(platform))
        AND (\(status)::text IS NULL OR c.status = \(status))
      ORDER BY c.id DESC LIMIT \(limit)
      """
    ).map(Self.connection)
  }

  private static func connection(_ row: Row) throws -> Connection {
    Connection(
      id: try row.get("id"),
      siteID: try row.get("site_id"),
      platform: try row.get("platform"),
      accountID: try row.get("account_id"),
      accountName: try row.get("account_name"),
      accountHandle: try row.get("account_handle"),
      accountURL: try row.get("account_url"),
      endpoint: try row.get("endpoint"),
      origin: try row.get("origin"),
      status: try row.get("status"),
      statusReason: try row.get("status_reason"),
      capabilities: try row.get("capabilities"),
      expiresAt: try row.get("expires_at"),
      lastValidatedAt: try row.get("last_validated_at"),
      lastUsedAt: try row.get("last_used_at"),
      createdAt: try row.get("created_at"),
      updatedAt: try row.get("updated_at")
    )
  }
}
