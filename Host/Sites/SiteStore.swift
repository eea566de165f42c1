package import FoundationEssentials
package import Postgres

/// A tenant.
package struct Site: Sendable, Equatable {
  package var id: Int64
  package var name: String
  package var domain: String?
  /// IANA name, such as `Europe/Berlin`.
  package var timeZone: String
  /// Where browsers may go after a sign-in at a platform, beside the host itself; checked before they come here.
  package var returnAddresses: [String]
  package var version: Int
  package var createdAt: Date
  package var updatedAt: Date
}

/// Why a site could not be stored.
package enum SiteError: Error, Sendable, Equatable, CustomStringConvertible {
  case notFound(Int64)
  case domainTaken(String)
  case unknownTimeZone(String)
  case versionConflict(current: Int)

  package var description: String {
    switch self {
    case .notFound(let id): "There is no site \(id)"
    case .domainTaken(let domain): "Another site has the domain “\(domain)” already"
    case .unknownTimeZone(let zone): "“\(zone)” is no time zone of the IANA list; an example is “Europe/Berlin”"
    case .versionConflict(let current): "The site was changed by somebody else: it is at version \(current)"
    }
  }
}

/// Sites. Runs with the owner role, because a request for the list of sites has no site yet; callers pass the ids that
/// the person may see.
package struct SiteStore: Sendable {
  private let pool: Pool

  package init(pool: Pool) {
    self.pool = pool
  }

  /// Creates a site with its share of the queue. Runs inside the caller's transaction (owner scope).
  package func create(name: String, domain: String?, timeZone: String, in tx: Transaction) async throws -> Site {
    try await check(timeZone: timeZone, in: tx)
    do {
      let rows = try await tx.query(
        """
        INSERT INTO sites (name, domain, time_zone) VALUES (\(name), \(domain), \(timeZone))
        RETURNING id, name, domain, time_zone, return_addresses, version, created_at, updated_at
        """
      )
      guard let site = try rows.first.map(Self.site) else { throw SiteError.notFound(0) }
      try await tx.execute("INSERT INTO queue_sites (site_id) VALUES (\(site.id))")
      return site
    } catch let error as PostgresError where error.isUniqueViolation {
      throw SiteError.domainTaken(domain ?? "")
    }
  }

  /// The sites among `ids` that are not archived, by id, with ids above `after`. Nil ids: all sites.
  package func list(ids: [Int64]?, after: Int64, limit: Int) async throws -> [Site] {
    try await pool.query(
      """
      SELECT id, name, domain, time_zone, return_addresses, version, created_at, updated_at FROM sites
      WHERE archived_at IS NULL AND (\(ids == nil) OR id = ANY(\(ids ?? []))) AND id > \(after)
      ORDER BY id LIMIT \(limit)
      """
    ).map(Self.site)
  }

  package func site(_ id: Int64) async throws -> Site {
    let rows = try await pool.query(
      """
      SELECT id, name, domain, time_zone, return_addresses, version, created_at, updated_at FROM sites
      WHERE id = \(id) AND archived_at IS NULL
      """
    )
    guard let row = rows.first else { throw SiteError.notFound(id) }
    return try Self.site(row)
  }

  /// Changes a site. Nil leaves a field as it is.
  ///
  /// - Parameter expectedVersion: the version that was edited; another one is a conflict.
  package func update(
    _ id: Int64,
    name: String?,
    domain: String??,
    timeZone: String?,
    returnAddresses: [String]? = nil,
    expectedVersion: Int?,
    in tx: Transaction
  ) async throws -> Site {
    let current = try await tx.query("SELECT version FROM sites WHERE id = \(id) AND archived_at IS NULL FOR UPDATE")
    guard let row = current.first else { throw SiteError.notFound(id) }
    let version = Int(try row.get("version", as: Int32.self))
    if let expectedVersion, expectedVersion != version { throw SiteError.versionConflict(current: version) }
    if let timeZone { try await check(timeZone: timeZone, in: tx) }
    do {
      let rows = try await tx.query(
        """
        UPDATE sites SET name = coalesce(\(name), name),
          domain = CASE WHEN \(domain != nil) THEN \(domain ?? nil) ELSE domain END,
          time_zone = coalesce(\(timeZone), time_zone),
          return_addresses = CASE WHEN \(returnAddresses != nil) THEN \(returnAddresses ?? []) ELSE return_addresses END,
          version = version + 1, updated_at = now()
        WHERE id = \(id)
        RETURNING id, name, domain, time_zone, return_addresses, version, created_at, updated_at
        """
      )
      guard let site = try rows.first.map(Self.site) else { throw SiteError.notFound(id) }
      return site
    } catch let error as PostgresError where error.isUniqueViolation {
      throw SiteError.domainTaken((domain ?? nil) ?? "")
    }
  }

  private func check(timeZone: String, in tx: Transaction) async throws {
    // PostgreSQL's list is the one that schedules are computed with.
    let rows = try await tx.query("SELECT FROM pg_timezone_names WHERE name = \(timeZone)")
    if rows.isEmpty { throw SiteError.unknownTimeZone(timeZone) }
  }

  private static func site(_ row: Row) throws -> Site {
    Site(
      id: try row.get("id"),
      name: try row.get("name"),
      domain: try row.get("domain"),
      timeZone: try row.get("time_zone"),
      returnAddresses: try row.get("return_addresses"),
      version: Int(try row.get("version", as: Int32.self)),
      createdAt: try row.get("created_at"),
      updatedAt: try row.get("updated_at")
    )
  }
}
