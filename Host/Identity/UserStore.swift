package import FoundationEssentials
package import Postgres

/// A person who may sign in.
package struct User: Sendable, Equatable {
  package var id: Int64
  package var email: String
  package var name: String
  package var isOperator: Bool
  package var createdAt: Date
  /// Since when the user may not sign in; nil for everybody else.
  package var disabledAt: Date?
}

/// Somebody's role in a site.
package struct Member: Sendable, Equatable {
  package var user: User
  package var role: Role
}

/// People and their roles in sites.
package struct UserStore: Sendable {
  private let pool: Pool

  package init(pool: Pool) {
    self.pool = pool
  }

  /// - Throws: ``IdentityError/invalidEmail(_:)`` for what is no e-mail address.
  package static func check(email: String) throws(IdentityError) {
    let parts = email.split(separator: "@", omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, parts[1].contains("."), email.utf8.count <= 254,
      !email.contains(where: \.isWhitespace)
    else { throw IdentityError.invalidEmail(email) }
  }

  package func create(email: String, name: String, isOperator: Bool, in tx: Transaction) async throws -> User {
    try Self.check(email: email)
    do {
      let rows = try await tx.query(
        """
        INSERT INTO users (email, name, is_operator) VALUES (\(email), \(name), \(isOperator))
        RETURNING \(fragment: Self.columns)
        """
      )
      guard let user = try rows.first.map(Self.user) else { throw IdentityError.unknownUser(email) }
      return user
    } catch let error as PostgresError where error.isUniqueViolation {
      throw IdentityError.emailTaken(email)
    }
  }

  package func user(email: String) async throws -> User {
    let rows = try await pool.query(
      """
      SELECT \(fragment: Self.columns) FROM users
      WHERE lower(email) = lower(\(email)) AND deactivated_at IS NULL
      """
    )
    guard let row = rows.first else { throw IdentityError.unknownUser(email) }
    return try Self.user(row)
  }

  /// Everybody, also who is disabled.
  ///
  /// - Parameters:
  ///   - after: only users with a higher id.
  ///   - limit: how many at most; nil: all.
  package func list(after: Int64 = 0, limit: Int? = nil) async throws -> [User] {
    try await pool.query(
      "SELECT \(fragment: Self.columns) FROM users WHERE id > \(after) ORDER BY id LIMIT \(limit.map { Int64($0) })"
    ).map(Self.user)
  }

  package func user(_ id: Int64) async throws -> User {
    let rows = try await pool.query("SELECT \(fragment: Self.columns) FROM users WHERE id = \(id)")
    guard let row = rows.first else { throw IdentityError.unknownUser("\(id)") }
    return try Self.user(row)
  }

  /// Lets a user in no more, or again. Sessions and links of a disabled user are gone for good; its tokens work again
  /// when the user does.
  package func setDisabled(_ isDisabled: Bool, user: Int64, in tx: Transaction) async throws {
    let count = try await tx.execute(
      """
      UPDATE users SET deactivated_at = CASE WHEN \(isDisabled) THEN coalesce(deactivated_at, now()) END
      WHERE id = \(user)
      """
    )
    guard count == 1 else { throw IdentityError.unknownUser("\(user)") }
    guard isDisabled else { return }
    try await tx.execute("DELETE FROM sessions WHERE user_id = \(user)")
    try await tx.execute("DELETE FROM sign_in_links WHERE user_id = \(user) AND used_at IS NULL")
  }

  // MARK: Roles

  /// The people of a site by their ids.
  package func members(of site: Int64, after: Int64, limit: Int) async throws -> [Member] {
    try await pool.query(
      """
      SELECT \(fragment: Self.columns), s.role FROM users JOIN site_users s ON s.user_id = users.id
      WHERE s.site_id = \(site) AND users.id > \(after) ORDER BY users.id LIMIT \(limit)
      """
    ).compactMap { row in
      guard let role = Role(rawValue: try row.get("role")) else { return nil }
      return Member(user: try Self.user(row), role: role)
    }
  }

  /// Changes the role of a member.
  ///
  /// - Throws: ``IdentityError/lastOwner`` when the site would have no owner left.
  package func changeRole(_ role: Role, of user: Int64, in site: Int64, in tx: Transaction) async throws {
    let before = try await currentRole(of: user, in: site, in: tx)
    try await setRole(role, of: user, in: site, in: tx)
    if before == .owner, role != .owner { try await requireOwner(of: site, in: tx) }
  }

  /// Takes a member out of a site.
  ///
  /// - Throws: ``IdentityError/lastOwner`` when the site would have no owner left.
  package func removeMember(_ user: Int64, from site: Int64, in tx: Transaction) async throws {
    let before = try await currentRole(of: user, in: site, in: tx)
    try await tx.execute("DELETE FROM site_users WHERE site_id = \(site) AND user_id = \(user)")
    try await SessionStore.rotateLater(user: user, in: tx)
    if before == .owner { try await requireOwner(of: site, in: tx) }
  }

  /// Gives a user at least a role in a site.
  package func admit(_ user: Int64, as role: Role, to site: Int64, in tx: Transaction) async throws {
    let rows = try await tx.query(
      "SELECT role FROM site_users WHERE site_id = \(site) AND user_id = \(user) FOR UPDATE"
    )
    if let row = rows.first, let current = Role(rawValue: try row.get(0)), current >= role { return }
    try await setRole(role, of: user, in: site, in: tx)
  }

  private func currentRole(of user: Int64, in site: Int64, in tx: Transaction) async throws -> Role {
    // The site's row is locked first, so that two owners can not end each other at the same moment.
    try await tx.execute("SELECT FROM sites WHERE id = \(site) FOR UPDATE")
    let rows = try await tx.query("SELECT role FROM site_users WHERE site_id = \(site) AND user_id = \(user)")
    guard let row = rows.first, let role = Role(rawValue: try row.get(0)) else {
      throw IdentityError.unknownMember(user)
    }
    return role
  }

  private func requireOwner(of site: Int64, in tx: Transaction) async throws {
    let rows = try await tx.query(
      """
      SELECT FROM site_users s JOIN users u ON u.id = s.user_id AND u.deactivated_at IS NULL
      WHERE s.site_id = \(site) AND s.role = 'owner' LIMIT 1
      """
    )
    if rows.isEmpty { throw IdentityError.lastOwner }
  }

  /// Gives a user a role in a site, or another one.
  package func setRole(_ role: Role, of user: Int64, in site: Int64, in tx: Transaction) async throws {
    try await tx.execute(
      """
      INSERT INTO site_users (site_id, user_id, role) VALUES (\(site), \(user), \(role.rawValue))
      ON CONFLICT (site_id, user_id) DO UPDATE SET role = excluded.role
      """
    )
    try await SessionStore.rotateLater(user: user, in: tx)
  }

  private static let columns: SQL = """
    users.id, users.email, users.name, users.is_operator, users.created_at, users.deactivated_at
    """

  private static func user(_ row: Row) throws -> User {
    User(
      id: try row.get("id"),
      email: try row.get("email"),
      name: try row.get("name"),
      isOperator: try row.get("is_operator"),
      createdAt: try row.get("created_at"),
      disabledAt: try row.get("deactivated_at")
    )
  }
}
