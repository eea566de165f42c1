/// The control interface of the OAuth servers.
extension Router {
  /// The OAuth server of a platform that has one.
  func oauth(of platform: Platform) -> OAuthServer? {
    platform == .x ? x.oauth : consentPlatforms[platform]?.oauth
  }

  /// Every platform with an OAuth server, in a fixed order.
  var oauthServers: [(platform: Platform, server: OAuthServer)] {
    Platform.allCases.compactMap { platform in oauth(of: platform).map { (platform, $0) } }
  }

  private func oauth(_ reader: inout ObjectReader) throws(ControlError) -> (Platform, OAuthServer) {
    let name = try reader.requiredString("platform")
    guard let platform = Platform(rawValue: name), let server = oauth(of: platform) else {
      let known = oauthServers.map(\.platform.rawValue).joined(separator: ", ")
      throw ControlError("\(reader.path("platform")) must be one of \(known)")
    }
    return (platform, server)
  }

  /// What a body names: one object, a list, or a list under `name`.
  static func values(_ body: JSON, named name: String) throws(ControlError) -> [JSON] {
    if let list = body.array { return list }
    guard body[name] != nil else { return [body] }
    var reader = try ObjectReader(body)
    let values = try reader.array(name) ?? []
    try reader.finish()
    return values
  }

  // MARK: Origins

  func showOrigins() -> HTTPResponse {
    let list = Origins.list(base: origin)
    return .json(
      JSONWriter.object {
        $0.object("origins") { for (origin, place) in list { $0.member(origin, place) } }
        $0.member("overrides", list.map { "\($0.origin)=\($0.place)" }.joined(separator: ","))
      }
    )
  }

  // MARK: Apps

  func setApps(_ body: JSON) throws(ControlError) -> HTTPResponse {
    var orders: [(OAuthServer, OAuthApp)] = []
    for value in try Self.values(body, named: "apps") {
      var reader = try ObjectReader(value)
      let (platform, server) = try oauth(&reader)
      let app = try OAuthApp(&reader, platform: platform, known: server.state.withLock { $0.apps })
      try check(app, platform, server.rules)
      orders.append((server, app))
    }
    for (server, app) in orders { server.state.withLock { $0.setApp(app) } }
    return showApps(status: 201)
  }

  /// Registers an app at start.
  func add(_ app: SandboxConfiguration.App) throws(SandboxError) {
    guard let platform = Platform(rawValue: app.platform), let server = oauth(of: platform) else {
      throw SandboxError("\(app.platform) has no apps")
    }
    let registered = OAuthApp(
      clientID: app.clientID,
      secret: app.secret,
      name: app.clientID,
      redirectAddresses: app.redirectAddresses,
      isApproved: true
    )
    do throws(ControlError) {
      try check(registered, platform, server.rules)
    } catch {
      throw SandboxError(error.message)
    }
    server.state.withLock { $0.setApp(registered) }
  }

  /// Makes an account on every platform that only lets apps in.
  func add(_ account: SandboxConfiguration.ConsentAccount) throws(SandboxError) {
    guard OAuthAccountOrder.isUsername(account.username), account.token.map({ !$0.isEmpty }) ?? true else {
      throw SandboxError("an account is NAME:TOKEN, the name of 1 to 64 letters, digits, - _ and .")
    }
    for platform in consentPlatforms.keys {
      apply(OAuthAccountOrder(platform: platform, username: account.username, token: account.token))
    }
  }

  private func check(_ app: OAuthApp, _ platform: Platform, _ rules: OAuthRules) throws(ControlError) {
    for address in app.redirectAddresses {
      let isAddress = address.hasPrefix("https://") || address.hasPrefix("http://")
      guard isAddress, address.utf8.allSatisfy({ $0 > 32 && $0 < 127 }), !address.contains("#") else {
        throw ControlError("\(address) is no address without a fragment")
      }
      guard rules.redirectsMayHaveQuery || !address.contains("?") else {
        throw ControlError("\(address) has a query, which \(rules.title) does not register")
      }
    }
    if let objection = consentPlatforms[platform]?.objection(to: app) { throw ControlError(objection) }
  }

  func showApps(status: Int = 200) -> HTTPResponse {
    let servers = oauthServers
    return .json(
      status,
      JSONWriter.object { writer in
        writer.array("apps") { list in
          for (platform, server) in servers {
            for app in server.state.withLock({ $0.apps }) {
              list.object {
                $0.member("platform", platform.rawValue)
                $0.member("clientId", app.clientID)
                $0.member("name", app.name)
                $0.member("public", app.secret == nil)
                $0.member("approved", app.isApproved)
                $0.array("redirectAddresses") { for address in app.redirectAddresses { $0.string(address) } }
              }
            }
          }
        }
      }
    )
  }

  // MARK: Accounts

  /// Reads an account; its platform may refuse it.
  func order(_ reader: inout ObjectReader, platform: Platform) throws(ControlError) -> OAuthAccountOrder {
    let order = try OAuthAccountOrder(&reader, platform: platform)
    if let objection = consentPlatforms[platform]?.objection(to: order.account) { throw ControlError(objection) }
    return order
  }

  func apply(_ order: OAuthAccountOrder) {
    oauth(of: order.platform)?.state.withLock { state in
      state.setAccount(order.account)
      if let token = order.token {
        let now = clock()
        state.setToken(token, of: order.account.username, seconds: order.tokenSeconds, at: now)
      }
    }
  }

  func write(_ account: OAuthAccount, _ platform: Platform, _ writer: inout JSONWriter) {
    writer.member("platform", platform.rawValue)
    writer.member("id", String(account.id))
    writer.member("username", account.username)
    writer.member("name", account.name)
    if let kind = account.kind { writer.member("kind", kind) }
    writer.array("places") { list in
      for place in account.places {
        list.object {
          $0.member("id", String(place.id))
          $0.member("handle", place.handle)
          $0.member("name", place.name)
          $0.array("roles") { for role in place.roles { $0.string(role) } }
        }
      }
    }
  }

  // MARK: Behaviour, clock, tokens

  func setBehavior(_ body: JSON) throws(ControlError) -> HTTPResponse {
    var reader = try ObjectReader(body)
    let (_, server) = try oauth(&reader)
    let present = server.state.withLock { $0.behavior }
    let behavior = try present.changed(by: &reader, rules: server.rules)
    server.state.withLock { $0.behavior = behavior }
    return showBehavior()
  }

  func showBehavior() -> HTTPResponse {
    let servers = oauthServers
    return .json(
      JSONWriter.object { writer in
        for (platform, server) in servers {
          let state = server.state.withLock { $0 }
          let behavior = state.behavior
          let rules = state.rules
          writer.object(platform.rawValue) {
            $0.member("consent", behavior.consent.rawValue)
            if let account = behavior.consentAccount { $0.member("consentAccount", account) }
            $0.array("withheldScopes") { for scope in behavior.withheldScopes.sorted() { $0.string(scope) } }
            $0.member("rotation", (behavior.rotation ?? rules.rotation).rawValue)
            $0.member("graceSeconds", behavior.graceSeconds)
            $0.member("codeSeconds", behavior.codeSeconds ?? rules.codeSeconds)
            if let seconds = behavior.accessSeconds ?? rules.accessSeconds { $0.member("accessSeconds", seconds) }
            if let seconds = behavior.longSeconds ?? rules.longSeconds { $0.member("longSeconds", seconds) }
            if let seconds = behavior.refreshSeconds ?? rules.refreshSeconds { $0.member("refreshSeconds", seconds) }
            $0.member("clockAheadMs", state.clockOffset)
          }
        }
      }
    )
  }

  /// Moves the clock that codes and tokens live by, of one platform or of all.
  func advanceClock(_ body: JSON) throws(ControlError) -> HTTPResponse {
    var reader = try ObjectReader(body)
    let servers = reader.value("platform") == nil ? oauthServers.map(\.server) : [try oauth(&reader).1]
    guard let milliseconds = try reader.integer("advanceMs", in: 0...1_000_000_000_000) else {
      throw ControlError("\(reader.path("advanceMs")) is missing")
    }
    try reader.finish()
    for server in servers { server.state.withLock { $0.advanceClock(milliseconds: Int64(milliseconds)) } }
    return showBehavior()
  }

  /// What happens to the tokens of an account outside of the app's sight.
  func changeTokens(_ body: JSON) throws(ControlError) -> HTTPResponse {
    var reader = try ObjectReader(body)
    let (platform, server) = try oauth(&reader)
    let account = try reader.requiredString("account")
    let reason = try reader.integer("reason", in: 1...1_000_000)
    let now = clock()
    let change = try reader.requiredString("change")
    try reader.finish()
    let isKnown =
      platform == .x
      ? x.state.withLock { $0.accountByName[account.lowercased()] != nil }
      : server.state.withLock { $0.account(account) != nil }
    guard isKnown else { throw ControlError("there is no account \(account)", status: 404) }
    let count = server.state.withLock { state -> Int? in
      switch change {
      case "expireAccess": state.expire(account: account, refreshTokens: false, at: now)
      case "expireRefresh": state.expire(account: account, refreshTokens: true, at: now)
      case "remove": state.remove(account: account, reason: reason)
      default: nil
      }
    }
    guard let count else { throw ControlError("change must be one of expireAccess, expireRefresh, remove") }
    return .json(JSONWriter.object { $0.member("changed", count) })
  }

  // MARK: Ledger

  /// What the OAuth servers did, by platform.
  func writeOAuth(
    platform: Platform?,
    account: String?,
    after: Int64,
    showsFamilies: Bool,
    _ ledger: inout JSONWriter
  ) {
    let servers = oauthServers.filter { platform == nil || $0.platform == platform }
    guard !servers.isEmpty else { return }
    ledger.object("oauth") { part in
      for (platform, server) in servers {
        let state = server.state.withLock { $0 }
        part.object(platform.rawValue) {
          Self.write(state.counts, &$0)
          guard showsFamilies else { return }
          let living = state.livingTokens(at: clock())
          let wanted = state.families.filter { family in
            family.app != "" && family.startedAt > after && (account.map { $0 == family.account } ?? true)
          }
          $0.array("families") { list in
            for family in wanted { list.object { Self.write(family, living[family.id] ?? 0, &$0) } }
          }
        }
      }
    }
  }

  private static func write(_ counts: OAuthCounts, _ writer: inout JSONWriter) {
    writer.member("consents", counts.consents)
    writer.member("denials", counts.denials)
    writer.member("exchanges", counts.exchanges)
    writer.member("refusedExchanges", counts.refusedExchanges)
    writer.member("codeReplays", counts.codeReplays)
    writer.member("lengthenings", counts.lengthenings)
    writer.member("refreshes", counts.refreshes)
    writer.member("graceRefreshes", counts.graceRefreshes)
    writer.member("refusedRefreshes", counts.refusedRefreshes)
    writer.member("replays", counts.replays)
    writer.member("kills", counts.kills)
    writer.member("revocations", counts.revocations)
  }

  private static func write(_ family: OAuthFamily, _ livingTokens: Int, _ writer: inout JSONWriter) {
    writer.member("id", family.id)
    writer.member("app", family.app)
    writer.member("account", family.account)
    writer.array("scopes") { for scope in family.scopes { $0.string(scope) } }
    writer.member("at", CivilTime(milliseconds: family.startedAt).iso)
    writer.member("refreshes", family.refreshes)
    writer.member("graceRefreshes", family.graceRefreshes)
    writer.member("refusedRefreshes", family.refusedRefreshes)
    writer.member("replays", family.replays)
    writer.member("state", family.end?.name ?? "alive")
    writer.member("livingTokens", livingTokens)
  }
}
