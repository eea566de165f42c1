extension OAuthRules {
  /// OAuth of Mastodon: apps register themselves, tokens have no end, and a second consent gives the same token.
  static let mastodon = OAuthRules(
    platform: .mastodon,
    title: "Mastodon",
    scopes: [
      "profile", "read", "read:accounts", "read:statuses", "write", "write:statuses", "write:media", "follow", "push",
    ],
    scopeRefusal: .redirect("invalid_scope"),
    proof: .whereSent,
    codeSeconds: 600,
    accessSeconds: nil,
    rotation: .none,
    reusesTokens: true,
    denial: [
      .init(name: "error", value: "access_denied"),
      .init(name: "error_description", value: "The resource owner or authorization server denied the request."),
    ]
  )
}

/// One server of Mastodon as far as an app needs it to be let in: registration, OAuth, the account, the instance.
final class MastodonPlatform: ConsentPlatform {
  static let hosts = ["mastodon.example"]
  private static let base = "https://mastodon.example"

  let oauth = OAuthServer(rules: .mastodon)

  func answer(_ request: HTTPRequest, now: Int64) -> HTTPResponse {
    switch (request.method, request.path) {
    case (_, "/oauth/authorize"): return consent(request, now)
    case ("POST", "/api/v1/apps"): return register(request)
    case ("POST", "/oauth/token"): return Self.answer { () throws(OAuthRefusal) in try token(request, now) }
    case ("POST", "/oauth/revoke"): return Self.answer { () throws(OAuthRefusal) in try revoke(request) }
    case ("GET", "/api/v1/accounts/verify_credentials"): return showAccount(request, now)
    case ("GET", "/.well-known/oauth-authorization-server"): return Self.metadata
    case ("GET", "/api/v2/instance"): return Self.instance
    default: return Self.error(404, "Record not found")
    }
  }

  // MARK: Registration

  private func register(_ request: HTTPRequest) -> HTTPResponse {
    guard let values = Self.registration(request), let name = values["client_name"], !name.isEmpty,
      let addresses = values["redirect_uris"]?.split(whereSeparator: \.isWhitespace).map(String.init)
    else { return Self.error(422, "Validation failed: Application name can't be blank") }
    let areAddresses = addresses.allSatisfy { $0.hasPrefix("https://") || $0.hasPrefix("http://") }
    guard !addresses.isEmpty, areAddresses, !addresses.contains(where: { $0.contains("#") }) else {
      return Self.error(422, "Validation failed: Redirect URI must be an absolute URI.")
    }
    let scopes = values["scopes"].map(oauth.rules.split) ?? ["read"]
    guard scopes.allSatisfy(oauth.rules.scopes.contains) else {
      return Self.error(422, "Validation failed: Scopes doesn't match configured on the server.")
    }
    let (id, secret) = oauth.state.withLock { state in (state.makeText(), state.makeText()) }
    let app = OAuthApp(
      clientID: id,
      secret: secret,
      name: name,
      redirectAddresses: addresses,
      isApproved: true,
      scopes: scopes
    )
    oauth.state.withLock { $0.setApp(app) }
    return .json(
      JSONWriter.object {
        $0.member("id", String(OAuthAccount.makeID(id)))
        $0.member("name", name)
        $0.array("scopes") { for scope in scopes { $0.string(scope) } }
        $0.member("redirect_uri", addresses.joined(separator: "\n"))
        $0.array("redirect_uris") { for address in addresses { $0.string(address) } }
        $0.member("client_id", id)
        $0.member("client_secret", secret)
        $0.member("client_secret_expires_at", 0)
      }
    )
  }

  /// The fields of a form, or of a JSON body whose addresses may be a list.
  private static func registration(_ request: HTTPRequest) -> [String: String]? {
    // The caller refuses a body that can not be read in one way, whatever is wrong with it.
    if let items = request.formItems() { return try? OAuthServer.values(items) }
    guard request.mediaType == "application/json", let json = try? JSONParser.parse(request.body) else { return nil }
    var values: [String: String] = [:]
    for member in json.members ?? [] {
      let list = member.value.array?.compactMap(\.string).joined(separator: "\n")
      values[member.name] = member.value.string ?? list
    }
    return values
  }

  // MARK: OAuth

  private func client(_ request: HTTPRequest, _ form: [String: String]) throws(OAuthRefusal) -> OAuthApp {
    guard let (id, secret) = request.basic else { return try oauth.app(in: form) }
    return try oauth.app(id: id, secret: secret)
  }

  private func token(_ request: HTTPRequest, _ now: Int64) throws(OAuthRefusal) -> HTTPResponse {
    let form = try oauth.form(request)
    let app = try client(request, form)
    let type = try OAuthServer.require("grant_type", in: form)
    guard type == "authorization_code" else { throw .unsupportedGrant(type) }
    let grant = try oauth.exchange(form, app: app, at: now)
    return .json(
      JSONWriter.object {
        $0.member("access_token", grant.access)
        $0.member("token_type", "Bearer")
        $0.member("scope", oauth.rules.join(grant.family.scopes))
        $0.member("created_at", grant.family.startedAt / 1000)
        if let seconds = grant.expiresIn { $0.member("expires_in", seconds) }
      }
    )
  }

  private func revoke(_ request: HTTPRequest) throws(OAuthRefusal) -> HTTPResponse {
    let form = try oauth.form(request)
    let app = try client(request, form)
    let token = try OAuthServer.require("token", in: form)
    guard oauth.state.withLock({ $0.revoke(token, app: app) }) else {
      return Self.error(403, "unauthorized_client", "You are not authorized to revoke this token")
    }
    return .json(Array("{}".utf8))
  }

  private static func answer(_ body: () throws(OAuthRefusal) -> HTTPResponse) -> HTTPResponse {
    do throws(OAuthRefusal) {
      return try body()
    } catch {
      switch error {
      case .unknownApp, .wrongSecret, .missing("client_id"), .missing("client_secret"):
        return Self.error(
          401,
          "invalid_client",
          "Client authentication failed due to unknown client, no client authentication included, or unsupported "
            + "authentication method."
        )
      case .notAForm: return Self.error(400, "invalid_request", "The request cannot be read.")
      case .missing(let name): return Self.error(400, "invalid_request", "Missing required parameter: \(name).")
      case .unsupportedGrant:
        return Self.error(
          400,
          "unsupported_grant_type",
          "The authorization grant type is not supported by the authorization server."
        )
      default:
        return Self.error(
          400,
          "invalid_grant",
          "The provided authorization grant is invalid, expired, revoked, does not match the redirection URI used in the "
            + "authorization request, or was issued to another client."
        )
      }
    }
  }

  static func error(_ status: Int, _ error: String, _ description: String? = nil) -> HTTPResponse {
    .json(
      status,
      JSONWriter.object {
        $0.member("error", error)
        if let description { $0.member("error_description", description) }
      }
    )
  }

  // MARK: Who somebody is, and where

  private func showAccount(_ request: HTTPRequest, _ now: Int64) -> HTTPResponse {
    do throws(OAuthRefusal) {
      guard let token = request.bearer else { throw .unknownToken }
      let pass = try oauth.pass(token, at: now)
      let account = try account(of: pass)
      guard ["profile", "read", "read:accounts"].contains(where: pass.has) else {
        return Self.error(403, "This action is outside the authorized scopes")
      }
      return .json(
        JSONWriter.object {
          $0.member("id", String(account.id))
          $0.member("username", account.username)
          $0.member("acct", account.username)
          $0.member("display_name", account.name)
          $0.member("url", "\(Self.base)/@\(account.username)")
          $0.member("avatar", "\(Self.base)/avatars/original/missing.png")
        }
      )
    } catch {
      switch error {
      case .endedToken: return Self.error(401, "The access token was revoked")
      case .expiredToken: return Self.error(401, "The access token expired")
      default: return Self.error(401, "The access token is invalid")
      }
    }
  }

  private static let metadata = HTTPResponse.json(
    JSONWriter.object {
      $0.member("issuer", "\(base)/")
      $0.member("authorization_endpoint", "\(base)/oauth/authorize")
      $0.member("token_endpoint", "\(base)/oauth/token")
      $0.member("revocation_endpoint", "\(base)/oauth/revoke")
      $0.member("app_registration_endpoint", "\(base)/api/v1/apps")
      $0.array("scopes_supported") { for scope in OAuthRules.mastodon.scopes { $0.string(scope) } }
      $0.array("response_types_supported") { $0.string("code") }
      $0.array("grant_types_supported") { $0.string("authorization_code") }
      $0.array("code_challenge_methods_supported") { $0.string("S256") }
    }
  )

  private static let instance = HTTPResponse.json(
    JSONWriter.object {
      $0.member("domain", hosts[0])
      $0.member("title", "Simulated server of Mastodon")
      $0.member("version", "4.7.2")
      $0.object("configuration") {
        $0.object("statuses") {
          $0.member("max_characters", 500)
          $0.member("max_media_attachments", 4)
          $0.member("characters_reserved_per_url", 23)
        }
      }
    }
  )
}
