internal import Audit
package import Cryptography
import FoundationEssentials
import JSONText
import JobQueue
package import PluginHost
package import PluginManifest
import PluginProtocol
package import Postgres
package import Vault

/// Connects, checks and disconnects accounts.
package struct ConnectionService: Sendable {
  let pool: Pool
  private let vault: Vault
  private let plugins: PluginHost
  private let caller: AccountCaller
  let cache: AccountCache
  let renewer: TokenRenewer
  let revocations: PlatformRevocations
  private let limits: LimitService

  package init(
    pool: Pool,
    vault: Vault,
    plugins: PluginHost,
    caller: AccountCaller,
    cache: AccountCache,
    renewer: TokenRenewer,
    revocations: PlatformRevocations,
    limits: LimitService
  ) {
    self.pool = pool
    self.vault = vault
    self.plugins = plugins
    self.caller = caller
    self.cache = cache
    self.renewer = renewer
    self.revocations = revocations
    self.limits = limits
  }

  /// Connects an account: asks the platform who it is, seals the credentials, makes its lane.
  ///
  /// - Parameters:
  ///   - first: the first statements of the transaction, such as taking an idempotency key.
  ///   - record: the last work of the transaction, when the connection is there.
  /// - Returns: the id, and the secrets that the host made and shows this one time.
  package func connect(
    _ request: ConnectionRequest,
    taking first: [SQL] = [],
    recording record: @Sendable (Int64, Transaction) async throws -> Void = { _, _ in }
  ) async throws -> (id: Int64, generated: [String: Secret]) {
    guard let manifest = plugins.manifest(for: request.platform), manifest.kind == .platform else {
      throw PublishingError(
        .invalid,
        "platform_not_installed",
        "No plugin for “\(request.platform)” is installed; installed are "
          + plugins.manifests.map(\.id).sorted().joined(separator: ", "),
        field: "platform"
      )
    }
    let (secrets, generated) = try Self.secrets(request.credentials, request.grant, manifest: manifest)
    let fields = try AccountAddresses(request.fields, manifest: manifest, policy: caller.policy)
    let epoch = try await cache.revocations.epoch()
    let rows = try await pool.query("SELECT nextval(pg_get_serial_sequence('platform_connections', 'id')) AS id")
    guard let id = try rows.first?.get("id", as: Int64.self) else {
      throw PublishingError(.unavailable, "no_id", "The database gave no number")
    }
    let draft = Account(
      connectionID: id,
      siteID: request.siteID,
      platform: manifest.id,
      laneID: 0,
      accountID: request.accountID ?? "",
      name: "",
      handle: nil,
      url: nil,
      endpoint: fields.endpoint,
      origin: fields.origin,
      capabilities: nil,
      secrets: secrets,
      credentialEpoch: epoch
    )
    let (identity, capabilities) = try await ask(manifest, draft)
    if let chosen = request.accountID, identity.id != chosen {
      throw PublishingError(
        .refusedByPlatform,
        "another_account",
        "The platform answers for another account (\(identity.name)) than the one that was chosen"
      )
    }
    try await store(
      request,
      manifest: manifest,
      draft: draft,
      identity: identity,
      capabilities: capabilities,
      first,
      record
    )
    return (id, generated)
  }

  /// The secrets that the host made when the account was connected with these values, to be shown once more to whoever
  /// asks with the very same request; none when the account is not there any more.
  package func generated(_ id: Int64, site: Int64, entered: [String: Secret]) async throws -> [String: Secret] {
    do {
      let (manifest, account) = try await load(id, site: site)
      return account.secrets.filter { name, _ in
        entered[name] == nil && manifest.secrets[name]?.source == .generated
      }
    } catch is PublishingError {
      return [:]
    }
  }

  /// Asks the platform again who the account is, and notes what it says.
  ///
  /// - Parameter audit: The row of this use of the credentials; it is there before they are used.
  package func test(_ id: Int64, site: Int64, audit: SQL) async throws {
    let (manifest, account) = try await load(id, site: site)
    try await pool.execute(audit)
    do {
      let (identity, capabilities) = try await ask(manifest, account)
      guard identity.id == account.accountID else {
        throw PublishingError(
          .refusedByPlatform,
          "another_account",
          "The credentials belong to another account (\(identity.name)) than the connected one (\(account.name))"
        )
      }
      try await pool.execute(
        """
        WITH b AS (SELECT id, status FROM platform_connections WHERE id = \(id) FOR UPDATE), c AS (
          UPDATE platform_connections c SET last_validated_at = now(),
            status = CASE WHEN must_renew_since IS NULL THEN 'active' ELSE c.status END,
            status_reason = CASE WHEN must_renew_since IS NOT NULL THEN status_reason END, account_name = \(identity.name), account_handle = \(identity.handle), account_url = \(identity.url),
            capabilities = \(capabilities.map { JSONB(text: $0.text) }), updated_at = now()
          FROM b WHERE c.id = b.id AND c.status <> 'revoked'
          RETURNING c.id, c.site_id, c.platform, c.status, b.status AS former
        )
        \(fragment: Self.changed("active")) WHERE status = 'active' AND former <> 'active'
        """
      )
    } catch let error as PublishingError where error.kind == .refusedByPlatform {
      try await pool.execute(
        """
        WITH c AS (
          UPDATE platform_connections SET status = 'expired', status_reason = \(error.message), updated_at = now()
          WHERE id = \(id) AND status = 'active' RETURNING id, site_id, platform
        )
        \(fragment: Self.changed("expired"))
        """
      )
      throw error
    }
  }

  /// Replaces the credentials of a connection; the account must stay the same, and so do schedules and history.
  ///
  /// - Parameters:
  ///   - grant: nil for credentials that were entered; what an earlier sign-in gave is dropped then.
  ///   - record: the last work of the transaction.
  package func replaceCredentials(
    _ id: Int64,
    with credentials: [String: Secret],
    grant: CredentialGrant? = nil,
    site: Int64,
    recording record: @Sendable (Transaction) async throws -> Void = { _ in }
  ) async throws {
    let epoch = try await cache.revocations.epoch()
    let (manifest, account) = try await load(id, site: site, takesRevoked: true)
    let kept = account.secrets.filter { !CredentialGrant.reserved.contains($0.key) }
    let (secrets, made) = try Self.secrets(kept.merging(credentials) { $1 }, grant, manifest: manifest)
    if let name = made.keys.min() {
      // Nobody would ever see a secret that is made here.
      throw PublishingError(
        .invalid,
        "missing",
        "credentials.\(name) is missing: the former one was revoked; enter the new one that the other side knows",
        field: "credentials.\(name)"
      )
    }
    let draft = account.with(secrets: secrets, epoch: epoch)
    let (identity, capabilities) = try await ask(manifest, draft)
    guard identity.id == account.accountID else {
      throw PublishingError(
        .refusedByPlatform,
        "another_account",
        "The credentials belong to another account (\(identity.name)) than the connected one (\(account.name))",
        field: "credentials"
      )
    }
    let rows = try await pool.query("SELECT generation FROM platform_connections WHERE id = \(id)")
    let generation = try rows.first?.get("generation", as: Int64.self) ?? 1
    let sealed = try await vault.sealCredentials(
      secrets,
      site: site,
      platform: manifest.id,
      connection: id,
      generation: generation + 1
    )
    try await pool.transaction(scope: .owner) { tx in
      try await Self.hold(grant, in: tx)
      let count = try await tx.execute(
        """
        WITH c AS (
          UPDATE platform_connections SET sealed_credentials = \(sealed.bytes), key_id = \(sealed.keyID),
            generation = \(generation + 1), status = 'active', status_reason = NULL, last_validated_at = now(),
            must_renew_since = NULL, credential_epoch = \(epoch), token_issued_at = \(grant?.issuedAt),
            expires_at = \(grant?.expiresAt), renew_at = \(grant?.renewAt), scopes = \(fragment: Self.scopes(grant)),
            app_id = \(grant?.appID), capabilities = \(capabilities.map { JSONB(text: $0.text) }), updated_at = now()
          WHERE id = \(id) AND generation = \(generation) AND deleted_at IS NULL RETURNING id, site_id, platform
        )
        \(fragment: Self.changed("active"))
        """
      )
      guard count == 1 else {
        throw PublishingError(.conflict, "version_conflict", "The credentials were changed by somebody else meanwhile")
      }
      try await record(tx)
    }
    cache.forget(id)
  }

  private static func scopes(_ grant: CredentialGrant?) -> SQL { grant.map { "\($0.scopes)" } ?? "NULL" }

  /// Keeps the application of a grant from being removed until the transaction ends.
  private static func hold(_ grant: CredentialGrant?, in tx: Transaction) async throws {
    guard let app = grant?.appID else { return }
    let rows = try await tx.query("SELECT FROM platform_apps WHERE id = \(app) AND deleted_at IS NULL FOR SHARE")
    if rows.isEmpty {
      throw PublishingError(.conflict, "app_removed", "The application of the sign-in was removed meanwhile")
    }
  }

  /// The server that a person named in the form of a platform, checked; nil for platforms without one.
  package func origin(
    _ fields: [String: String],
    of manifest: PluginManifest
  ) throws(PublishingError) -> String? {
    try AccountAddresses(fields, manifest: manifest, policy: caller.policy).origin
  }

  /// The event of another status, over `c(id, site_id, platform)`.
  static func changed(_ status: String) -> SQL {
    """
    INSERT INTO outbox (site_id, kind, subject_id, data)
    SELECT site_id, \("connection." + status), id, jsonb_build_object('id', id, 'platform', platform) FROM c
    """
  }

  /// Brings the lane of an account in line with its platform's limits and the hourly limits of its targets.
  package func applyLimits(_ id: Int64, site: Int64) async throws {
    let rows = try await pool.query(
      """
      SELECT c.platform, c.lane_id, min(t.rate_limit_per_hour) AS per_hour
      FROM platform_connections c
      LEFT JOIN publishing_targets t ON t.connection_id = c.id AND t.deleted_at IS NULL AND t.is_active
      WHERE c.id = \(id) AND c.site_id = \(site) AND c.deleted_at IS NULL
      GROUP BY c.platform, c.lane_id
      """
    )
    guard let row = rows.first, let manifest = plugins.manifest(for: try row.get("platform")) else { return }
    let perHour = try row.get("per_hour", as: Int32?.self).map(Int.init)
    let (lane, poolID) = try await limits.lane(for: manifest, site: site, connection: id, perHour: perHour)
    try await pool.execute(LaneStatements.configure(try row.get("lane_id"), lane, poolID: poolID))
  }

  // MARK: Steps

  private func load(_ id: Int64, site: Int64, takesRevoked: Bool = false) async throws -> (PluginManifest, Account) {
    // Nothing of another site is opened, not even to look at it.
    let own = try await pool.query(
      "SELECT FROM platform_connections WHERE id = \(id) AND site_id = \(site) AND deleted_at IS NULL"
    )
    if own.isEmpty { throw PublishingError.notFound("connection", id) }
    let account: Account
    do {
      account = try await cache.load(id, takesRevoked: takesRevoked)
    } catch AccountError.missing {
      throw PublishingError.notFound("connection", id)
    } catch let error as AccountError {
      throw PublishingError(.conflict, "credentials_revoked", error.description)
    }
    guard let manifest = plugins.manifest(for: account.platform) else {
      throw PublishingError(.conflict, "plugin_not_installed", "No plugin for “\(account.platform)” is installed")
    }
    return (manifest, account)
  }

  private func ask(_ manifest: PluginManifest, _ account: Account) async throws -> (AccountIdentity, RawJSON?) {
    let answer = try await caller.call("account/identify", manifest: manifest, account: account)
    let identity: AccountIdentity
    do {
      identity = try AccountIdentity(json: answer)
    } catch {
      throw PublishingError(.unavailable, "adapter_broken", "The adapter's answer is not usable: \(error)")
    }
    guard (1...256).contains(identity.id.utf8.count) else {
      throw PublishingError(.unavailable, "adapter_broken", "The adapter gave no usable account id")
    }
    guard manifest.answers("account/capabilities") else { return (identity, nil) }
    let known = account.with(identity: identity)
    return (identity, try await caller.call("account/capabilities", manifest: manifest, account: known))
  }

  private func store(
    _ request: ConnectionRequest,
    manifest: PluginManifest,
    draft: Account,
    identity: AccountIdentity,
    capabilities: RawJSON?,
    _ first: [SQL],
    _ record: @Sendable (Int64, Transaction) async throws -> Void
  ) async throws {
    let id = draft.connectionID
    let site = request.siteID
    let sealed = try await vault.sealCredentials(
      draft.secrets,
      site: site,
      platform: manifest.id,
      connection: id,
      generation: 1
    )
    let (allowed, poolID) = try await limits.lane(for: manifest, site: site, connection: id)
    do {
      try await pool.transaction(scope: .owner) { tx in
        try await tx.batch(first)
        try await Self.hold(request.grant, in: tx)
        let lanes = try await tx.query(
          LaneStatements.ensure([
            LaneSpecification(
              kind: DeliveryHandler.kind,
              key: "\(manifest.id):\(identity.id)",
              siteID: site,
              limits: allowed,
              poolID: poolID
            )
          ])
        )
        let lane: Int64 = try lanes[0].get("lane_id")
        // The account may have belonged to another site before, with limits of its own.
        try await tx.execute("UPDATE lanes SET site_id = \(site) WHERE lane_id = \(lane) AND site_id <> \(site)")
        try await tx.execute(LaneStatements.configure(lane, allowed, poolID: poolID))
        try await tx.execute(
          """
          INSERT INTO platform_connections (id, site_id, platform, account_id, account_name, account_handle,
            account_url, endpoint, origin, capabilities, sealed_credentials, key_id, lane_id, connected_by,
            last_validated_at, credential_epoch, token_issued_at, expires_at, renew_at, scopes, app_id)
          VALUES (\(id), \(site), \(manifest.id), \(identity.id), \(identity.name), \(identity.handle),
            \(identity.url), \(draft.endpoint), \(draft.origin), \(capabilities.map { JSONB(text: $0.text) }), \(sealed.bytes),
            \(sealed.keyID), \(lane), \(request.userID), now(), \(draft.credentialEpoch), \(request.grant?.issuedAt),
            \(request.grant?.expiresAt), \(request.grant?.renewAt), \(fragment: Self.scopes(request.grant)), \(request.grant?.appID))
          """
        )
        try await tx.execute(
          AuditEntry(
            .connectionCreate,
            "connection:\(id)",
            site: site,
            user: request.userID,
            details: "jsonb_build_object('platform', \(manifest.id)::text, 'account', \(identity.name)::text)"
          ).insertion
        )
        try await tx.execute(
          """
          INSERT INTO outbox (site_id, kind, subject_id, data)
          VALUES (\(site), 'connection.created', \(id), jsonb_build_object('id', \(id)::bigint,
            'platform', \(manifest.id)::text, 'accountName', \(identity.name)::text))
          """
        )
        try await record(id, tx)
      }
    } catch let error as PostgresError where error.isUniqueViolation && error.table == "platform_connections" {
      throw PublishingError(
        .conflict,
        "account_already_connected",
        "The account \(identity.name) is connected already, in this site or another one",
        field: "platform"
      )
    }
  }

  /// The secrets of a connection: the entered ones must be complete, the generated ones are made when not entered.
  private static func secrets(
    _ entered: [String: Secret],
    _ grant: CredentialGrant?,
    manifest: PluginManifest
  ) throws -> (all: [String: Secret], generated: [String: Secret]) {
    for name in entered.keys.sorted() where manifest.secrets[name] == nil {
      throw PublishingError(
        .invalid,
        "unknown",
        "credentials.\(name) is not known; \(manifest.name) takes "
          + manifest.secrets.keys.sorted().joined(separator: ", "),
        field: "credentials.\(name)"
      )
    }
    var all = entered
    var generated: [String: Secret] = [:]
    for (name, declaration) in manifest.secrets.sorted(by: { $0.key < $1.key }) where entered[name] == nil {
      guard declaration.source == .generated else {
        throw PublishingError(
          .invalid,
          "missing",
          "credentials.\(name) is missing; needed is: \(declaration.label)",
          field: "credentials.\(name)"
        )
      }
      let secret = Secret((declaration.format == .whsec ? "whsec_" : "") + Base64.encode(RandomBytes.make(32)))
      all[name] = secret
      generated[name] = secret
    }
    return (all.merging(grant?.secrets ?? [:]) { $1 }, generated)
  }
}

extension Account {
  func with(secrets: [String: Secret], epoch: Int64, validity: Validity = Validity()) -> Account {
    Account(
      connectionID: connectionID,
      siteID: siteID,
      platform: platform,
      laneID: laneID,
      accountID: accountID,
      name: name,
      handle: handle,
      url: url,
      endpoint: endpoint,
      origin: origin,
      capabilities: capabilities,
      secrets: secrets,
      credentialEpoch: epoch,
      validity: validity
    )
  }

  func with(identity: AccountIdentity) -> Account {
    Account(
      connectionID: connectionID,
      siteID: siteID,
      platform: platform,
      laneID: laneID,
      accountID: identity.id,
      name: identity.name,
      handle: identity.handle,
      url: identity.url,
      endpoint: endpoint,
      origin: origin,
      capabilities: capabilities,
      secrets: secrets,
      credentialEpoch: credentialEpoch,
      validity: validity
    )
  }
}
