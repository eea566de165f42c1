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

  /// How long a checked token is trusted without asking the database again; a revoked token lives this long at most.
  private static let trust: Duration = .seconds(5)
  private static let capacity = 10_000

  private let pool: Pool
  private let known = Mutex<[[UInt8]: Known]>([:])
  private let used = Mutex<Set<Int64>>([])

  package init(pool: Pool) {
    self.pool = pool
  }

  /// What a token may do; less than its user, never more.
  package struct Limits: Sendable, Equatable {
    /// The sites that it reaches; nil: all of the user's.
    package var sites: [Int64]?
    /// The highest role that it has anywhere; nil: the user's own.
    package var role: Role?
    /// What it may be used for; nil: everything that the role allows.
    package var scopes: Set<Permission>?

    package init(sites: [Int64]? = nil, role: Role? = nil, scopes: Set<Permission>? = nil) {
      self.sites = sites
      self.role = role
      self.scopes = scopes
    }

    var isNone: Bool { sites == nil && role == nil && scopes == nil }
  }

  /// Makes a token. The returned text is the only copy.
  package func create(
    user: Int64,
    limits: Limits = Limits(),
    name: String,
    expiresAt: Date?,
    in tx: Transaction
  ) async throws -> (id: Int64, token: Secret) {
    let text = TokenText.make()
    let rows = try await tx.query(
      """
      INSERT INTO api_tokens (user_id, site_ids, role_limit, scopes, name, token_hash, hint, expires_at)
      VALUES (\(user), CASE WHEN \(limits.sites != nil) THEN \(limits.sites ?? []) END, \(limits.role?.rawValue),
        CASE WHEN \(limits.scopes != nil) THEN \(limits.scopes?.map(\.rawValue).sorted() ?? []) END,
        \(name), \(SHA256.digest(text)), \(String(text.suffix(4))), \(expiresAt))
      RETURNING id
      """
    )
    guard let id = try rows.first?.get("id", as: Int64.self) else { throw IdentityError.unknownUser("\(user)") }
    return (id, Secret(text))
  }

  /// Tokens, newest first, without what they are made of.
  ///
  /// - Parameters:
  ///   - user: whose; nil: everybody's.
  ///   - before: only tokens with a lower id.
  ///   - limit: how many at most; nil: all.
  package func list(user: Int64? = nil, before: Int64 = .max, limit: Int? = nil) async throws -> [StoredToken] {
    try await pool.query(
      """
      SELECT t.id, u.email, t.site_ids, t.role_limit, t.scopes, t.name, t.hint, t.created_at, t.expires_at,
        t.last_used_at, t.revoked_at
      FROM api_tokens t JOIN users u ON u.id = t.user_id
      WHERE (\(user == nil) OR t.user_id = \(user ?? 0)) AND t.id < \(before)
      ORDER BY t.id DESC LIMIT \(limit.map { Int64($0) })
      """
    ).map { row in
      StoredToken(
        id: try row.get("id"),
        email: try row.get("email"),
        limits: try Self.limits(row),
        name: try row.get("name"),
        hint: try row.get("hint"),
        createdAt: try row.get("created_at"),
        expiresAt: try row.get("expires_at"),
        lastUsedAt: try row.get("last_used_at"),
        revokedAt: try row.get("revoked_at")
      )
    }
  }

  private static func limits(_ row: Row) throws -> Limits {
    Limits(
      sites: try row.get("site_ids"),
      role: try row.get("role_limit", as: String?.self).flatMap(Role.init),
      // A word that a newer host wrote gives nothing here.
      scopes: try row.get("scopes", as: [String]?.self).map { Set($0.compactMap(Permission.init)) }
    )
  }

  /// Ends a token.
  ///
  /// - Parameters:
  ///   - user: whose it must be; nil: anybody's.
  ///   - also: What is stored in the same transaction.
  package func revoke(_ id: Int64, user: Int64? = nil, also: [SQL] = []) async throws {
    try await pool.transaction { tx in
      let count = try await tx.execute(
        """
        UPDATE api_tokens SET revoked_at = now()
        WHERE id = \(id) AND (\(user == nil) OR user_id = \(user ?? 0)) AND revoked_at IS NULL
        """
      )
      if count == 0 { throw IdentityError.unknownToken(id) }
      try await tx.batch(also)
    }
    known.withLock { $0.removeAll() }
  }

  /// Forgets what is known of all tokens, after roles have changed, so that this host sees the change at once.
  package func forgetRoles() {
    known.withLock { $0.removeAll() }
  }

  /// Whether a text looks like a token that was not copied whole: it begins like one and can not be one.
  package static func isBroken(_ text: String) -> Bool { text.hasPrefix(TokenText.prefix) && !TokenText.isWhole(text) }

  /// Who holds the token; nil when it is unknown, expired or revoked, or its user is deactivated.
  package func principal(for token: String) async throws -> Principal? {
    guard TokenText.isWhole(token) else { return nil }
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
      SELECT t.id, t.user_id, t.site_ids, t.role_limit, t.scopes, t.expires_at, u.name, u.is_operator, s.site_id, s.role
      FROM api_tokens t
      JOIN users u ON u.id = t.user_id AND u.deactivated_at IS NULL
      LEFT JOIN (site_users s JOIN sites ON sites.id = s.site_id AND sites.archived_at IS NULL)
        ON s.user_id = t.user_id AND (t.site_ids IS NULL OR s.site_id = ANY (t.site_ids))
      WHERE t.token_hash = \(hash) AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
      """
    )
    guard let first = rows.first else { return nil }
    let limits = try Self.limits(first)
    var roles: [Int64: Role] = [:]
    for row in rows {
      guard let site = try row.get("site_id", as: Int64?.self),
        let role = Role(rawValue: try row.get("role"))
      else { continue }
      roles[site] = limits.role.map { min($0, role) } ?? role
    }
    let principal = Principal(
      credential: .token(try first.get("id")),
      userID: try first.get("user_id"),
      name: try first.get("name"),
      // A limited token is never an operator: it was made to do less.
      isOperator: try first.get("is_operator", as: Bool.self) && limits.isNone,
      roles: roles,
      scopes: limits.scopes
    )
    return (principal, try first.get("expires_at"))
  }
}

/// What is known of a token that was made.
package struct StoredToken: Sendable {
  package var id: Int64
  /// Whose it is.
  package var email: String
  package var limits: TokenStore.Limits
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
