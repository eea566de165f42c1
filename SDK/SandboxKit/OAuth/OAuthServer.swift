/// The OAuth server of one platform: its state behind a lock, the consent page, and the reading of requests for tokens.
final class OAuthServer: Sendable {
  let rules: OAuthRules
  let state: Guarded<OAuthState>

  init(rules: OAuthRules, seed: UInt64 = .random(in: 0 ... .max)) {
    self.rules = rules
    state = Guarded(OAuthState(rules: rules, seed: seed))
  }

  /// Runs `body` under the lock and carries its typed error out.
  func locked<Value: Sendable>(
    _ body: (inout OAuthState) throws(OAuthRefusal) -> Value
  ) throws(OAuthRefusal) -> Value {
    try state.withLock(body)
  }

  // MARK: Consent

  /// Answers a request to the authorization address: the page, or the way back.
  func consent(_ request: HTTPRequest, accounts: [OAuthAccount], at now: Int64) -> HTTPResponse {
    do throws(ConsentRequest.Refusal) {
      let apps = state.withLock { $0.apps }
      let wish = try ConsentRequest(request, rules: rules) { id in apps.first { $0.clientID == id } }
      switch request.method {
      case "GET", "HEAD": return showConsent(wish, accounts, now)
      case "POST": return try decide(request, wish, accounts, now)
      default: throw .page("Only GET is answered here.")
      }
    } catch {
      switch error {
      case .page(let sentence): return ConsentPage.refusal(sentence, rules: rules)
      case .redirect(let address): return ConsentPage.redirect(to: address)
      }
    }
  }

  private func showConsent(_ wish: ConsentRequest, _ accounts: [OAuthAccount], _ now: Int64) -> HTTPResponse {
    let behavior = state.withLock { $0.behavior }
    switch behavior.consent {
    case .ask: return ConsentPage.ask(wish, rules: rules, accounts: accounts)
    case .deny: return deny(wish)
    case .allow:
      let wanted = behavior.consentAccount
      guard let account = accounts.first(where: { wanted == nil || $0.username == wanted }) else {
        return ConsentPage.refusal("There is no such account.", rules: rules)
      }
      return allow(wish, account.username, Set(wish.scopes), now)
    }
  }

  private func decide(
    _ request: HTTPRequest,
    _ wish: ConsentRequest,
    _ accounts: [OAuthAccount],
    _ now: Int64
  ) throws(ConsentRequest.Refusal) -> HTTPResponse {
    guard let items = request.formItems() else { throw .page("The form cannot be read.") }
    func value(_ name: String) -> String? { items.first { $0.name == name }?.value }
    switch value("decision") {
    case "deny": return deny(wish)
    case "allow":
      guard let account = value("account"), accounts.contains(where: { $0.username == account }) else {
        throw .page("There is no such account.")
      }
      return allow(wish, account, Set(items.filter { $0.name == "scope" }.map(\.value)), now)
    default: throw .page("The decision is missing.")
    }
  }

  private func allow(
    _ wish: ConsentRequest,
    _ account: String,
    _ granted: Set<String>,
    _ now: Int64
  ) -> HTTPResponse {
    let (code, scopes) = state.withLock { state in
      state.issueCode(wish, account: account, granted: granted, at: now)
    }
    return ConsentPage.redirect(to: wish.address(of: code, scopes: scopes, rules: rules))
  }

  private func deny(_ wish: ConsentRequest) -> HTTPResponse {
    state.withLock { $0.countDenial() }
    return ConsentPage.redirect(to: wish.addressOfDenial(rules: rules))
  }

  // MARK: Requests for tokens

  /// The fields of a form by name; refuses another content type, broken escapes and names that come twice.
  func form(_ request: HTTPRequest) throws(OAuthRefusal) -> [String: String] {
    guard let items = request.formItems() else { throw .notAForm }
    return try Self.values(items)
  }

  static func values(_ items: [HTTPRequest.QueryItem]) throws(OAuthRefusal) -> [String: String] {
    var values: [String: String] = [:]
    for item in items where values.updateValue(item.value, forKey: item.name) != nil { throw .notAForm }
    return values
  }

  /// A field that must be there and must not be empty.
  static func require(_ name: String, in values: [String: String]) throws(OAuthRefusal) -> String {
    guard let value = values[name], !value.isEmpty else { throw .missing(name) }
    return value
  }

  /// The app whose id and secret stand among the fields.
  func app(in values: [String: String]) throws(OAuthRefusal) -> OAuthApp {
    let id = try Self.require(rules.clientField, in: values)
    let secret = try Self.require("client_secret", in: values)
    return try app(id: id, secret: secret)
  }

  func app(id: String, secret: String) throws(OAuthRefusal) -> OAuthApp {
    guard let app = state.withLock({ $0.app(id) }) else { throw .unknownApp }
    guard let known = app.secret, equalInConstantTime(Array(known.utf8), Array(secret.utf8)) else { throw .wrongSecret }
    return app
  }

  /// Tokens for the code among the fields.
  func exchange(_ values: [String: String], app: OAuthApp, at now: Int64) throws(OAuthRefusal) -> OAuthGrant {
    let code = try Self.require("code", in: values)
    let redirect = try Self.require("redirect_uri", in: values)
    return try locked { (state) throws(OAuthRefusal) in
      try state.exchange(code: code, app: app, redirectAddress: redirect, verifier: values["code_verifier"], at: now)
    }
  }

  /// New tokens for the refresh token among the fields.
  func refresh(_ values: [String: String], app: OAuthApp, at now: Int64) throws(OAuthRefusal) -> OAuthGrant {
    let token = try Self.require("refresh_token", in: values)
    return try locked { (state) throws(OAuthRefusal) in try state.refresh(token, app: app, at: now) }
  }

  /// What a token opens.
  func pass(_ token: String, at now: Int64) throws(OAuthRefusal) -> OAuthPass {
    try locked { (state) throws(OAuthRefusal) in try state.pass(token, at: now) }
  }

  /// Whose token or code a request carries, for faults and the log.
  func owner(of request: HTTPRequest) -> String? {
    var texts: [String] = []
    if let bearer = request.bearer { texts.append(bearer) }
    let fields: Set = [
      "access_token", "fb_exchange_token", "input_token", "refresh_token", "code", "token", "account",
    ]
    let items = (request.rawQuery.isEmpty ? [] : request.queryItems() ?? []) + (request.formItems() ?? [])
    texts += items.filter { fields.contains($0.name) }.map(\.value)
    guard !texts.isEmpty else { return nil }
    return state.withLock { state in
      for text in texts {
        if let owner = state.owner(of: text) ?? state.account(text)?.username { return owner }
      }
      return nil
    }
  }
}

extension HTTPRequest {
  /// The fields of an HTML form in order; `nil` for another content type or a broken escape.
  func formItems() -> [QueryItem]? {
    guard mediaType == "application/x-www-form-urlencoded" else { return nil }
    let query = String(decoding: body, as: UTF8.self)
    return HTTPRequest(method: method, path: path, rawQuery: query).queryItems()
  }

  /// Id and secret of `Authorization: Basic`.
  var basic: (id: String, secret: String)? {
    guard let value = header("authorization"), value.prefix(6).lowercased() == "basic ",
      let bytes = Base64.decode(value.dropFirst(6).trimmingSpaces()),
      let text = String(validating: bytes, as: UTF8.self),
      let colon = text.firstIndex(of: ":")
    else { return nil }
    return (String(text[..<colon]), String(text[text.index(after: colon)...]))
  }

  /// The token of `Authorization: Bearer`.
  var bearer: String? {
    guard let value = header("authorization"), value.utf8.count > 7 else { return nil }
    guard value.prefix(7).lowercased() == "bearer " else { return nil }
    return String(value.dropFirst(7))
  }
}
