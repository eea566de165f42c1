/// What an app asks a person for, once it is checked.
struct ConsentRequest: Sendable {
  let app: OAuthApp
  let redirectAddress: String
  let state: String?
  let scopes: [String]
  let challenge: OAuthCode.Challenge?

  enum Refusal: Error, Sendable {
    /// Nobody is sent anywhere: it is not known who asks.
    case page(String)
    case redirect(to: String)
  }

  /// Reads the query of an authorization address.
  init(_ request: HTTPRequest, rules: OAuthRules, app find: (String) -> OAuthApp?) throws(Refusal) {
    guard let items = request.queryItems() else { throw .page("The address has a broken escape.") }
    var values: [String: String] = [:]
    for item in items where values.updateValue(item.value, forKey: item.name) != nil {
      throw .page("\(item.name) appears twice.")
    }
    guard let clientID = values[rules.clientField] else { throw .page("\(rules.clientField) is missing.") }
    guard let app = find(clientID) else { throw .page("There is no app with this \(rules.clientField).") }
    guard let redirect = values["redirect_uri"] else { throw .page("redirect_uri is missing.") }
    guard app.redirectAddresses.contains(redirect) else {
      throw .page("redirect_uri is not one of the addresses that the app has registered, byte by byte.")
    }
    self.app = app
    redirectAddress = redirect
    state = values["state"]
    if let state, state.utf8.count > rules.maximumStateBytes {
      throw .page("state has more than \(rules.maximumStateBytes) bytes.")
    }
    if rules.needsState, state?.isEmpty ?? true { throw .page("state is missing.") }
    guard values["response_type"] == "code" else {
      throw Self.back(redirect, "unsupported_response_type", "response_type must be code", state, rules)
    }
    challenge = try Self.challenge(values, rules)
    scopes = rules.split(values["scope"] ?? "")
    guard !scopes.isEmpty else { throw .page("scope is missing.") }
    for scope in scopes {
      let isKnown = rules.scopes.contains(scope) && (app.isApproved || !rules.approvedScopes.contains(scope))
      if isKnown, app.scopes?.contains(scope) ?? true { continue }
      switch rules.scopeRefusal {
      case .page: throw .page("Invalid scope: \(scope). Scopes are separated by \(rules.separatorName).")
      case .redirect(let error):
        throw Self.back(redirect, error, "Scope \"\(scope)\" is not authorized for your application", state, rules)
      }
    }
  }

  private static func challenge(
    _ values: [String: String],
    _ rules: OAuthRules
  ) throws(Refusal) -> OAuthCode.Challenge? {
    guard let text = values["code_challenge"] else {
      if case .required = rules.proof { throw .page("code_challenge is missing.") }
      return nil
    }
    let method = values["code_challenge_method"]
    switch rules.proof {
    case .none: return nil
    case .required:
      guard method == "S256" || method == "plain" else {
        throw .page("code_challenge_method must be S256 or plain.")
      }
    case .whereSent:
      guard method == "S256" else { throw .page("code_challenge_method must be S256.") }
    case .hexadecimal:
      guard method == "S256" else { throw .page("code_challenge_method must be S256.") }
      guard text.utf8.count == 64 else { throw .page("code_challenge must be 64 hexadecimal digits.") }
    }
    guard (43...128).contains(text.utf8.count) else { throw .page("code_challenge has not 43 to 128 characters.") }
    return OAuthCode.Challenge(text: text, isPlain: method == "plain")
  }

  private static func back(
    _ redirect: String,
    _ error: String,
    _ description: String,
    _ state: String?,
    _ rules: OAuthRules
  ) -> Refusal {
    var items = [
      HTTPRequest.QueryItem(name: "error", value: error),
      HTTPRequest.QueryItem(name: "error_description", value: description),
    ]
    if let state { items.append(.init(name: "state", value: state)) }
    return .redirect(to: address(redirect, items, fragment: rules.fragment))
  }

  // MARK: Where the person goes back to

  func address(of code: String, scopes: [String], rules: OAuthRules) -> String {
    var items = [HTTPRequest.QueryItem(name: "code", value: code)]
    if let field = rules.grantedScopesField { items.append(.init(name: field, value: rules.join(scopes))) }
    if let state { items.append(.init(name: "state", value: state)) }
    return Self.address(redirectAddress, items, fragment: rules.fragment)
  }

  func addressOfDenial(rules: OAuthRules) -> String {
    var items = rules.denial
    if let state { items.append(.init(name: "state", value: state)) }
    return Self.address(redirectAddress, items, fragment: rules.fragment)
  }

  private static func address(_ redirect: String, _ items: [HTTPRequest.QueryItem], fragment: String) -> String {
    let query = items.map { "\($0.name)=\(PercentCoding.encode($0.value))" }.joined(separator: "&")
    return redirect + (redirect.contains("?") ? "&" : "?") + query + fragment
  }
}

extension OAuthRules {
  /// The separators for people.
  var separatorName: String {
    scopeSeparators.map { $0 == " " ? "space" : $0 == "," ? "comma" : String($0) }.joined(separator: " or ")
  }
}
