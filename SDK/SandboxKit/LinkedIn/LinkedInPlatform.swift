extension OAuthRules {
  /// OAuth 2.0 of LinkedIn: 60 days, and refresh tokens for approved apps alone, whose time runs down.
  static let linkedin = OAuthRules(
    platform: .linkedin,
    title: "LinkedIn",
    scopes: [
      "openid", "profile", "email", "w_member_social", "r_basicprofile", "w_organization_social",
      "r_organization_social", "rw_organization_admin", "w_member_social_feed", "w_organization_social_feed",
      "r_organization_social_feed", "r_member_postAnalytics", "r_member_profileAnalytics",
    ],
    approvedScopes: [
      "r_basicprofile", "w_organization_social", "r_organization_social", "rw_organization_admin",
      "w_member_social_feed", "w_organization_social_feed", "r_organization_social_feed", "r_member_postAnalytics",
      "r_member_profileAnalytics",
    ],
    scopeRefusal: .redirect("unauthorized_scope_error"),
    codeSeconds: 1800,
    accessSeconds: 5_184_000,
    refreshSeconds: 31_536_000,
    refreshTokens: .forApprovedApps,
    rotation: .none,
    rotationRenewsTime: false,
    denial: [
      .init(name: "error", value: "user_cancelled_authorize"),
      .init(name: "error_description", value: "The user cancelled the authorization request"),
    ],
    codePrefix: "AQT",
    accessPrefix: "AQX",
    refreshPrefix: "AQW"
  )
}

/// LinkedIn as far as an app needs it to be let in: OAuth, the member, and the organizations of the member.
final class LinkedInPlatform: ConsentPlatform {
  static let hosts = ["www.linkedin.com", "api.linkedin.com"]

  let oauth = OAuthServer(rules: .linkedin)

  func answer(_ request: HTTPRequest, now: Int64) -> HTTPResponse {
    if request.host == "www.linkedin.com" { return answerOAuth(request, now) }
    do throws(LinkedInProblem) {
      let parts = request.pathParts
      guard request.method == "GET" else { throw .notFound }
      switch (parts.first, parts.count) {
      case ("v2", 2): return try answerUnversioned(request, parts[1], now)
      case ("rest", 2...3):
        try LinkedInVersion.check(request, now: now)
        return try answerVersioned(request, parts, now)
      default: throw .notFound
      }
    } catch {
      return error.response
    }
  }

  // MARK: OAuth

  private func answerOAuth(_ request: HTTPRequest, _ now: Int64) -> HTTPResponse {
    if request.path == "/oauth/v2/authorization" { return consent(request, now) }
    guard request.method == "POST" else { return LinkedInProblem.notFound.response }
    do throws(OAuthRefusal) {
      switch request.path {
      case "/oauth/v2/accessToken": return try token(request, now)
      case "/oauth/v2/revoke": return try revoke(request)
      case "/oauth/v2/introspectToken": return try introspect(request, now)
      default: return LinkedInProblem.notFound.response
      }
    } catch {
      return LinkedInProblem.answer(to: error)
    }
  }

  private func token(_ request: HTTPRequest, _ now: Int64) throws(OAuthRefusal) -> HTTPResponse {
    let form = try oauth.form(request)
    let type = try OAuthServer.require("grant_type", in: form)
    let app = try oauth.app(in: form)
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
        if let refresh = grant.refresh {
          $0.member("refresh_token", refresh)
          if let seconds = grant.refreshExpiresIn { $0.member("refresh_token_expires_in", seconds) }
        }
        $0.member("scope", grant.family.scopes.joined(separator: ","))
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

  private func introspect(_ request: HTTPRequest, _ now: Int64) throws(OAuthRefusal) -> HTTPResponse {
    let form = try oauth.form(request)
    let app = try oauth.app(in: form)
    let token = try OAuthServer.require("token", in: form)
    let result = Result { () throws(OAuthRefusal) in try oauth.pass(token, at: now) }
    return .json(
      JSONWriter.object {
        switch result {
        case .success(let pass) where pass.family.app == app.clientID:
          $0.member("active", true)
          $0.member("status", "active")
          $0.member("client_id", app.clientID)
          $0.member("scope", pass.family.scopes.joined(separator: ","))
          $0.member("created_at", pass.access.issuedAt / 1000)
          if let expiry = pass.access.expiresAt { $0.member("expires_at", expiry / 1000) }
          $0.member("auth_type", "3L")
        case .failure(.expiredToken):
          $0.member("active", false)
          $0.member("status", "expired")
        case .failure(.endedToken):
          $0.member("active", false)
          $0.member("status", "revoked")
        default: $0.member("active", false)
        }
      }
    )
  }

  // MARK: Who somebody is

  private func pass(
    _ request: HTTPRequest,
    _ now: Int64,
    needs scope: String,
    for resource: String
  ) throws(LinkedInProblem) -> (OAuthPass, OAuthAccount) {
    guard let token = request.bearer else { throw .noToken }
    do throws(OAuthRefusal) {
      let pass = try oauth.pass(token, at: now)
      let account = try account(of: pass)
      guard pass.has(scope) else { throw .missingScope(resource) }
      return (pass, account)
    } catch {
      throw LinkedInProblem(error)
    }
  }

  /// The member's id as this platform writes it: ten letters and digits.
  static func memberID(_ account: OAuthAccount) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    var rest = account.id
    var text: [UInt8] = []
    for _ in 0..<10 {
      text.append(alphabet[Int(rest & 63)])
      rest >>= 6
    }
    return String(decoding: text, as: UTF8.self)
  }

  private func answerUnversioned(
    _ request: HTTPRequest,
    _ resource: String,
    _ now: Int64
  ) throws(LinkedInProblem) -> HTTPResponse {
    switch resource {
    case "userinfo":
      let (pass, account) = try pass(request, now, needs: "openid", for: "userinfo.GET.NO_VERSION")
      let words = account.name.split(separator: " ")
      return .json(
        JSONWriter.object {
          $0.member("sub", Self.memberID(account))
          if pass.has("profile") {
            $0.member("name", account.name)
            $0.member("given_name", words.first.map(String.init) ?? account.name)
            $0.member("family_name", words.count > 1 ? String(words[words.count - 1]) : "")
            $0.member("picture", "https://media.licdn.com/dms/image/\(Self.memberID(account))")
            $0.object("locale") {
              $0.member("country", "US")
              $0.member("language", "en")
            }
          }
          if pass.has("email") {
            $0.member("email", "\(account.username)@example.com")
            $0.member("email_verified", true)
          }
        }
      )
    case "me":
      let (_, account) = try pass(request, now, needs: "r_basicprofile", for: "me.GET.NO_VERSION")
      let words = account.name.split(separator: " ")
      return .json(
        JSONWriter.object {
          $0.member("id", Self.memberID(account))
          $0.member("localizedFirstName", words.first.map(String.init) ?? account.name)
          $0.member("localizedLastName", words.count > 1 ? String(words[words.count - 1]) : "")
          $0.member("vanityName", account.username)
        }
      )
    default: throw .notFound
    }
  }

  private func answerVersioned(
    _ request: HTTPRequest,
    _ parts: [String],
    _ now: Int64
  ) throws(LinkedInProblem) -> HTTPResponse {
    guard let items = request.queryItems() else { throw .badRequest("The query cannot be read") }
    let query = Dictionary(items.map { ($0.name, $0.value) }) { first, _ in first }
    switch (parts[1], parts.count) {
    case ("organizationAcls", 2):
      let (_, account) = try pass(
        request,
        now,
        needs: "rw_organization_admin",
        for: "organizationAcls.FINDER-roleAssignee"
      )
      return try showRoles(query, account)
    case ("organizations", 2):
      let (_, account) = try pass(request, now, needs: "rw_organization_admin", for: "organizations.BATCH_GET")
      return try showOrganizations(query["ids"] ?? "", account)
    case ("organizations", 3):
      let (_, account) = try pass(request, now, needs: "rw_organization_admin", for: "organizations.GET")
      guard let place = account.places.first(where: { String($0.id) == parts[2] }) else { throw .notFound }
      return .json(JSONWriter.object { Self.write(place, &$0) })
    default: throw .notFound
    }
  }

  private func showRoles(_ query: [String: String], _ account: OAuthAccount) throws(LinkedInProblem) -> HTTPResponse {
    guard query["q"] == "roleAssignee" else { throw .badRequest("Invalid query parameter q") }
    var roles = account.places.flatMap { place in place.roles.map { (place, $0) } }
    if let wanted = query["role"] { roles.removeAll { $0.1 != wanted } }
    if let state = query["state"], state != "APPROVED" { roles = [] }
    guard let start = Int(query["start"] ?? "0"), let count = Int(query["count"] ?? "10"), start >= 0,
      (1...100).contains(count)
    else { throw .badRequest("Invalid paging") }
    let page = roles.dropFirst(start).prefix(count)
    let total = roles.count
    return .json(
      JSONWriter.object {
        $0.object("paging") {
          $0.member("start", start)
          $0.member("count", count)
          $0.array("links") { _ in }
          $0.member("total", total)
        }
        $0.array("elements") {
          for (place, role) in page {
            $0.object {
              $0.member("organization", "urn:li:organization:\(place.id)")
              $0.member("role", role)
              $0.member("state", "APPROVED")
              $0.member("roleAssignee", "urn:li:person:\(Self.memberID(account))")
            }
          }
        }
      }
    )
  }

  private func showOrganizations(_ text: String, _ account: OAuthAccount) throws(LinkedInProblem) -> HTTPResponse {
    guard text.hasPrefix("List("), text.hasSuffix(")") else { throw .badRequest("ids must be List(…)") }
    let ids = text.dropFirst(5).dropLast().split(separator: ",").map(String.init)
    guard !ids.isEmpty else { throw .badRequest("ids must not be empty") }
    let found = ids.compactMap { id in account.places.first { String($0.id) == id } }
    return .json(
      JSONWriter.object {
        $0.object("results") {
          for place in found { $0.object(String(place.id)) { Self.write(place, &$0) } }
        }
        $0.object("statuses") { for place in found { $0.member(String(place.id), 200) } }
        $0.object("errors") {
          for id in ids where !found.contains(where: { String($0.id) == id }) {
            $0.object(id) { $0.member("status", 404) }
          }
        }
      }
    )
  }

  private static func write(_ place: OAuthAccount.Place, _ writer: inout JSONWriter) {
    writer.member("id", place.id)
    writer.member("localizedName", place.name)
    writer.member("vanityName", place.handle)
  }
}
