package import Cryptography
package import FoundationEssentials
package import Postgres
import Synchronization

/// API tokens: made once, shown once, stored as a hash.
package final class TokenStore: Sendable {
  private struct Known {
    var principal: Principal
    var expiresAt: Date?
    var checkedAt: ContinuousClock.Instant
  }

  /// The first characters of every token, so that leak scanners can find one.
  package static let prefix = "rst_"
  /// How long a checked token is trusted without asking the database again; a revoked token lives this long at most.
  private static let trust: Duration = .seconds(5)
  private static let capacity = 10_000

  private let pool: Pool
  private let known = Mutex<[[UInt8]: Known]>([:])
  private let used = Mutex<Set<Int64>>([])

  package init(pool: Pool) {
    self.pool = pool
  }

  /// Makes a token. The returned text is the only copy.
  ///
  /// - Parameters:
  ///   - site: limits the token to one site; nil: all sites of the user.
  ///   - roleLimit: the highest role that the token has anywhere; nil: the user's own.
  package func create(
    user: Int64,
    site: Int64?,
    roleLimit: Role?,
    name: String,
    expiresAt: Date?,
    in tx: Transaction
  ) async throws -> (id: Int64, token: Secret) {
    let text = Self.prefix + Base64.encodeURL(RandomBytes.make(32))
    let rows = try await tx.query(
      """
      INSERT INTO api_tokens (user_id, site_id, role_limit, name, token_hash, hint, expires_at)
      VALUES (\(user), \(site), \(roleLimit?.rawValue), \(name), \(SHA256.digest(text)), \(String(text.suffix(4))),
        \(expiresAt))
      RETURNING id
      """
    )
    guard let id = try rows.first?.get("id", as: Int64.self) else { throw IdentityError.unknownUser("\(user)") }
    return (id, Secret(text))
  }

  /// All tokens, newest first, without what they are made of.
  package func list() async throws -> [StoredToken] {
    try await pool.query(
      """
      SELECT t.id, u.email, t.site_id, t.role_limit, t.name, t.hint, t.created_at, t.expires_at, t.last_used_at,
        t.revoked_at
      FROM api_tokens t JOIN users u ON u.id = t.user_id ORDER BY t.id DESC
      """
    ).map { row in
      StoredToken(
        id: try row.get("id"),
        email: try row.get("email"),
        siteID: try row.get("site_id"),
        roleLimit: try row.get("role_limit", as: String?.self).flatMap(Role.init),
        name: try row.get("name"),
        hint: try row.get("hint"),
        createdAt: try row.get("created_at"),
        expiresAt: try row.get("expires_at"),
        lastUsedAt: try row.get("last_used_at"),
        revokedAt: try row.get("revoked_at")
      )
    }
  }

  package func revoke(_ id: Int64) async throws {
    let count = try await pool.execute(
      "UPDATE api_tokens SET revoked_at = now() WHERE id = \(id) AND revoked_at IS NULL"
    )
    known.withLock { $0.removeAll() }
    if count == 0 { throw IdentityError.unknownToken(id) }
  }

  /// Forgets what is known of all tokens, after roles have changed, so that this host sees the change at once.
  package func forgetRoles() {
    known.withLock { $0.removeAll() }
  }

  /// Who holds the token; nil when it is unknown, expired or revoked, or its user is deactivated.
  package func principal(for token: String) async throws -> Principal? {
    guard token.hasPrefix(Self.prefix), token.utf8.count == 47 else { return nil }
    let hash = SHA256.digest(token)
    let now = ContinuousClock.now
    if let entry = known.withLock({ $0[hash] }), now - entry.checkedAt < Self.trust {
      return entry.expiresAt.map { $0 > Date() } ?? true ? entry.principal : nil
    }
    guard let (principal, expiresAt) = try await load(hash) else {
      known.withLock { _ = $0.removeValue(forKey: hash) }
      return nil
    }
    known.withLock { known in
      if known.count >= Self.capacity { known.removeAll() }
      known[hash] = Known(principal: principal, expiresAt: expiresAt, checkedAt: now)
    }
    if case .token(let id) = principal.credential { used.withLock { _ = $0.insert(id) } }
    return principal
  }

  /// Stores when the tokens seen since the last call were used.
  package func flushUse() async throws {
    let ids = used.withLock { used in
      defer { used.removeAll() }
      return Array(used)
    }
    guard !ids.isEmpty else { return }
    try await pool.execute("UPDATE api_tokens SET last_used_at = now() WHERE id = ANY(\(ids))")
  }

  private func load(_ hash: [UInt8]) async throws -> (Principal, Date?)? {
    let rows = try await pool.query(
      """
      SELECT t.id, t.user_id, t.site_id AS token_site, t.role_limit, t.expires_at, u.name, u.is_operator, s.site_id, s.role
      FROM api_tokens t
      JOIN users u ON u.id = t.user_id AND u.deactivated_at IS NULL
      LEFT JOIN (site_users s JOIN sites ON sites.id = s.site_id AND sites.archived_at IS NULL)
        ON s.user_id = t.user_id AND (t.site_id IS NULL OR s.site_id = t.site_id)
      WHERE t.token_hash = \(hash) AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
      """
    )
    guard let first = rows.first else { return nil }
    let limit = try first.get("role_limit", as: String?.self).flatMap(Role.init)
    var roles: [Int64: Role] = [:]
    for row in rows {
      guard let site = try row.get("site_id", as: Int64?.self),
        let role = Role(rawValue: try row.get("role"))
      else { continue }
      roles[site] = limit.map { min($0, role) } ?? role
    }
    let principal = Principal(
      credential: .token(try first.get("id")),
      userID: try first.get("user_id"),
      name: try first.get("name"),
      // A limited token is never an operator: it was made to do less.
      isOperator: try first.get("is_operator", as: Bool.self) && limit == nil
        && first.get("token_site", as: Int64?.self) == nil,
      roles: roles
    )
    return (principal, try first.get("expires_at"))
  }
}

/// What is known of a token that was made.
package struct StoredToken: Sendable {
  package var id: Int64
  /// Whose it is.
  package var email: String
  /// The one site it is limited to; nil: all of the user's.
  package var siteID: Int64?
  package var roleLimit: Role?
  package var name: String
  /// Its last characters, to tell tokens apart.
  package var hint: String
  package var createdAt: Date
  package var expiresAt: Date?
  package var lastUsedAt: Date?
  package var revokedAt: Date?

  /// Whether it still opens anything at `date`.
  package func isValid(at date: Date) -> Bool {
    revokedAt == nil && expiresAt.map { $0 > date } ?? true
  }
}
