package import Cryptography
package import Postgres

/// Links that work once. A link's secret is shown when it is made and stored as a hash.
package struct SignInLink: Sendable {
  /// What a link is good for.
  package enum Purpose: Sendable, Equatable {
    /// Whoever holds it becomes the first user, an operator.
    case firstUser
    /// The user chooses a new password.
    case password(user: Int64)
    /// Whoever holds it becomes a member of the site: with the user that they have, or with a new one of that address.
    case invitation(site: Int64, role: Role, email: String)
  }

  /// How long a link works.
  package static let lifetime: Duration = .seconds(72 * 3_600)

  let purpose: Purpose

  /// Makes a link; earlier ones for the same purpose end.
  package static func make(_ purpose: Purpose, in tx: Transaction) async throws -> Secret {
    let (user, site, role, email): (Int64?, Int64?, Role?, String?) =
      switch purpose {
      case .firstUser: (nil, nil, nil, nil)
      case .password(let user): (user, nil, nil, nil)
      case .invitation(let site, let role, let email): (nil, site, role, email)
      }
    try await tx.execute(
      """
      DELETE FROM sign_in_links WHERE used_at IS NULL AND user_id IS NOT DISTINCT FROM \(user)
        AND site_id IS NOT DISTINCT FROM \(site) AND lower(email) IS NOT DISTINCT FROM lower(\(email))
      """
    )
    let text = Base64.encodeURL(RandomBytes.make(32))
    try await tx.execute(
      """
      INSERT INTO sign_in_links (user_id, site_id, role, email, token_hash, expires_at)
      VALUES (\(user), \(site), \(role?.rawValue), \(email), \(SHA256.digest(text)),
        now() + make_interval(secs => \(Double(lifetime.components.seconds))))
      """
    )
    return Secret(text)
  }

  /// Whether there is nobody yet, so that a link makes the first user.
  package static func needsFirstUser(_ pool: Pool) async throws -> Bool {
    try await pool.query("SELECT NOT EXISTS (SELECT FROM users)").first?.get(0, as: Bool.self) ?? false
  }

  /// What a secret is good for, without using it up; nil when it is no link that works.
  static func find(_ secret: Secret, _ pool: Pool) async throws -> SignInLink? {
    let rows = try await pool.query(
      """
      SELECT l.user_id, l.site_id, l.role, l.email FROM sign_in_links l
      LEFT JOIN users u ON u.id = l.user_id LEFT JOIN sites s ON s.id = l.site_id
      WHERE l.token_hash = \(SHA256.digest(secret.reveal())) AND l.used_at IS NULL AND l.expires_at > now()
        AND u.deactivated_at IS NULL AND s.archived_at IS NULL
      """
    )
    guard let row = rows.first else { return nil }
    if let user = try row.get("user_id", as: Int64?.self) { return SignInLink(purpose: .password(user: user)) }
    guard let site = try row.get("site_id", as: Int64?.self) else { return SignInLink(purpose: .firstUser) }
    guard let role = Role(rawValue: try row.get("role")) else { return nil }
    return SignInLink(purpose: .invitation(site: site, role: role, email: try row.get("email")))
  }

  /// Uses the link up.
  ///
  /// - Throws: ``SignInError/linkNotValid`` when somebody else was first.
  static func use(_ secret: Secret, in tx: Transaction) async throws {
    let count = try await tx.execute(
      """
      UPDATE sign_in_links SET used_at = now()
      WHERE token_hash = \(SHA256.digest(secret.reveal())) AND used_at IS NULL AND expires_at > now()
      """
    )
    guard count == 1 else { throw SignInError.linkNotValid }
  }
}

extension SignIn {
  /// Uses a link to choose a password, and signs in.
  ///
  /// - Parameters:
  ///   - email: who the first user is; not asked of others, whose address is known.
  ///   - name: how people see the user; nil keeps it, or is the address.
  ///   - also: what is stored in the same transaction.
  /// - Throws: ``IdentityError/emailTaken(_:)`` for the invitation of somebody who is known already: they sign in and
  ///   accept it with ``accept(_:user:address:also:)``.
  package func useLink(
    _ secret: Secret,
    password: String,
    email: String?,
    name: String?,
    browser: Browser,
    also: @Sendable (_ user: Int64) -> [SQL] = { _ in [] }
  ) async throws -> Welcome {
    try limiter.take(address: browser.address)
    // Looked up before the costly part, so that made-up links cost little.
    guard let link = try await SignInLink.find(secret, pool) else { throw SignInError.linkNotValid }
    let address: String
    switch link.purpose {
    case .firstUser: address = email ?? ""
    case .password(let user): address = try await self.email(of: user)
    case .invitation(_, _, let invited): address = invited
    }
    try PasswordRule.check(password, email: address)
    let hash = try await hasher.hash(Secret(password))
    return try await pool.transaction { tx in
      try await SignInLink.use(secret, in: tx)
      let user = try await resolve(link.purpose, address: address, name: name, in: tx)
      try await take(hash, user: user, in: tx)
      return try await welcome(user, browser, also: also(user), in: tx)
    }
  }

  /// Makes somebody who is signed in a member of the site that an invitation is for.
  ///
  /// - Returns: the site and the role of the invitation; a higher role that the user has stays.
  package func accept(
    _ secret: Secret,
    user: Int64,
    address: String,
    also: @Sendable (_ site: Int64) -> [SQL] = { _ in [] }
  ) async throws -> (site: Int64, role: Role) {
    try limiter.take(address: address)
    guard case .invitation(let site, let role, _) = try await SignInLink.find(secret, pool)?.purpose else {
      throw SignInError.linkNotValid
    }
    try await pool.transaction { tx in
      try await SignInLink.use(secret, in: tx)
      try await UserStore(pool: pool).admit(user, as: role, to: site, in: tx)
      for statement in also(site) { try await tx.execute(statement) }
    }
    return (site, role)
  }

  /// The user that a link is for, made where there is none.
  private func resolve(
    _ purpose: SignInLink.Purpose,
    address: String,
    name: String?,
    in tx: Transaction
  ) async throws -> Int64 {
    let users = UserStore(pool: pool)
    switch purpose {
    case .firstUser:
      // Two people with two links must not both become the first one.
      try await tx.execute("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE")
      guard try await tx.query("SELECT FROM users LIMIT 1").isEmpty else { throw SignInError.linkNotValid }
      return try await users.create(email: address, name: name ?? address, isOperator: true, in: tx).id
    case .password(let user):
      if let name { try await tx.execute("UPDATE users SET name = \(name) WHERE id = \(user)") }
      return user
    case .invitation(let site, let role, _):
      let user = try await users.create(email: address, name: name ?? address, isOperator: false, in: tx)
      try await users.setRole(role, of: user.id, in: site, in: tx)
      return user.id
    }
  }
}
