extension OAuthRules {
  /// Login Kit v2 as of November 2026: two hours, and refresh tokens that work once.
  static let tiktok = OAuthRules(
    platform: .tiktok,
    title: "TikTok",
    clientField: "client_key",
    scopeSeparators: [","],
    scopes: [
      "user.info.basic", "user.info.profile", "user.info.stats", "video.publish", "video.upload", "video.list",
    ],
    fixedScopes: ["user.info.basic"],
    scopeRefusal: .redirect("invalid_scope"),
    proof: .hexadecimal,
    redirectsMayHaveQuery: false,
    // Not documented.
    codeSeconds: 600,
    accessSeconds: 7200,
    refreshSeconds: 15_552_000,
    refreshTokens: .always,
    rotation: .strict,
    denial: [
      .init(name: "error", value: "access_denied"),
      .init(name: "error_description", value: "User denied the authorization request"),
    ],
    grantedScopesField: "scopes",
    accessPrefix: "act.",
    refreshPrefix: "rft."
  )
}

/// TikTok as far as an app needs it to be let in: Login Kit and the user.
final class TikTokPlatform: ConsentPlatform {
  static let hosts = ["www.tiktok.com", "open.tiktokapis.com"]

  /// What may be asked about a user, with the scope that it needs.
  private static let fields: [String: String] = [
    "open_id": "user.info.basic", "union_id": "user.info.basic", "avatar_url": "user.info.basic",
    "display_name": "user.info.basic", "username": "user.info.profile", "profile_deep_link": "user.info.profile",
    "bio_description": "user.info.profile", "is_verified": "user.info.profile", "follower_count": "user.info.stats",
    "following_count": "user.info.stats", "likes_count": "user.info.stats", "video_count": "user.info.stats",
  ]

  let oauth = OAuthServer(rules: .tiktok)

  func objection(to app: OAuthApp) -> String? {
    let isTooMany = app.redirectAddresses.count > 10
    let isTooLong = app.redirectAddresses.contains { $0.utf8.count > 512 }
    return isTooMany || isTooLong ? "an app has at most 10 redirect addresses of at most 512 characters" : nil
  }

  func answer(_ request: HTTPRequest, now: Int64) -> HTTPResponse {
    switch (request.host, request.method, request.path) {
    case ("www.tiktok.com", _, "/v2/auth/authorize/"): return consent(request, now)
    case ("open.tiktokapis.com", "POST", "/v2/oauth/token/"):
      return Self.flat { () throws(OAuthRefusal) in try token(request, now) }
    case ("open.tiktokapis.com", "POST", "/v2/oauth/revoke/"):
      return Self.flat { () throws(OAuthRefusal) in try revoke(request) }
    case ("open.tiktokapis.com", "GET", "/v2/user/info/"): return showUser(request, now)
    default: return TikTokProblem(status: 404, code: "invalid_params", message: "Unsupported path").response
    }
  }

  // MARK: OAuth

  /// Errors of OAuth are flat here, and come with 200.
  private static func flat(_ body: () throws(OAuthRefusal) -> HTTPResponse) -> HTTPResponse {
    do throws(OAuthRefusal) {
      return try body()
    } catch {
      let (name, description) = words(error)
      return .json(
        JSONWriter.object {
          $0.member("error", name)
          $0.member("error_description", description)
          $0.member("log_id", TikTokProblem.logID)
        }
      )
    }
  }

  private static func words(_ refusal: OAuthRefusal) -> (String, String) {
    switch refusal {
    case .notAForm: ("invalid_request", "Only application/x-www-form-urlencoded is supported as Content-Type.")
    case .missing(let name): ("invalid_request", "The request parameters are malformed: \(name) is missing.")
    case .unsupportedGrant: ("unsupported_grant_type", "The grant type is not supported.")
    case .unknownApp, .wrongSecret: ("invalid_client", "Client key or secret is incorrect.")
    case .otherRedirect: ("invalid_grant", "Redirect_uri is not matched with the uri when requesting code.")
    case .wrongVerifier: ("invalid_grant", "Code verifier or code challenge is invalid.")
    case .unknownCode, .usedCode, .expiredCode: ("invalid_grant", "Authorization code is expired.")
    case .unknownToken, .expiredToken, .endedToken, .replayedToken, .otherKind, .tooYoung, .missingScope:
      ("invalid_grant", "Refresh token is invalid or expired.")
    }
  }

  private func token(_ request: HTTPRequest, _ now: Int64) throws(OAuthRefusal) -> HTTPResponse {
    let form = try oauth.form(request)
    let app = try oauth.app(in: form)
    let type = try OAuthServer.require("grant_type", in: form)
    let grant =
      switch type {
      case "authorization_code": try oauth.exchange(form, app: app, at: now)
      case "refresh_token": try oauth.refresh(form, app: app, at: now)
      default: throw OAuthRefusal.unsupportedGrant(type)
      }
    return .json(
      JSONWriter.object {
        $0.member("access_token", grant.access)
        if let seconds = grant.expiresIn { $0.member("expires_in", seconds) }
        $0.member("open_id", Self.openID(grant.family))
        if let seconds = grant.refreshExpiresIn { $0.member("refresh_expires_in", seconds) }
        if let refresh = grant.refresh { $0.member("refresh_token", refresh) }
        $0.member("scope", oauth.rules.join(grant.family.scopes))
        $0.member("token_type", "Bearer")
      }
    )
  }

  private func revoke(_ request: HTTPRequest) throws(OAuthRefusal) -> HTTPResponse {
    let form = try oauth.form(request)
    let app = try oauth.app(in: form)
    let token = try OAuthServer.require("token", in: form)
    guard oauth.state.withLock({ $0.revoke(token, app: app) }) else { throw .unknownToken }
    return HTTPResponse(status: 200)
  }

  /// Another one for every app: 32 hexadecimal digits with dashes.
  static func openID(_ family: OAuthFamily) -> String {
    let digits = Hexadecimal.string(SHA256.digest(Array("\(family.app)/\(family.account)".utf8)).prefix(16))
    var parts: [Substring] = []
    var rest = digits[...]
    for length in [8, 4, 4, 4, 12] {
      parts.append(rest.prefix(length))
      rest = rest.dropFirst(length)
    }
    return parts.joined(separator: "-")
  }

  // MARK: The user

  private func showUser(_ request: HTTPRequest, _ now: Int64) -> HTTPResponse {
    do throws(TikTokProblem) {
      let (pass, account) = try pass(request, now)
      let text = request.queryItems()?.first { $0.name == "fields" }?.value ?? ""
      let names = text.split(separator: ",").map { $0.trimmingSpaces() }
      guard !names.isEmpty else {
        throw TikTokProblem(status: 400, code: "invalid_params", message: "The fields parameter is missing")
      }
      for name in names {
        guard let scope = Self.fields[name] else {
          throw TikTokProblem(status: 400, code: "invalid_params", message: "Fields has an invalid value: \(name)")
        }
        guard pass.has(scope) else {
          throw TikTokProblem(
            status: 401,
            code: "scope_not_authorized",
            message: "The user did not authorize the scope required for completing this request."
          )
        }
      }
      return TikTokProblem.none(
        data: { data in
          data.object("user") { user in
            for name in names { Self.write(name, pass, account, &user) }
          }
        }
      )
    } catch {
      return error.response
    }
  }

  private func pass(_ request: HTTPRequest, _ now: Int64) throws(TikTokProblem) -> (OAuthPass, OAuthAccount) {
    do throws(OAuthRefusal) {
      guard let token = request.bearer else { throw .unknownToken }
      let pass = try oauth.pass(token, at: now)
      return (pass, try account(of: pass))
    } catch {
      throw TikTokProblem(
        status: 401,
        code: "access_token_invalid",
        message: "The access token is invalid or not found in the request."
      )
    }
  }

  private static func write(
    _ name: String,
    _ pass: OAuthPass,
    _ account: OAuthAccount,
    _ writer: inout JSONWriter
  ) {
    switch name {
    case "open_id": writer.member(name, openID(pass.family))
    case "union_id": writer.member(name, Hexadecimal.string(SHA256.digest(Array(account.username.utf8)).prefix(16)))
    case "avatar_url": writer.member(name, "https://p16-sign.tiktokcdn.com/\(account.id).webp")
    case "display_name": writer.member(name, account.name)
    case "username": writer.member(name, account.username)
    case "profile_deep_link": writer.member(name, "https://www.tiktok.com/@\(account.username)")
    case "bio_description": writer.member(name, "")
    case "is_verified": writer.member(name, false)
    default: writer.member(name, 0)
    }
  }
}
