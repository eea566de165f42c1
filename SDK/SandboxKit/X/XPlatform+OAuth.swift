extension OAuthRules {
  /// OAuth 2.0 of X: user context with PKCE, and refresh tokens that work once.
  static let x = OAuthRules(
    platform: .x,
    title: "X",
    scopes: XScopes.names,
    proof: .required,
    needsState: true,
    maximumStateBytes: 500,
    codeSeconds: 30,
    accessSeconds: 7200,
    // About six months.
    refreshSeconds: 15_552_000,
    refreshTokens: .withScope("offline.access"),
    rotation: .strict,
    revokingEndsAll: false,
    denial: [.init(name: "error", value: "access_denied")]
  )
}

extension XPlatform {
  private static let authorizePath = "/i/oauth2/authorize"
  private static let tokenPath = "/2/oauth2/token"
  private static let revokePath = "/2/oauth2/revoke"

  private static let website = "x.com"

  /// Whether a request is for the OAuth server: the website's page, or the two addresses of the interface.
  static func isOAuth(_ request: HTTPRequest) -> Bool {
    request.host == website || request.path == tokenPath || request.path == revokePath
  }

  func answerOAuth(_ request: HTTPRequest, _ now: Int64) -> HTTPResponse {
    switch (request.host == Self.website, request.method, request.path) {
    case (true, _, Self.authorizePath): oauth.consent(request, accounts: consentAccounts, at: now)
    case (false, "POST", Self.tokenPath): answer { () throws(OAuthRefusal) in try token(request, now) }
    case (false, "POST", Self.revokePath): answer { () throws(OAuthRefusal) in try revoke(request) }
    default: XProblem.notFound.response
    }
  }

  private var consentAccounts: [OAuthAccount] {
    state.withLock { state in
      state.accounts.map { OAuthAccount(id: $0.id, username: $0.username, name: $0.name) }
    }
  }

  private func answer(_ body: () throws(OAuthRefusal) -> HTTPResponse) -> HTTPResponse {
    do throws(OAuthRefusal) {
      return try body()
    } catch {
      return Self.response(to: error)
    }
  }

  private func token(_ request: HTTPRequest, _ now: Int64) throws(OAuthRefusal) -> HTTPResponse {
    let form = try oauth.form(request)
    let app = try client(request, form)
    let grant =
      switch try OAuthServer.require("grant_type", in: form) {
      case "authorization_code": try oauth.exchange(form, app: app, at: now)
      case "refresh_token": try oauth.refresh(form, app: app, at: now)
      case let other: throw OAuthRefusal.unsupportedGrant(other)
      }
    var response = HTTPResponse.json(
      JSONWriter.object {
        $0.member("token_type", "bearer")
        if let seconds = grant.expiresIn { $0.member("expires_in", seconds) }
        $0.member("access_token", grant.access)
        $0.member("scope", oauth.rules.join(grant.family.scopes))
        if let refresh = grant.refresh { $0.member("refresh_token", refresh) }
      }
    )
    response.set("cache-control", "no-store")
    return response
  }

  private func revoke(_ request: HTTPRequest) throws(OAuthRefusal) -> HTTPResponse {
    let form = try oauth.form(request)
    let app = try client(request, form)
    let token = try OAuthServer.require("token", in: form)
    guard oauth.state.withLock({ $0.revoke(token, app: app) }) else { throw .unknownToken }
    return .json(JSONWriter.object { $0.member("revoked", true) })
  }

  /// A confidential client says who it is in the header and nowhere else, a public one in the form.
  private func client(_ request: HTTPRequest, _ form: [String: String]) throws(OAuthRefusal) -> OAuthApp {
    guard request.header("authorization") != nil else {
      guard let id = form["client_id"] else { throw .wrongSecret }
      guard let app = oauth.state.withLock({ $0.app(id) }) else { throw .unknownApp }
      guard app.secret == nil else { throw .wrongSecret }
      return app
    }
    guard let (id, secret) = request.basic, form["client_secret"] == nil else { throw .wrongSecret }
    return try oauth.app(id: id, secret: secret)
  }

  private static func response(to refusal: OAuthRefusal) -> HTTPResponse {
    switch refusal {
    case .notAForm:
      error(400, "invalid_request", "The request must be application/x-www-form-urlencoded, each field once.")
    case .missing(let name): error(400, "invalid_request", "Missing required parameter [\(name)].")
    case .unsupportedGrant: error(400, "unsupported_grant_type", "Value passed for the grant type was invalid.")
    case .unknownApp, .wrongSecret: error(401, "unauthorized_client", "Missing valid authorization header")
    case .otherRedirect:
      error(
        400,
        "invalid_request",
        "Value passed for the redirect uri did not match the uri of the authorization code."
      )
    case .wrongVerifier:
      error(400, "invalid_request", "Value passed for the code verifier did not match the code challenge.")
    case .unknownCode, .usedCode, .expiredCode, .unknownToken, .expiredToken, .endedToken, .replayedToken, .otherKind,
      .tooYoung, .missingScope:
      error(400, "invalid_request", "Value passed for the token was invalid.")
    }
  }

  private static func error(_ status: Int, _ error: String, _ description: String) -> HTTPResponse {
    .json(
      status,
      JSONWriter.object {
        $0.member("error", error)
        $0.member("error_description", description)
      }
    )
  }
}
