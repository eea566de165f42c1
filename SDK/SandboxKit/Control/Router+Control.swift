/// The control interface under `/_sandbox/`.
extension Router {
  func control(_ request: HTTPRequest) -> HTTPResponse {
    do throws(ControlError) {
      return try route(request)
    } catch {
      let body = JSONWriter.object { $0.object("error") { $0.member("message", error.message) } }
      return .json(error.status, body)
    }
  }

  private func route(_ request: HTTPRequest) throws(ControlError) -> HTTPResponse {
    switch (request.method, request.path.dropFirst("/_sandbox/".count)) {
    case ("GET", "health"): return .json(JSONWriter.object { $0.member("ok", true) })
    case ("GET", "ledger"): return try showLedger(request)
    case ("GET", "requests"): return showRequests()
    case ("GET", "accounts"): return showAccounts()
    case ("POST", "accounts"): return try setAccounts(try JSON.control(request.body))
    case ("GET", "apps"): return showApps()
    case ("POST", "apps"): return try setApps(try JSON.control(request.body))
    case ("GET", "oauth"): return showBehavior()
    case ("POST", "oauth"): return try setBehavior(try JSON.control(request.body))
    case ("POST", "clock"): return try advanceClock(try JSON.control(request.body))
    case ("POST", "tokens"): return try changeTokens(try JSON.control(request.body))
    case ("GET", "origins"): return showOrigins()
    case ("POST", "hooks"): return try setHooks(try JSON.control(request.body))
    case ("GET", "faults"): return showFaults(faults.list())
    case ("POST", "faults"):
      let ids = Set(faults.add(try FaultOrder.orders(in: try JSON.control(request.body))))
      return showFaults(faults.list().filter { ids.contains($0.id) })
    case ("DELETE", "faults"):
      faults.removeAll()
      return showFaults([])
    case ("GET", "settings"): return showSettings()
    case ("POST", "settings"):
      setSettings(try settings.changed(by: try JSON.control(request.body)))
      return showSettings()
    case ("POST", "reset"):
      x.state.withLock { $0.removePosts() }
      webhooks.removeEvents()
      microblog.state.withLock { $0.removePosts() }
      for (_, server) in oauthServers { server.state.withLock { $0.reset() } }
      faults.removeAll()
      log.removeAll()
      return .json(JSONWriter.object { $0.member("ok", true) })
    default: throw ControlError("there is no \(request.method) \(request.path)", status: 404)
    }
  }

  // MARK: Accounts and hooks

  private func setAccounts(_ body: JSON) throws(ControlError) -> HTTPResponse {
    let values = try Self.values(body, named: "accounts")
    // Everything is read before anything is changed: a mistake changes nothing.
    var accounts: [XAccountOrder] = []
    var hooks: [WebhookHookOrder] = []
    var bloggers: [MicroblogAccountOrder] = []
    var others: [OAuthAccountOrder] = []
    for (index, value) in values.enumerated() {
      var reader = try ObjectReader(value, at: values.count == 1 ? "" : "accounts[\(index)]")
      let platform = try reader.string("platform") ?? Platform.x.rawValue
      switch Platform(rawValue: platform) {
      case let found? where consentPlatforms[found] != nil: others.append(try order(&reader, platform: found))
      case .x: accounts.append(try XAccountOrder(&reader))
      case .webhook: hooks.append(try WebhookHookOrder(&reader, name: "username"))
      case .microblog: bloggers.append(try MicroblogAccountOrder(&reader))
      default: throw ControlError("\(reader.path("platform")) must be one of \(Platform.names)")
      }
    }
    var made: [XAccount] = []
    for order in accounts { made.append(try set(order)) }
    for order in hooks { webhooks.setHook(order) }
    microblog.state.withLock { state in for order in bloggers { state.setAccount(order) } }
    for order in others { apply(order) }
    let body = JSONWriter.object { writer in
      writer.array("accounts") { list in
        for account in made { list.object { write(account, &$0) } }
        for hook in hooks { list.object { write(hook: hook.name, &$0) } }
        for order in bloggers { list.object { write(microblog: order.username, &$0) } }
        for order in others { list.object { write(order.account, order.platform, &$0) } }
      }
    }
    return .json(201, body)
  }

  private func set(_ order: XAccountOrder) throws(ControlError) -> XAccount {
    let result = x.state.withLock { state -> Result<XAccount, ControlError> in
      do throws(ControlError) {
        return .success(try state.setAccount(order, now: clock()))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  private func setHooks(_ body: JSON) throws(ControlError) -> HTTPResponse {
    var orders: [WebhookHookOrder] = []
    for value in body.array ?? body["hooks"]?.array ?? [body] {
      var reader = try ObjectReader(value)
      orders.append(try WebhookHookOrder(&reader, name: "name"))
    }
    for order in orders { webhooks.setHook(order) }
    let body = JSONWriter.object { writer in
      writer.array("hooks") { list in for order in orders { list.object { write(hook: order.name, &$0) } } }
    }
    return .json(201, body)
  }

  private func showAccounts() -> HTTPResponse {
    let accounts = x.state.withLock { $0.accounts }
    let hooks = webhooks.state.withLock { $0.order }
    let bloggers = microblog.state.withLock { $0.accounts.map(\.username) }
    let body = JSONWriter.object { writer in
      writer.array("accounts") { list in
        for account in accounts { list.object { write(account, &$0) } }
        for hook in hooks { list.object { write(hook: hook, &$0) } }
        for username in bloggers { list.object { write(microblog: username, &$0) } }
        for (platform, server) in oauthServers {
          for account in server.state.withLock({ $0.accounts }) { list.object { write(account, platform, &$0) } }
        }
      }
    }
    return .json(body)
  }

  private func write(_ account: XAccount, _ writer: inout JSONWriter) {
    writer.member("platform", Platform.x.rawValue)
    writer.member("id", String(account.id))
    writer.member("username", account.username)
    writer.member("subscription", account.subscription.rawValue)
    writer.member("posts", account.posts.count)
    writer.member("page", "\(origin)/x/\(account.username)")
  }

  private func write(hook name: String, _ writer: inout JSONWriter) {
    writer.member("platform", Platform.webhook.rawValue)
    writer.member("username", name)
    writer.member("url", "\(origin)/hooks/\(name)")
    writer.member("page", "\(origin)/hooks/\(name)")
  }

  private func write(microblog username: String, _ writer: inout JSONWriter) {
    writer.member("platform", Platform.microblog.rawValue)
    writer.member("username", username)
    writer.member("page", "\(origin)/notes/\(username)")
  }

  // MARK: Faults, settings, requests

  private func showFaults(_ faults: [Fault]) -> HTTPResponse {
    let body = JSONWriter.object { writer in
      writer.array("faults") { list in
        for fault in faults {
          list.object {
            $0.member("id", fault.id)
            $0.member("action", fault.action.name)
            $0.member("hits", fault.hits)
            if let remaining = fault.remaining { $0.member("remaining", remaining) }
          }
        }
      }
    }
    return .json(body)
  }

  private func showSettings() -> HTTPResponse {
    let settings = settings
    let body = JSONWriter.object { writer in
      writer.member("rateLimits", settings.rateLimits)
      for (name, path) in SandboxSettings.numbers { writer.member(name, settings[keyPath: path]) }
    }
    return .json(body)
  }

  private func showRequests() -> HTTPResponse {
    let (total, entries) = log.snapshot()
    let body = JSONWriter.object(capacity: 256 * entries.count) { writer in
      writer.member("total", total)
      writer.array("requests") { list in
        for entry in entries {
          list.object {
            $0.member("at", CivilTime(milliseconds: entry.at).iso)
            $0.member("platform", entry.platform)
            $0.member("account", entry.account)
            $0.member("method", entry.method)
            $0.member("path", entry.path)
            $0.array("query") { for name in entry.queryNames { $0.string(name) } }
            $0.member("bodyBytes", entry.bodyBytes)
            if let status = entry.status { $0.member("status", status) } else { $0.member("status", nil) }
            $0.array("faults") { for name in entry.faults { $0.string(name) } }
            $0.member("ms", entry.milliseconds)
          }
        }
      }
    }
    return .json(body)
  }
}

extension SandboxSettings {
  /// The settings with a number, by their names in the control interface.
  static var numbers: [(String, WritableKeyPath<SandboxSettings, Int>)] {
    [
      ("rateLimitFactor", \.rateLimitFactor), ("rateLimitWindowMs", \.rateLimitWindowMs),
      ("baseDelayMs", \.baseDelayMs), ("duplicateWindowMs", \.duplicateWindowMs), ("listLagMs", \.listLagMs),
      ("mediaExpirySeconds", \.mediaExpirySeconds), ("mediaProcessingMs", \.mediaProcessingMs),
    ]
  }

  /// The settings with the members of a body in place of the present ones.
  func changed(by body: JSON) throws(ControlError) -> SandboxSettings {
    var reader = try ObjectReader(body)
    var settings = self
    if let value = try reader.bool("rateLimits") { settings.rateLimits = value }
    for (name, path) in Self.numbers {
      // A factor or a window of nothing would refuse every request or none.
      let least = name.hasPrefix("rateLimit") ? 1 : 0
      if let value = try reader.integer(name, in: least...1_000_000_000) { settings[keyPath: path] = value }
    }
    try reader.finish()
    return settings
  }
}

extension XAccountOrder {
  init(_ reader: inout ObjectReader) throws(ControlError) {
    username = try reader.requiredString("username")
    guard Self.isUsername(username) else {
      throw ControlError("\(reader.path("username")) must be 1 to 15 letters, digits and _")
    }
    name = try reader.string("name")
    if let text = try reader.string("subscription") {
      guard let value = XAccount.Subscription(rawValue: text) else {
        let known = XAccount.Subscription.allCases.map(\.rawValue).joined(separator: ", ")
        throw ControlError("\(reader.path("subscription")) must be one of \(known)")
      }
      subscription = value
    }
    // Dollars outside, whole millionths inside.
    credits = try reader.number("credits", in: 0...1_000_000).map { Int64(($0 * 1_000_000).rounded()) }
    isSuspended = try reader.bool("suspended")
    if let text = try reader.string("token") {
      tokens.append(try Self.token(text, &reader))
    }
    for (index, value) in (try reader.array("tokens") ?? []).enumerated() {
      var inner = try ObjectReader(value, at: "\(reader.path("tokens"))[\(index)]")
      tokens.append(try Self.token(try inner.requiredString("token"), &inner))
      try inner.finish()
    }
    try reader.finish()
  }

  private static func token(_ text: String, _ reader: inout ObjectReader) throws(ControlError) -> Token {
    guard !text.isEmpty, text.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else {
      throw ControlError("\(reader.path("token")) must be visible ASCII")
    }
    var token = Token(text: text)
    token.lifetimeMs = try reader.integer("expiresInMs", in: 0...1_000_000_000_000)
    switch try reader.string("tokenKind") ?? "user" {
    case "user": token.kind = .user
    case "app": token.kind = .app
    default: throw ControlError("\(reader.path("tokenKind")) must be user or app")
    }
    guard let scopes = reader.value("scopes") else { return token }
    let names = scopes.array?.map { $0.string ?? "" } ?? scopes.string?.split(separator: " ").map(String.init)
    guard let names else { throw ControlError("\(reader.path("scopes")) must be a list or a text with spaces") }
    token.scopes = []
    for name in names {
      guard let scope = XScopes.named(name) else {
        throw ControlError("\(reader.path("scopes")): \(name) is not one of \(XScopes.names.joined(separator: ", "))")
      }
      token.scopes.insert(scope)
    }
    return token
  }
}

extension WebhookHookOrder {
  init(_ reader: inout ObjectReader, name nameField: String) throws(ControlError) {
    _ = reader.value("platform")
    name = try reader.requiredString(nameField)
    guard Self.isName(name) else {
      throw ControlError("\(reader.path(nameField)) must be 1 to 64 letters, digits, - and _")
    }
    var texts: [String] = []
    if let text = try reader.string("secret") { texts.append(text) }
    for value in try reader.array("secrets") ?? [] { texts.append(value.string ?? "") }
    secrets = []
    for text in texts {
      guard let secret = WebhookSecret(text) else {
        throw ControlError("\(reader.path("secret")) must be whsec_ and the base64 of 24 to 64 bytes")
      }
      secrets.append(secret)
    }
    guard !secrets.isEmpty else { throw ControlError("\(reader.path("secret")) is missing") }
    maximumBytes = try reader.integer("maxBytes", in: 1...32_000_000)
    requiresHTTPS = try reader.bool("requireHttps")
    try reader.finish()
  }
}
