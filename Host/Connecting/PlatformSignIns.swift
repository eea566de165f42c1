import Cryptography
package import Egress
package import Logging
package import OAuth
package import PluginHost
package import PluginManifest
package import Postgres
package import Publishing
package import Vault

/// Sign-ins at platforms, by which people connect accounts: from the page of the platform to the connected account.
///
/// The host makes all requests with codes and tokens itself, as the plugin's manifest describes them; the plugin only says
/// whose account it is.
package struct PlatformSignIns: Sendable {
  let store: SignInStore
  let plugins: PluginHost
  let connections: ConnectionService
  let apps: PlatformApps
  let endpoint: TokenEndpoint
  let policy: AddressPolicy
  let address: OwnAddress
  let logger: Logger

  package init(
    pool: Pool,
    vault: Vault,
    plugins: PluginHost,
    connections: ConnectionService,
    apps: PlatformApps,
    endpoint: TokenEndpoint,
    policy: AddressPolicy,
    address: OwnAddress,
    logger: Logger
  ) {
    store = SignInStore(pool: pool, vault: vault)
    self.plugins = plugins
    self.connections = connections
    self.apps = apps
    self.endpoint = endpoint
    self.policy = policy
    self.address = address
    self.logger = logger
  }

  /// The columns of this module with sealed values.
  package static let sealedColumns = [SignInStore.sealedColumn]

  /// The plugin of a name or alias and how its accounts are connected.
  ///
  /// - Throws: ``SignInRefusal/unsupported(_:)``.
  package func supported(_ platform: String) throws(SignInRefusal) -> (PluginManifest, OAuthDeclaration) {
    guard let manifest = plugins.manifest(for: platform), manifest.kind == .platform, let oauth = manifest.oauth else {
      throw .unsupported(platform)
    }
    return (manifest, oauth)
  }

  /// What is registered with a platform as callback address; nil before the host knows its own.
  package func callback(_ platform: String) -> String? {
    address.text.map { OwnAddress.callback(platform, below: $0) }
  }

  // MARK: Beginning

  /// Starts a sign-in.
  ///
  /// - Parameter also: what is stored in the same transaction; gets the sign-in's number.
  package func start(
    _ request: SignInRequest,
    also: @Sendable (Int64) -> [SQL] = { _ in [] }
  ) async throws
    -> StartedSignIn
  {
    let (manifest, oauth) = try supported(request.platform)
    let scopes = try Self.scopes(request.scopes, oauth)
    let returnTo = try await returnAddress(request.returnTo, site: request.siteID)
    let redirect = OwnAddress.callback(manifest.id, below: try ownAddress())
    try await apps.checkCallback(oauth, is: redirect)
    let former = try await former(request, manifest)
    let origin = try former.map { $0.origin } ?? connections.origin(request.fields, of: manifest)
    let app =
      if let former, request.appID == nil, former.appID != nil {
        try await apps.connected(former.appID, of: manifest, oauth, site: request.siteID)
      } else {
        try await apps.choose(request.appID, of: manifest, oauth, site: request.siteID, origin: origin)
      }
    let state = Self.random()
    let proof = oauth.usesProofKey ? ProofKey() : nil
    let (ticket, browser) = request.isBrowser ? (nil, Self.random()) : (Self.random(), nil)
    let id = try await store.nextID()
    let expiresAt = try await store.insert(
      id,
      request,
      platform: manifest.id,
      version: "\(manifest.version)",
      appID: app.id,
      secrets: ["state": state, "verifier": proof?.verifier].compactMapValues(\.self),
      hashes: (Self.hash(state), ticket.map(Self.hash), browser.map(Self.hash)),
      redirect: redirect,
      returnTo: returnTo.text,
      origin: origin,
      scopes: scopes,
      also: also(id)
    )
    var values = OAuthValues(clientID: app.clientID, clientSecret: nil, redirect: redirect, origin: origin)
    values.scope = scopes.joined(separator: oauth.scopeSeparator)
    let page: String
    if let ticket {
      page = try ownAddress() + OwnAddress.path(manifest.id, "begin") + "?ticket=\(ticket.revealText() ?? "")"
    } else {
      page = try self.page(oauth, values, state: state, proof: proof)
    }
    return StartedSignIn(id: id, address: page, state: state, browser: browser, expiresAt: expiresAt)
  }

  /// Binds the first browser that opens the address of a sign-in which a program started.
  ///
  /// - Throws: ``SignInRefusal/ticketNotValid`` for every further one.
  package func begin(_ ticket: String, platform: String) async throws -> StartedSignIn {
    let browser = Self.random()
    guard
      let row = try await store.bind(
        ticket: SHA256.digest(ticket),
        platform: platform,
        browser: Self.hash(browser)
      )
    else { throw SignInRefusal.ticketNotValid }
    let (manifest, oauth) = try supported(row.platform)
    let app = try await apps.connected(row.appID, of: manifest, oauth, site: row.siteID)
    let secrets = try await store.secrets(row)
    guard let state = secrets["state"] else { throw SignInRefusal.ticketNotValid }
    var values = OAuthValues(clientID: app.clientID, clientSecret: nil, redirect: row.redirect, origin: row.origin)
    values.scope = row.scopes.joined(separator: oauth.scopeSeparator)
    let proof = secrets["verifier"].map { ProofKey(verifier: $0) }
    return StartedSignIn(
      id: row.id,
      address: try page(oauth, values, state: state, proof: proof),
      state: state,
      browser: browser,
      expiresAt: row.expiresAt
    )
  }

  // MARK: Looking

  /// A sign-in of a user.
  package func state(_ id: Int64, site: Int64, user: Int64) async throws -> SignInState {
    guard let state = try await store.state(id, site: site, user: user) else { throw SignInRefusal.notFound(id) }
    return state
  }

  /// How the sign-ins of a site ended in the last days.
  package func summary(platform: String, site: Int64, days: Int) async throws -> SignInSummary {
    try await store.summary(platform: platform, site: site, days: days)
  }

  /// Ends sign-ins that nobody came back to, and wipes what they hold. For every few seconds.
  package func endExpired() async throws { try await store.endExpired() }

  /// Removes what is old. For now and then.
  package static func clean(_ pool: Pool) async throws { try await SignInStore.clean(pool) }

  // MARK: Parts

  static func random() -> Secret { Secret(Base64.encodeURL(RandomBytes.make(32))) }

  static func hash(_ secret: Secret) -> [UInt8] { SHA256.digest(secret.reveal()) }

  private func ownAddress() throws(SignInRefusal) -> String {
    guard let text = address.text else { throw .noOwnAddress }
    return text
  }

  private func page(
    _ oauth: OAuthDeclaration,
    _ values: OAuthValues,
    state: Secret,
    proof: ProofKey?
  ) throws -> String {
    var values = values
    values.state = state.revealText()
    values.proof = proof
    let url = try TargetURL(try oauth.authorization.url(values), maximumBytes: TargetURL.longAddress)
    return policy.resolved(url).description
  }

  /// What is asked for: everything required, and what of the rest is wanted.
  private static func scopes(_ wanted: [String], _ oauth: OAuthDeclaration) throws(SignInRefusal) -> [String] {
    let optional = oauth.scopes.filter { !$0.isRequired }.map(\.name)
    let known = oauth.scopes.map(\.name)
    for name in wanted where !known.contains(name) { throw .unknownScopes(name: name, allowed: optional) }
    var scopes: [String] = []
    for set in oauth.scopes where set.isRequired || wanted.contains(set.name) {
      scopes += set.scopes.filter { !scopes.contains($0) }
    }
    return scopes
  }

  private func returnAddress(_ text: String, site: Int64) async throws -> ReturnAddress {
    let rows = try await store.pool.query("SELECT return_addresses FROM sites WHERE id = \(site)")
    do {
      return try ReturnAddress(text, own: try ownAddress(), allowed: try rows.first?.get(0, as: [String].self) ?? [])
    } catch let error as ReturnAddressError {
      throw SignInRefusal.badReturnAddress("\(error)")
    }
  }

  /// The account to connect again.
  private func former(
    _ request: SignInRequest,
    _ manifest: PluginManifest
  ) async throws -> (origin: String?, appID: Int64?)? {
    guard let id = request.connectionID else { return nil }
    let rows = try await store.pool.query(
      """
      SELECT origin, app_id FROM platform_connections
      WHERE id = \(id) AND site_id = \(request.siteID) AND platform = \(manifest.id) AND deleted_at IS NULL
      """
    )
    guard let row = rows.first else { throw SignInRefusal.connectionNotFound(id) }
    return (try row.get("origin"), try row.get("app_id"))
  }
}
