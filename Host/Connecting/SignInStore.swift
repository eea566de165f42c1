import Audit
import Cryptography
import FoundationEssentials
import JSONDocument
import Postgres
import Vault

/// One row of a sign-in that was taken in hand.
struct SignInRow: Sendable {
  let id: Int64
  let siteID: Int64
  let userID: Int64
  let platform: String
  let appID: Int64?
  let connectionID: Int64?
  let isBrowser: Bool
  let browserHash: [UInt8]?
  let redirect: String
  let returnTo: String
  let origin: String?
  let scopes: [String]
  let expiresAt: Date
  fileprivate let sealed: [UInt8]
  fileprivate let keyID: Int64
  fileprivate let kind: SealKind
  fileprivate let choices: String?
}

/// The rows of sign-ins. Of states, tickets and cookies only hashes are kept.
struct SignInStore: Sendable {
  let pool: Pool
  let vault: Vault

  /// How long a sign-in may take, and how long what it gave waits for a choice.
  static let lifetime: Duration = .seconds(600)

  // MARK: Beginning

  func nextID() async throws -> Int64 {
    try await pool.query("SELECT nextval(pg_get_serial_sequence('oauth_states', 'id'))")[0].get(0)
  }

  /// Stores a sign-in whose `state` and verifier are sealed for its row.
  ///
  /// - Returns: when it ends.
  func insert(
    _ id: Int64,
    _ request: SignInRequest,
    platform: String,
    version: String,
    appID: Int64?,
    secrets: [String: Secret],
    hashes: (state: [UInt8], ticket: [UInt8]?, browser: [UInt8]?),
    redirect: String,
    returnTo: String,
    origin: String?,
    scopes: [String],
    also: [SQL]
  ) async throws -> Date {
    let sealed = try await vault.seal(
      try ConnectionSecrets(secrets).encoded(),
      for: Self.place(id, site: request.siteID, platform: platform, kind: .codeVerifier)
    )
    return try await pool.transaction { tx in
      let rows = try await tx.query(
        """
        INSERT INTO oauth_states (id, site_id, user_id, platform, plugin_version, app_id, connection_id, is_browser,
          state_hash, ticket_hash, browser_hash, redirect_uri, return_to, origin, scopes, sealed, key_id, sealed_kind,
          expires_at)
        VALUES (\(id), \(request.siteID), \(request.userID), \(platform), \(version), \(appID),
          \(request.connectionID), \(request.isBrowser), \(hashes.state), \(hashes.ticket), \(hashes.browser),
          \(redirect), \(returnTo), \(origin), \(scopes), \(sealed.bytes), \(sealed.keyID),
          \(Int16(SealKind.codeVerifier.rawValue)), now() + make_interval(secs => \(Self.seconds)))
        RETURNING expires_at
        """
      )
      for statement in also { try await tx.execute(statement) }
      return try rows[0].get("expires_at")
    }
  }

  /// Binds the first browser that brings the ticket; nil for every other one.
  func bind(ticket: [UInt8], platform: String, browser: [UInt8]) async throws -> SignInRow? {
    try await pool.query(
      """
      UPDATE oauth_states SET ticket_hash = NULL, browser_hash = \(browser)
      WHERE ticket_hash = \(ticket) AND platform = \(platform) AND used_at IS NULL AND ended_at IS NULL
        AND expires_at > now()
      RETURNING \(fragment: Self.columns)
      """
    ).first.map(Self.row)
  }

  // MARK: Coming back

  /// The site of a sign-in that waits for this state.
  func site(state: [UInt8]) async throws -> Int64? {
    try await pool.query(
      "SELECT site_id FROM oauth_states WHERE state_hash = \(state) AND used_at IS NULL AND expires_at > now()"
    ).first?.get(0)
  }

  /// Uses a state up; nil if it was used before, is too old, or never was.
  func take(state: [UInt8]) async throws -> SignInRow? {
    try await pool.query(
      """
      UPDATE oauth_states SET used_at = now(), ticket_hash = NULL
      WHERE state_hash = \(state) AND used_at IS NULL AND ended_at IS NULL AND expires_at > now()
      RETURNING \(fragment: Self.columns)
      """
    ).first.map(Self.row)
  }

  /// What was sealed in the row: the state and the verifier, or what the sign-in gave.
  func secrets(_ row: SignInRow) async throws -> [String: Secret] {
    let secret = try await vault.open(
      stored: row.sealed,
      keyID: row.keyID,
      for: Self.place(row.id, site: row.siteID, platform: row.platform, kind: row.kind)
    )
    return try ConnectionSecrets(decoding: secret).values
  }

  /// The statements that end a sign-in: once, with its row in the audit trail, and nothing secret left.
  static func end(
    _ row: SignInRow,
    _ outcome: SignInReason.Outcome,
    reason: SignInReason? = nil,
    message: String? = nil,
    connections: [Int64] = [],
    visitor: SignInVisitor?
  ) -> SQL {
    """
    WITH ended AS (
      UPDATE oauth_states SET ended_at = now(), outcome = \(outcome.rawValue), reason = \(reason?.rawValue),
        message = \(message.map { String($0.prefix(500)) }), sealed = '', choices = NULL, ticket_hash = NULL
      WHERE id = \(row.id) AND ended_at IS NULL RETURNING id, site_id, user_id, platform
    )
    \(fragment: AuditEntry.insertions(
      .connectionSignIn,
      site: "site_id",
      user: "user_id",
      subject: "'sign-in:' || id",
      details: """
        jsonb_build_object('platform', platform, 'outcome', \(outcome.rawValue)::text,
          'reason', \(reason?.rawValue)::text, 'connections', to_jsonb(\(connections)::bigint[]))
        """,
      address: visitor?.address,
      userAgent: visitor?.userAgent,
      from: "ended"
    ))
    """
  }

  // MARK: Choosing

  /// Keeps what a sign-in gave until somebody chose, sealed for its row.
  func keep(_ row: SignInRow, secrets: [String: Secret], choices: SignInChoices) async throws {
    let sealed = try await vault.seal(
      try ConnectionSecrets(secrets).encoded(),
      for: Self.place(row.id, site: row.siteID, platform: row.platform, kind: .tokens)
    )
    try await pool.execute(
      """
      UPDATE oauth_states SET sealed = \(sealed.bytes), key_id = \(sealed.keyID),
        sealed_kind = \(Int16(SealKind.tokens.rawValue)), choices = \(JSONB(text: choices.text)),
        expires_at = now() + make_interval(secs => \(Self.seconds))
      WHERE id = \(row.id) AND ended_at IS NULL
      """
    )
  }

  /// A sign-in that waits for a choice of its user.
  func choosing(_ id: Int64, site: Int64, user: Int64) async throws -> (SignInRow, SignInChoices)? {
    let rows = try await pool.query(
      """
      SELECT \(fragment: Self.columns) FROM oauth_states
      WHERE id = \(id) AND site_id = \(site) AND user_id = \(user) AND choices IS NOT NULL AND ended_at IS NULL
        AND expires_at > now()
      """
    )
    guard let row = try rows.first.map(Self.row), let text = row.choices else { return nil }
    return (row, try SignInChoices(text: text))
  }

  // MARK: Looking

  func state(_ id: Int64, site: Int64, user: Int64) async throws -> SignInState? {
    let rows = try await pool.query(
      """
      SELECT id, platform, created_at, expires_at, outcome, reason, message, choices::text AS choices FROM oauth_states
      WHERE id = \(id) AND site_id = \(site) AND user_id = \(user)
      """
    )
    guard let row = rows.first else { return nil }
    let outcome = try row.get("outcome", as: String?.self).flatMap(SignInReason.Outcome.init)
    let end: Date = try row.get("expires_at")
    let isOver = outcome == nil && end < Date()
    return SignInState(
      id: try row.get("id"),
      platform: try row.get("platform"),
      createdAt: try row.get("created_at"),
      expiresAt: end,
      outcome: isOver ? .expired : outcome,
      reason: isOver ? .expired : try row.get("reason", as: String?.self).flatMap(SignInReason.init),
      message: try row.get("message"),
      accounts: isOver
        ? [] : try row.get("choices", as: String?.self).map { try SignInChoices(text: $0).accounts } ?? []
    )
  }

  func summary(platform: String, site: Int64, days: Int) async throws -> SignInSummary {
    let rows = try await pool.query(
      """
      SELECT outcome, reason, count(*) AS number FROM oauth_states
      WHERE site_id = \(site) AND platform = \(platform) AND created_at > now() - make_interval(days => \(Int32(days)))
      GROUP BY outcome, reason
      """
    )
    var outcomes: [SignInReason.Outcome: Int] = [:]
    var reasons: [String: Int] = [:]
    var running = 0
    for row in rows {
      let number = Int(try row.get("number", as: Int64.self))
      guard let outcome = try row.get("outcome", as: String?.self).flatMap(SignInReason.Outcome.init) else {
        running += number
        continue
      }
      outcomes[outcome, default: 0] += number
      if let reason = try row.get("reason", as: String?.self) { reasons[reason, default: 0] += number }
    }
    return SignInSummary(outcomes: outcomes, reasons: reasons, running: running)
  }

  /// Ends what nobody came back to, and what a dead host left between the callback and the account.
  func endExpired() async throws {
    try await pool.execute(
      """
      WITH ended AS (
        UPDATE oauth_states SET ended_at = now(), sealed = '', choices = NULL, ticket_hash = NULL,
          outcome = CASE WHEN used_at IS NOT NULL AND choices IS NULL THEN 'failed' ELSE 'expired' END,
          reason = CASE WHEN used_at IS NOT NULL AND choices IS NULL THEN 'interrupted' ELSE 'expired' END
        WHERE ended_at IS NULL
          AND expires_at < now() - CASE WHEN used_at IS NOT NULL AND choices IS NULL THEN interval '5 minutes'
            ELSE interval '0' END
        RETURNING id, site_id, user_id, platform, outcome, reason
      )
      \(fragment: AuditEntry.insertions(
        .connectionSignIn,
        site: "site_id",
        user: "user_id",
        subject: "'sign-in:' || id",
        details: "jsonb_build_object('platform', platform, 'outcome', outcome, 'reason', reason)",
        from: "ended"
      ))
      """
    )
  }

  static func clean(_ pool: Pool) async throws {
    try await pool.execute("DELETE FROM oauth_states WHERE created_at < now() - interval '90 days'")
  }

  // MARK: Rows

  static let sealedColumn = SealedColumn(
    table: "oauth_states",
    column: "sealed",
    keyColumn: "key_id",
    row: "t.id::text",
    place: "t.id, t.site_id, t.platform, t.sealed_kind",
    context: { row in
      place(
        try row.get("id"),
        site: try row.get("site_id"),
        platform: try row.get("platform"),
        kind: try kind(row)
      )
    }
  )

  private static func place(_ id: Int64, site: Int64, platform: String, kind: SealKind) -> SealContext {
    SealContext(kind: kind, site: site, platform: platform, connection: id, field: "sign-in", generation: 0)
  }

  private static func kind(_ row: Row) throws -> SealKind {
    guard let kind = SealKind(rawValue: UInt8(truncatingIfNeeded: try row.get("sealed_kind", as: Int16.self))) else {
      throw VaultError.unreadable
    }
    return kind
  }

  private static var seconds: Double { Double(lifetime.components.seconds) }

  private static let columns: SQL = """
    id, site_id, user_id, platform, app_id, connection_id, is_browser, browser_hash, redirect_uri, return_to, origin,
      scopes, expires_at, sealed, key_id, sealed_kind, choices::text AS choices
    """

  private static func row(_ row: Row) throws -> SignInRow {
    SignInRow(
      id: try row.get("id"),
      siteID: try row.get("site_id"),
      userID: try row.get("user_id"),
      platform: try row.get("platform"),
      appID: try row.get("app_id"),
      connectionID: try row.get("connection_id"),
      isBrowser: try row.get("is_browser"),
      browserHash: try row.get("browser_hash"),
      redirect: try row.get("redirect_uri"),
      returnTo: try row.get("return_to"),
      origin: try row.get("origin"),
      scopes: try row.get("scopes"),
      expiresAt: try row.get("expires_at"),
      sealed: try row.get("sealed"),
      keyID: try row.get("key_id"),
      kind: try kind(row),
      choices: try row.get("choices")
    )
  }
}
