package import FoundationEssentials
package import Postgres

/// A person who may sign in.
package struct User: Sendable, Equatable {
  package var id: Int64
  package var email: String
  package var name: String
  package var isOperator: Bool
  package var createdAt: Date
}

/// People and their roles in sites.
package struct UserStore: Sendable {
  private let pool: Pool

  package init(pool: Pool) {
    self.pool = pool
  }

  package func create(email: String, name: String, isOperator: Bool, in tx: Transaction) async throws -> User {
    let parts = email.split(separator: "@", omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, parts[1].contains("."), email.utf8.count <= 254,
      !email.contains(where: \.isWhitespace)
    else { throw IdentityError.invalidEmail(email) }
    do {
      let rows = try await tx.query(
        """
        INSERT INTO users (email, name, is_operator) VALUES (\(email), \(name), \(isOperator))
        RETURNING id, email, name, is_operator, created_at
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
      SELECT id, email, name, is_operator, created_at FROM users
      WHERE lower(email) = lower(\(email)) AND deactivated_at IS NULL
      """
    )
    guard let row = rows.first else { throw IdentityError.unknownUser(email) }
    return try Self.user(row)
  }

  package func list() async throws -> [User] {
    try await pool.query(
      "SELECT id, email, name, is_operator, created_at FROM users WHERE deactivated_at IS NULL ORDER BY id"
    ).map(Self.user)
  }

  /// Gives a user a role in a site, or another one.
  package func setRole(_ role: Role, of user: Int64, in site: Int64, in tx: Transaction) async throws {
    try await tx.execute(
      """
      INSERT INTO site_users (site_id, user_id, role) VALUES (\(site), \(user), \(role.rawValue))
      ON CONFLICT (site_id, user_id) DO UPDATE SET role = excluded.role
      """
    )
  }

  private static func user(_ row: Row) throws -> User {
    User(
      id: try row.get("id"),
      email: try row.get("email"),
      name: try row.get("name"),
      isOperator: try row.get("is_operator"),
      createdAt: try row.get("created_at")
    )
  }
}
