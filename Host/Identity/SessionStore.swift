package import Cryptography
package import FoundationEssentials
package import Postgres

/// Sessions of people: a random cookie whose hash is stored, ended by time, by sign-out, or by somebody else.
package struct SessionStore: Sendable {
  /// A request's session.
  package struct Found: Sendable {
    package var principal: Principal
    /// The cookie's new value, when the session had to change its name; the old one is taken for a moment longer.
    package var replacement: Secret?
  }

  private let pool: Pool
  /// A session that is not used this long ends.
  package let idle: Duration
  /// The longest life of a session.
  package let lifetime: Duration

  package init(pool: Pool, idle: Duration = .seconds(1_800), lifetime: Duration = .seconds(43_200)) {
    self.pool = pool
    self.idle = idle
    self.lifetime = lifetime
  }

  /// Starts a session, and ends the one that the same browser had.
  package func create(
    user: Int64,
    replacing old: String?,
    address: String,
    userAgent: String?,
    in tx: Transaction
  ) async throws -> Secret {
    let text = Self.newText()
    if let old { try await tx.execute("DELETE FROM sessions WHERE token_hash = \(SHA256.digest(old))") }
    try await tx.execute(
      """
      INSERT INTO sessions (user_id, token_hash, address, user_agent)
      VALUES (\(user), \(SHA256.digest(text)), \(address), \(userAgent.map { String($0.prefix(300)) }))
      """
    )
    return Secret(text)
  }

  /// Whose session the cookie is; nil when it has ended or never was.
  package func find(_ text: String) async throws -> Found? {
    guard text.utf8.count == 43 else { return nil }
    let hash = SHA256.digest(text)
    let rows = try await pool.query(
      """
      SELECT x.id, x.user_id, x.needs_rotation AND x.token_hash = \(hash) AS rotates,
        x.last_used_at < now() - interval '1 minute' AS is_stale, u.name, u.is_operator, s.site_id, s.role
      FROM sessions x
      JOIN users u ON u.id = x.user_id AND u.deactivated_at IS NULL
      LEFT JOIN (site_users s JOIN sites ON sites.id = s.site_id AND sites.archived_at IS NULL)
        ON s.user_id = x.user_id
      WHERE (x.token_hash = \(hash) OR (x.previous_hash = \(hash) AND x.rotated_at > now() - interval '30 seconds'))
        AND \(fragment: living)
      """
    )
    guard let first = rows.first else { return nil }
    let id = try first.get("id", as: Int64.self)
    var roles: [Int64: Role] = [:]
    for row in rows {
      guard let site = try row.get("site_id", as: Int64?.self), let role = Role(rawValue: try row.get("role")) else {
        continue
      }
      roles[site] = role
    }
    // Coarse, so that reading costs no write for each request.
    if try first.get("is_stale") { try await pool.execute("UPDATE sessions SET last_used_at = now() WHERE id = \(id)") }
    let principal = Principal(
      credential: .session(id),
      userID: try first.get("user_id"),
      name: try first.get("name"),
      isOperator: try first.get("is_operator"),
      roles: roles
    )
    return Found(principal: principal, replacement: try first.get("rotates") ? try await rotate(id, hash) : nil)
  }

  /// The sessions of a user that have not ended, the last used first.
  package func list(user: Int64) async throws -> [StoredSession] {
    try await pool.query(
      """
      SELECT x.id, x.created_at, x.last_used_at, x.address, x.user_agent FROM sessions x
      WHERE x.user_id = \(user) AND \(fragment: living) ORDER BY x.last_used_at DESC, x.id DESC LIMIT 100
      """
    ).map { row in
      StoredSession(
        id: try row.get("id"),
        createdAt: try row.get("created_at"),
        lastUsedAt: try row.get("last_used_at"),
        address: try row.get("address"),
        userAgent: try row.get("user_agent")
      )
    }
  }

  /// Ends one session of a user; false when there is none.
  ///
  /// - Parameter also: What is stored in the same transaction when there is one.
  package func end(_ id: Int64, user: Int64, also: [SQL] = []) async throws -> Bool {
    try await pool.transaction { tx in
      guard try await tx.execute("DELETE FROM sessions WHERE id = \(id) AND user_id = \(user)") > 0 else {
        return false
      }
      try await tx.batch(also)
      return true
    }
  }

  /// Ends the sessions of a user but one.
  package func endOthers(than id: Int64?, user: Int64, in tx: Transaction) async throws {
    try await tx.execute("DELETE FROM sessions WHERE user_id = \(user) AND id IS DISTINCT FROM \(id)")
  }

  /// Removes what has ended.
  package func clean() async throws {
    try await pool.execute("DELETE FROM sessions x WHERE NOT (\(fragment: living))")
    try await pool.execute("DELETE FROM sign_in_links WHERE expires_at < now() - interval '7 days'")
  }

  /// Has the cookies of a user's sessions changed at their next request: what was known before a role changed is worth
  /// nothing after it.
  static func rotateLater(user: Int64, in tx: Transaction) async throws {
    try await tx.execute("UPDATE sessions SET needs_rotation = true WHERE user_id = \(user)")
  }

  private var living: SQL {
    """
    x.last_used_at > now() - make_interval(secs => \(idle.seconds))
      AND x.created_at > now() - make_interval(secs => \(lifetime.seconds))
    """
  }

  /// Nil when another request of the session was first; its answer carries the new name.
  private func rotate(_ id: Int64, _ hash: [UInt8]) async throws -> Secret? {
    let text = Self.newText()
    let count = try await pool.execute(
      """
      UPDATE sessions SET previous_hash = token_hash, token_hash = \(SHA256.digest(text)), rotated_at = now(),
        needs_rotation = false
      WHERE id = \(id) AND token_hash = \(hash) AND needs_rotation
      """
    )
    return count > 0 ? Secret(text) : nil
  }

  private static func newText() -> String { Base64.encodeURL(RandomBytes.make(32)) }
}

/// What is known of a session.
package struct StoredSession: Sendable {
  package var id: Int64
  package var createdAt: Date
  package var lastUsedAt: Date
  package var address: String?
  package var userAgent: String?
}

extension Duration {
  /// Whole and part seconds.
  fileprivate var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
