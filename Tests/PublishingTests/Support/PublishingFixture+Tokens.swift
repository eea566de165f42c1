import Cryptography
import FoundationEssentials
import Logging
import PluginHost
import PluginManifest
import Postgres
import Vault

@testable import Publishing

/// Accounts that were connected by a sign-in.
extension PublishingFixture {
  /// Short, so that a test waits for nothing but what it looks at.
  static var renewals: RenewalSettings {
    var settings = RenewalSettings()
    settings.pause = .milliseconds(5)
    settings.poll = .milliseconds(5)
    return settings
  }

  /// Runs with a platform that gives tokens.
  static func runWithTokens(
    _ script: String = "fail internal never",
    rotation: ProbeTokens.Rotation = .strict,
    refresh: String = "",
    revoke: Bool = true,
    _ body: (PublishingFixture) async throws -> Void
  ) async throws {
    let oauth = ProbeManifest.oauth(rotation: "\(rotation)", refresh: refresh, revoke: revoke)
    try await run(script, manifest: ProbeManifest.text(oauth: oauth)) { fixture in
      fixture.platform.change { $0.rotation = rotation }
      try await fixture.grant()
      try await body(fixture)
    }
  }

  /// Gives the account the platform's present tokens.
  ///
  /// - Parameters:
  ///   - age: seconds since they were given.
  ///   - life: seconds from then until the access token ends.
  func grant(age: Double = 7_000, life: Double = 7_200) async throws {
    let tokens = platform.tokens
    let generation = try await generation() + 1
    let sealed = try await vault.sealCredentials(
      ["token": Secret(tokens.access), CredentialGrant.refreshToken: Secret(tokens.refresh)],
      site: site,
      platform: "probe",
      connection: connection,
      generation: generation
    )
    try await pool.execute(
      """
      UPDATE platform_connections SET sealed_credentials = \(sealed.bytes), key_id = \(sealed.keyID),
        generation = \(generation), scopes = '{write}', token_issued_at = now() - \(age) * interval '1 s',
        expires_at = now() + \(life - age) * interval '1 s', renew_at = now() + \(0.8 * life - age) * interval '1 s'
      WHERE id = \(connection)
      """
    )
  }

  /// Lets the present access token end, and every pause with it.
  func expire() async throws {
    try await pool.execute(
      """
      UPDATE platform_connections SET expires_at = now() - interval '1 s', renew_at = now() - interval '1 h',
        token_issued_at = now() - interval '1 day', renewal_retry_at = NULL, renewal_sent_at = now() - interval '1 day'
      WHERE id = \(connection)
      """
    )
  }

  func generation() async throws -> Int64 {
    try await pool.query("SELECT generation FROM platform_connections WHERE id = \(connection)")[0].get(0)
  }

  /// Asks for a newer token than the present one.
  func renew(_ cause: RenewalCause = .needed) async throws -> RenewalEnd {
    await assembly.renewer.renew(connection, seen: try await generation(), cause: cause)
  }

  /// The secrets that are stored now.
  func stored() async throws -> [String: Secret] {
    try await AccountCache(pool: pool, vault: vault).load(connection).secrets
  }

  func status() async throws -> String {
    try await pool.query("SELECT status FROM platform_connections WHERE id = \(connection)")[0].get(0)
  }

  /// Whether the stored credentials are the ones that the platform gave last.
  func isInStep() async throws -> Bool {
    let (stored, tokens) = (try await stored(), platform.tokens)
    return stored["token"] == Secret(tokens.access) && stored[CredentialGrant.refreshToken] == Secret(tokens.refresh)
  }

  /// Another process: the same database, disk folder and platform, and nothing else in common.
  func otherRenewer(folder name: String = "tokens") -> TokenRenewer {
    let plugins = plugins
    return TokenRenewer(
      accounts: AccountCache(pool: pool, vault: vault),
      endpoint: endpoint,
      apps: apps,
      spool: TokenSpool(folder: folder + "/" + name),
      settings: Self.renewals,
      logger: .current,
      manifest: { plugins.manifest(for: $0) }
    )
  }
}
