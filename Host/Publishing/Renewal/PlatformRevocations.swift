import Audit
import Cryptography
package import Logging
package import OAuth
package import PluginManifest
package import Postgres
package import Vault

/// What became of credentials at their platform.
package enum RevocationOutcome: String, Sendable, CaseIterable {
  /// The platform has not been asked, or has not answered yet.
  case pending
  case revoked
  /// The platform has no way to end them; a person can do it there.
  case unsupported
  case failed
}

/// Ends credentials at their platforms: those of accounts that were disconnected, and those that were revoked.
///
/// They are out of use here before anybody asks a platform, and nothing waits for the answer: they stay sealed in a row of
/// their own, any host asks with them, again and again for a day, and then they are wiped.
package struct PlatformRevocations: Sendable {
  private let pool: Pool
  private let vault: Vault
  private let endpoint: TokenEndpoint
  private let apps: PlatformApps
  private let manifest: @Sendable (String) -> PluginManifest?
  private let logger: Logger

  /// Longer than the requests of one attempt take: who has a row is given up then.
  private static let lease: Duration = .seconds(90)
  private static let batch = 8
  private static let patience: Duration = .seconds(86_400)

  package init(
    pool: Pool,
    vault: Vault,
    endpoint: TokenEndpoint,
    apps: PlatformApps,
    logger: Logger,
    manifest: @escaping @Sendable (String) -> PluginManifest?
  ) {
    self.pool = pool
    self.vault = vault
    self.endpoint = endpoint
    self.apps = apps
    self.manifest = manifest
    self.logger = logger
  }

  // MARK: Putting in

  /// Moves credentials here as they stand; a list for `WITH` over `b`, rows of `platform_connections` from before they are
  /// wiped. Credentials that a person entered are not the host's to end.
  ///
  /// - Parameter revocation: the emergency; nil for accounts that are disconnected.
  static func moving(revocation: Int64?) -> SQL {
    """
    moved AS (
      INSERT INTO token_revocations (site_id, connection_id, platform, app_id, origin, generation, sealed, key_id,
        revocation_id)
      SELECT site_id, id, platform, app_id, origin, generation, sealed_credentials, key_id, \(revocation)::bigint FROM b
      WHERE token_issued_at IS NOT NULL AND octet_length(sealed_credentials) > 0
      RETURNING id, connection_id
    )
    """
  }

  /// Takes in credentials that came for an account when it was gone already.
  static func add(_ orphan: TokenRenewer.Orphan, _ pool: Pool) async throws {
    let token = orphan.token
    try await pool.execute(
      """
      INSERT INTO token_revocations (site_id, connection_id, platform, app_id, origin, generation, sealed, key_id)
      VALUES (\(token.site), \(token.connection), \(token.platform), \(orphan.app), \(orphan.origin), \(token.generation),
        \(token.sealed), \(token.keyID))
      """
    )
  }

  // MARK: Asking

  /// Asks for everything whose time has come, until nothing is left for now.
  ///
  /// - Parameter shouldStop: Asked between the batches.
  package func round(until shouldStop: @Sendable () -> Bool = { false }) async throws {
    while !shouldStop() {
      let taken = try await take(nil)
      guard !taken.isEmpty else { return }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for item in taken { group.addTask { _ = try await settle(item) } }
        try await group.waitForAll()
      }
    }
  }

  /// Asks for one now, if nobody does; what it came to so far.
  package func attempt(_ id: Int64) async throws -> RevocationOutcome {
    guard let item = try await take(id).first else { return .pending }
    return try await settle(item)
  }

  private struct Item: Sendable {
    let id: Int64
    let site: Int64
    let connection: Int64
    let platform: String
    let app: Int64?
    let origin: String?
    let generation: Int64
    let sealed: [UInt8]
    let keyID: Int64
    let done: Int
    let attempts: Int
    let isOld: Bool
  }

  private func take(_ id: Int64?) async throws -> [Item] {
    try await pool.query(
      """
      UPDATE token_revocations SET attempts = attempts + 1, next_at = now() + \(Self.lease.seconds) * interval '1 s'
      WHERE id IN (
        SELECT id FROM token_revocations WHERE outcome = 'pending' AND next_at <= now()
          AND (\(id)::bigint IS NULL OR id = \(id))
        ORDER BY next_at LIMIT \(Int64(Self.batch)) FOR UPDATE SKIP LOCKED)
      RETURNING *, created_at < now() - \(Self.patience.seconds) * interval '1 s' AS is_old
      """
    ).map { row in
      Item(
        id: try row.get("id"),
        site: try row.get("site_id"),
        connection: try row.get("connection_id"),
        platform: try row.get("platform"),
        app: try row.get("app_id"),
        origin: try row.get("origin"),
        generation: try row.get("generation"),
        sealed: try row.get("sealed"),
        keyID: try row.get("key_id"),
        done: Int(try row.get("done", as: Int32.self)),
        attempts: Int(try row.get("attempts", as: Int32.self)),
        isOld: try row.get("is_old")
      )
    }
  }

  private func settle(_ item: Item) async throws -> RevocationOutcome {
    guard let manifest = manifest(item.platform), let declaration = manifest.oauth, !declaration.revoke.isEmpty else {
      return try await end(item, .unsupported)
    }
    let secrets: [String: Secret]
    do {
      secrets = try await vault.openCredentials(
        item.sealed,
        keyID: item.keyID,
        site: item.site,
        platform: item.platform,
        connection: item.connection,
        generation: item.generation
      )
    } catch VaultError.unreadable {
      return try await end(item, .failed, error: "The credentials can not be opened")
    }
    var values: OAuthValues
    do {
      let app = try await apps.connected(item.app, of: manifest, declaration, site: item.site)
      values = OAuthValues(clientID: app.clientID, clientSecret: app.clientSecret, redirect: "", origin: item.origin)
    } catch let error as PlatformAppError {
      return try await end(item, .failed, error: error.description)
    }
    values.token = secrets[declaration.secret]
    values.refreshToken = secrets[CredentialGrant.refreshToken]
    var done = item.done
    var asked = done
    for request in declaration.revoke.dropFirst(done) {
      defer { done += 1 }
      if request.carries(.refreshToken), values.refreshToken == nil { continue }
      if request.carries(.token), values.token == nil { continue }
      asked += 1
      switch try await RevocationAnswer(endpoint, request, values, dead: declaration.dead) {
      case .ended: continue
      case .refused(let why): return try await end(item, .failed, error: why)
      case .later(let why):
        if item.isOld { return try await end(item, .failed, error: why) }
        try await putOff(item, done: done, error: why)
        return .pending
      }
    }
    return try await end(item, asked > 0 ? .revoked : .unsupported)
  }

  // MARK: Rows

  private func putOff(_ item: Item, done: Int, error: String) async throws {
    let wait = RenewalTime.retry(after: item.attempts, spread: .random(in: 0..<1))
    try await pool.execute(
      """
      UPDATE token_revocations SET done = \(Int32(clamping: done)), error = \(String(error.prefix(500))),
        next_at = now() + \(wait.seconds) * interval '1 s'
      WHERE id = \(item.id) AND outcome = 'pending'
      """
    )
  }

  /// Notes the outcome and wipes the credentials.
  private func end(_ item: Item, _ outcome: RevocationOutcome, error: String? = nil) async throws -> RevocationOutcome {
    let audit = AuditEntry.insertions(
      .connectionRevokeAtPlatform,
      site: "site_id",
      subject: "'connection:' || connection_id",
      details: "jsonb_strip_nulls(jsonb_build_object('outcome', \(outcome.rawValue)::text, 'error', \(error)::text))",
      from: "t"
    )
    try await pool.execute(
      """
      WITH t AS (
        UPDATE token_revocations SET outcome = \(outcome.rawValue), error = \(error.map { String($0.prefix(500)) }),
          sealed = '', ended_at = now()
        WHERE id = \(item.id) AND outcome = 'pending' RETURNING site_id, connection_id, platform, revocation_id
      ), i AS (
        UPDATE vault_revocation_items v SET outcome = \(outcome.rawValue), ended_at = now() FROM t
        WHERE v.revocation_id = t.revocation_id AND v.connection_id = t.connection_id
      )
      \(fragment: audit)
      """
    )
    if outcome == .failed {
      logger.warning(
        "A platform did not end credentials",
        ["connection": .int(item.connection), "platform": "\(item.platform)", "why": "\(error ?? "")"]
      )
    }
    return outcome
  }
}
