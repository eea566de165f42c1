import Cryptography
package import FoundationEssentials
package import Postgres

/// A stored file as people and posts refer to it.
package struct MediaItem: Sendable, Equatable {
  package var id: Int64
  package var siteID: Int64
  /// Lower-case hexadecimal SHA-256 of the content.
  package var sha256: String
  package var bytes: Int64
  package var type: String
  package var width: Int?
  package var height: Int?
  package var fileName: String
  package var alt: String
  package var createdAt: Date
}

/// The rows of stored files. Every call runs in a transaction confined to the site.
package struct MediaCatalogue: Sendable {
  package init() {}

  private static let columns: SQL = """
    id, site_id, encode(sha256, 'hex') AS sha256, bytes, content_type, width, height, file_name, alt, created_at
    """

  /// Adds a file. The same content twice in one site is one item.
  package func add(
    sha256: [UInt8],
    bytes: Int64,
    format: MediaFormat,
    fileName: String,
    alt: String,
    site: Int64,
    user: Int64?,
    in tx: Transaction
  ) async throws -> MediaItem {
    let rows = try await tx.query(
      """
      INSERT INTO media (site_id, sha256, bytes, content_type, width, height, file_name, alt, created_by)
      VALUES (\(site), \(sha256), \(bytes), \(format.type), \(format.width.map { Int32(clamping: $0) }),
        \(format.height.map { Int32(clamping: $0) }), \(fileName), \(alt), \(user))
      ON CONFLICT (site_id, sha256) WHERE deleted_at IS NULL
        DO UPDATE SET alt = CASE WHEN excluded.alt = '' THEN media.alt ELSE excluded.alt END
      RETURNING \(fragment: Self.columns)
      """
    )
    guard let row = rows.first else { throw MediaError.notFound(0) }
    return try Self.item(row)
  }

  package func item(_ id: Int64, in tx: Transaction) async throws -> MediaItem {
    let rows = try await tx.query(
      "SELECT \(fragment: Self.columns) FROM media WHERE id = \(id) AND deleted_at IS NULL"
    )
    guard let row = rows.first else { throw MediaError.notFound(id) }
    return try Self.item(row)
  }

  /// Files, newest first, with ids below `before`.
  package func list(before: Int64?, limit: Int, in tx: Transaction) async throws -> [MediaItem] {
    try await tx.query(
      """
      SELECT \(fragment: Self.columns) FROM media WHERE deleted_at IS NULL AND id < \(before ?? Int64.max)
      ORDER BY id DESC LIMIT \(limit)
      """
    ).map(Self.item)
  }

  /// Changes the words for people who can not see the file.
  package func update(_ id: Int64, alt: String, in tx: Transaction) async throws -> MediaItem {
    let rows = try await tx.query(
      "UPDATE media SET alt = \(alt) WHERE id = \(id) AND deleted_at IS NULL RETURNING \(fragment: Self.columns)"
    )
    guard let row = rows.first else { throw MediaError.notFound(id) }
    return try Self.item(row)
  }

  /// Hides a file. Its bytes stay for the deliveries that use it.
  package func delete(_ id: Int64, in tx: Transaction) async throws {
    let count = try await tx.execute("UPDATE media SET deleted_at = now() WHERE id = \(id) AND deleted_at IS NULL")
    if count == 0 { throw MediaError.notFound(id) }
  }

  private static func item(_ row: Row) throws -> MediaItem {
    MediaItem(
      id: try row.get("id"),
      siteID: try row.get("site_id"),
      sha256: try row.get("sha256"),
      bytes: try row.get("bytes"),
      type: try row.get("content_type"),
      width: try row.get("width", as: Int32?.self).map(Int.init),
      height: try row.get("height", as: Int32?.self).map(Int.init),
      fileName: try row.get("file_name"),
      alt: try row.get("alt"),
      createdAt: try row.get("created_at")
    )
  }
}
