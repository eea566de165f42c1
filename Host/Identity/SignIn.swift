package import Cryptography
package import Postgres

/// Lets people in: by password, or by a one-time link with which they choose one.
package struct SignIn: Sendable {
  /// Where a request comes from.
  package struct Browser: Sendable {
    package var address: String
    package var userAgent: String?
    /// The cookie that it has already; that session ends.
    package var session: String?

    package init(address: String, userAgent: String?, session: String?) {
      self.address = address
      self.userAgent = userAgent
      self.session = session
    }
  }

  /// Somebody who is in.
  package struct Welcome: Sendable {
    package var user: Int64
    package var session: Secret
  }

  let pool: Pool
  let hasher: PasswordHasher
  let limiter: SignInLimiter
  package let sessions: SessionStore

  package init(pool: Pool, sessions: SessionStore, hasher: PasswordHasher, limiter: SignInLimiter = SignInLimiter()) {
    self.pool = pool
    self.sessions = sessions
    self.hasher = hasher
    self.limiter = limiter
  }

  // MARK: Passwords

  /// Signs in with a password. Users who do not exist, are disabled or have no password get the same answer after the
  /// same work as a wrong password.
  ///
  /// - Parameter also: what is stored in the same transaction.
  package func signIn(
    email: String,
    password: Secret,
    browser: Browser,
    also: @Sendable (_ user: Int64) -> [SQL] = { _ in [] }
  ) async throws -> Welcome {
    try limiter.take(account: email, address: browser.address)
    let (user, stored) = try await find(email)
    guard try await hasher.matches(password, stored), let user, let stored else {
      limiter.failed(account: email, address: browser.address)
      throw SignInError.wrong
    }
    limiter.succeeded(account: email, address: browser.address)
    if stored.isWeaker(than: hasher.parameters) { await upgrade(user, password, from: stored) }
    return try await pool.transaction { tx in try await welcome(user, browser, also: also(user), in: tx) }
  }

  /// Changes a person's own password; every other session of theirs ends and this one gets a new cookie.
  package func changePassword(
    user: Int64,
    session: Int64,
    current: Secret,
    new: String,
    address: String,
    also: [SQL] = []
  ) async throws {
    let email = try await email(of: user)
    try limiter.take(account: email, address: address)
    let (_, stored) = try await find(email)
    guard try await hasher.matches(current, stored) else {
      limiter.failed(account: email, address: address)
      throw SignInError.wrong
    }
    limiter.succeeded(account: email, address: address)
    try PasswordRule.check(new, email: email)
    let hash = try await hasher.hash(Secret(new))
    try await pool.transaction { tx in
      try await store(hash, user: user, in: tx)
      try await sessions.endOthers(than: session, user: user, in: tx)
      try await SessionStore.rotateLater(user: user, in: tx)
      for statement in also { try await tx.execute(statement) }
    }
  }

  /// Sets a password without asking for the old one; all sessions and links of the user end.
  ///
  /// - Parameter also: What is stored in the same transaction.
  package func setPassword(user: Int64, new: String, also: [SQL] = []) async throws {
    try PasswordRule.check(new, email: try await email(of: user))
    let hash = try await hasher.hash(Secret(new))
    try await pool.transaction { tx in
      try await take(hash, user: user, in: tx)
      try await tx.batch(also)
    }
  }

  // MARK: Rows

  /// Starts the session of somebody who has shown who they are.
  func welcome(_ user: Int64, _ browser: Browser, also: [SQL], in tx: Transaction) async throws -> Welcome {
    let session = try await sessions.create(
      user: user,
      replacing: browser.session,
      address: browser.address,
      userAgent: browser.userAgent,
      in: tx
    )
    for statement in also { try await tx.execute(statement) }
    return Welcome(user: user, session: session)
  }

  private func find(_ email: String) async throws -> (user: Int64?, stored: PasswordHash?) {
    let rows = try await pool.query(
      """
      SELECT u.id, p.phc FROM users u JOIN user_passwords p ON p.user_id = u.id
      WHERE lower(u.email) = lower(\(email)) AND u.deactivated_at IS NULL
      """
    )
    guard let row = rows.first else { return (nil, nil) }
    return (try row.get("id"), PasswordHash(phc: try row.get("phc")))
  }

  func email(of user: Int64) async throws -> String {
    let rows = try await pool.query("SELECT email FROM users WHERE id = \(user) AND deactivated_at IS NULL")
    guard let row = rows.first else { throw IdentityError.unknownUser("\(user)") }
    return try row.get(0)
  }

  func store(_ hash: PasswordHash, user: Int64, in tx: Transaction) async throws {
    try await tx.execute(
      """
      INSERT INTO user_passwords (user_id, phc) VALUES (\(user), \(hash.phc))
      ON CONFLICT (user_id) DO UPDATE SET phc = excluded.phc, changed_at = now()
      """
    )
  }

  /// Stores a password and ends everything that the old one opened.
  func take(_ hash: PasswordHash, user: Int64, in tx: Transaction) async throws {
    try await store(hash, user: user, in: tx)
    try await sessions.endOthers(than: nil, user: user, in: tx)
    try await tx.execute("DELETE FROM sign_in_links WHERE user_id = \(user) AND used_at IS NULL")
  }

  /// Hashes a right password anew where today's costs are higher than the stored ones.
  private func upgrade(_ user: Int64, _ password: Secret, from old: PasswordHash) async {
    do {
      let new = try await hasher.hash(password)
      try await pool.execute(
        "UPDATE user_passwords SET phc = \(new.phc) WHERE user_id = \(user) AND phc = \(old.phc)"
      )
    } catch {
      // The old hash still is right; the next sign-in tries again.
    }
  }
}
