import Cryptography
import FoundationEssentials
import Logging
import OAuth
import PluginHost
import PluginManifest
import Postgres
import Publishing

/// Coming back from the platform. The first thing that is not right ends it; nothing is tried twice.
extension PlatformSignIns {
  /// The site of the sign-in that a callback belongs to, without touching it; nil for none.
  package func site(of parameters: [(String, String)]) async throws -> Int64? {
    guard let state = Self.state(parameters) else { return nil }
    return try await store.site(state: SHA256.digest(state))
  }

  /// Takes a callback.
  ///
  /// - Parameters:
  ///   - platform: the one of the callback's path.
  ///   - parameters: decoded names and values of the query, in order.
  package func finish(
    platform: String,
    parameters: [(String, String)],
    visitor: SignInVisitor
  ) async throws -> SignInEnd {
    guard let state = Self.state(parameters), let row = try await store.take(state: SHA256.digest(state)) else {
      logger.notice("A callback of no running sign-in came", ["platform": "\(platform.prefix(40))"])
      return .here(.malformed)
    }
    do throws(SignInFailure) {
      try Self.check(row, platform: platform, visitor)
      return try await finish(row, parameters, visitor)
    } catch {
      if error.reason == .adapterFailed {
        logger.error(
          "A sign-in failed",
          ["signIn": .int(Int(row.id)), "platform": "\(row.platform)", "error": "\(error.cause)"]
        )
      }
      try await store.pool.execute(
        SignInStore.end(row, error.reason.outcome, reason: error.reason, message: error.message, visitor: visitor)
      )
      if error.reason.staysHere { return .here(error.reason) }
      return back(row, [("error", error.reason.error), ("reason", error.reason.rawValue), ("signIn", "\(row.id)")])
    }
  }

  private static func state(_ parameters: [(String, String)]) -> String? {
    let states = parameters.filter { $0.0 == "state" }
    guard states.count == 1, let state = states.first?.1, (1...500).contains(state.utf8.count) else { return nil }
    return state
  }

  /// Platform, browser and user are those of the start.
  private static func check(
    _ row: SignInRow,
    platform: String,
    _ visitor: SignInVisitor
  ) throws(SignInFailure) {
    guard platform == row.platform else { throw SignInFailure(.wrongPlatform) }
    guard let cookie = visitor.cookie(row.id), let expected = row.browserHash,
      constantTimeEquals(SHA256.digest(cookie), expected)
    else { throw SignInFailure(.foreignBrowser) }
    // A browser that a program bound needs no session, but another person's session is not the right one.
    guard visitor.userID == row.userID || (visitor.userID == nil && !row.isBrowser) else {
      throw SignInFailure(.foreignUser)
    }
    if row.isBrowser, !visitor.mayConnect(row.siteID) { throw SignInFailure(.accessLost) }
  }

  private func finish(
    _ row: SignInRow,
    _ parameters: [(String, String)],
    _ visitor: SignInVisitor
  ) async throws(SignInFailure) -> SignInEnd {
    let query: CallbackQuery
    do {
      query = try CallbackQuery(parameters)
    } catch {
      throw SignInFailure(.malformed)
    }
    guard let manifest = plugins.manifest(for: row.platform), manifest.id == row.platform, let oauth = manifest.oauth
    else { throw SignInFailure(.pluginGone) }
    // The address of the callback is this platform's alone, so an issuer counts only where the manifest names one.
    if let issuer = oauth.issuer, query.issuer != issuer { throw SignInFailure(.wrongIssuer) }
    let code: String
    switch query.result {
    case .code(let text): code = text
    case .denied: throw SignInFailure(.denied)
    case .failed("temporarily_unavailable"), .failed("server_error"): throw SignInFailure(.unavailable)
    case .failed: throw SignInFailure(.platformError)
    }
    let tools = try await tools(row, manifest, oauth)
    let (grant, issuedAt) = try await exchange(code, row, tools)
    let scopes = grant.scopes ?? query.scope.map(ScopeText.split) ?? row.scopes
    try Self.check(grant, scopes, oauth)
    let times = GrantTimes(grant, refresh: oauth.refresh, issuedAt: issuedAt)
    guard let accounts = oauth.accounts else {
      let account = GrantedAccount(choice: nil, grant: grant, times: times, scopes: scopes)
      return back(row, connected: try await connect(account, row, tools, visitor: visitor))
    }
    let choices = try await list(accounts, tools, grant)
    let usable = choices.filter(\.isUsable)
    guard !usable.isEmpty else { throw SignInFailure(.noAccount) }
    if usable.count == 1 || row.connectionID != nil {
      let account = GrantedAccount(
        choice: try await former(row, among: usable),
        grant: grant,
        times: times,
        scopes: scopes
      )
      return back(row, connected: try await connect(account, row, tools, visitor: visitor))
    }
    try await keep(row, choices, grant, times, scopes)
    return back(row, [("choose", "\(row.id)")])
  }

  // MARK: The exchange

  /// What the requests of one sign-in are made with.
  struct Tools {
    let manifest: PluginManifest
    let oauth: OAuthDeclaration
    let app: PlatformApp
    var values: OAuthValues
  }

  func tools(
    _ row: SignInRow,
    _ manifest: PluginManifest,
    _ oauth: OAuthDeclaration
  ) async throws(SignInFailure) -> Tools {
    do {
      let app = try await apps.connected(row.appID, of: manifest, oauth, site: row.siteID)
      let values = OAuthValues(
        clientID: app.clientID,
        clientSecret: app.clientSecret,
        redirect: row.redirect,
        origin: row.origin
      )
      return Tools(manifest: manifest, oauth: oauth, app: app, values: values)
    } catch let error as PlatformAppError {
      throw SignInFailure(.application, "\(error)")
    } catch {
      throw SignInFailure(.adapterFailed, cause: error)
    }
  }

  private func exchange(
    _ code: String,
    _ row: SignInRow,
    _ tools: Tools
  ) async throws(SignInFailure) -> (TokenGrant, Date) {
    var values = tools.values
    let outcome: TokenOutcome
    // From before the request: the token's life may have begun as soon as it left.
    let issuedAt = Date()
    do {
      values.code = Secret(code)
      values.proof = try await store.secrets(row)["verifier"].map { ProofKey(verifier: $0) }
      values.scope = row.scopes.joined(separator: tools.oauth.scopeSeparator)
      outcome = try await endpoint.exchange(tools.oauth, values)
    } catch {
      throw SignInFailure(.adapterFailed, cause: error)
    }
    switch outcome {
    case .granted(let grant): return (grant, issuedAt)
    case .notSent(let detail), .ambiguous(let detail):
      logger.warning(
        "A platform gave no token for a code",
        ["signIn": .int(Int(row.id)), "platform": "\(row.platform)", "problem": "\(detail)"]
      )
      throw SignInFailure(.unavailable)
    case .refused(let refusal):
      logger.warning(
        "A platform refused a code",
        [
          "signIn": .int(Int(row.id)), "platform": "\(row.platform)", "status": .int(refusal.status),
          "code": "\(refusal.code ?? "none")",
        ]
      )
      switch refusal.kind {
      case .application: throw SignInFailure(.application)
      case .later: throw SignInFailure(.unavailable)
      case .dead, .other: throw SignInFailure(.codeRefused)
      }
    }
  }

  private static func check(
    _ grant: TokenGrant,
    _ scopes: [String],
    _ oauth: OAuthDeclaration
  ) throws(SignInFailure) {
    let missing = oauth.scopes.filter { set in set.isRequired && !set.scopes.allSatisfy(scopes.contains) }
    guard missing.isEmpty else {
      let labels = missing.map { "“\($0.label)”" }.joined(separator: ", ")
      throw SignInFailure(.scopesMissing, "Not everything was allowed for \(labels).")
    }
    if oauth.refresh?.needsRefreshToken == true, grant.refreshToken == nil { throw SignInFailure(.noRefreshToken) }
  }

  // MARK: The account

  /// Stores the account and ends the sign-in, both or neither.
  ///
  /// - Parameter visitor: nil when the sign-in goes on, because several accounts are chosen.
  func connect(
    _ account: GrantedAccount,
    _ row: SignInRow,
    _ tools: Tools,
    visitor: SignInVisitor?
  ) async throws(SignInFailure) -> Int64 {
    let grant = account.credentials(app: tools.app)
    let credentials = [tools.oauth.secret: account.token]
    @Sendable func end(_ id: Int64, _ tx: Transaction) async throws {
      guard let visitor else { return }
      try await tx.execute(SignInStore.end(row, .connected, connections: [id], visitor: visitor))
    }
    do {
      if let id = row.connectionID {
        try await connections.replaceCredentials(id, with: credentials, grant: grant, site: row.siteID) { tx in
          try await end(id, tx)
        }
        return id
      }
      let request = ConnectionRequest(
        siteID: row.siteID,
        userID: row.userID,
        platform: row.platform,
        credentials: credentials,
        fields: row.origin.map { ["origin": $0] } ?? [:],
        grant: grant,
        accountID: account.choice?.id
      )
      return try await connections.connect(request, recording: { id, tx in try await end(id, tx) }).id
    } catch let error as PublishingError {
      throw SignInFailure(error)
    } catch {
      throw SignInFailure(.adapterFailed, cause: error)
    }
  }

  private func back(_ row: SignInRow, connected id: Int64) -> SignInEnd {
    back(row, [("success", "true"), ("connectionId", "\(id)")])
  }

  private func back(_ row: SignInRow, _ parameters: [(String, String)]) -> SignInEnd {
    .back(to: ReturnAddress(stored: row.returnTo).adding(parameters), signIn: row.id)
  }
}

/// What ends a sign-in without an account.
struct SignInFailure: Error {
  let reason: SignInReason
  /// More, for the person: words of the host or the adapter.
  let message: String?
  /// For the log.
  let cause: String

  init(_ reason: SignInReason, _ message: String? = nil, cause: (any Error)? = nil) {
    self.reason = reason
    self.message = message
    self.cause = cause.map { "\($0)" } ?? message ?? ""
  }

  /// What the account's own checks said.
  init(_ error: PublishingError) {
    let reason: SignInReason =
      switch (error.kind, error.code) {
      case (_, "adapter_broken"): .adapterFailed
      case (.unavailable, _): .unavailable
      case (_, "another_account"): .anotherAccount
      case (_, "account_already_connected"): .accountTaken
      case (_, "credentials_refused"): .tokenRefused
      case (.refusedByPlatform, _): .accountNotUsable
      case (_, "app_removed"): .application
      case (.notFound, _), (.conflict, _): .connectionGone
      case (.invalid, _): .adapterFailed
      }
    self.init(reason, error.message, cause: error)
  }
}
