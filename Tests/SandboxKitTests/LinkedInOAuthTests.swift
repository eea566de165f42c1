import Testing

@testable import SandboxKit

@Suite struct LinkedInOAuthTests {
  private let fixture: OAuthFixture

  init() throws {
    fixture = try OAuthFixture()
    try fixture.control(
      "accounts",
      #"{"platform":"linkedin","username":"alice","name":"Alice Adams","organizations":[{"username":"acme","name":"Acme"},{"username":"club","roles":["CONTENT_ADMIN"]}]}"#
    )
  }

  private func connect(_ scopes: [String]) throws -> JSON {
    try fixture.exchange("linkedin", code: try fixture.code("linkedin", scopes: scopes)).json
  }

  private func access(_ scopes: [String]) throws -> String {
    try #require(try connect(scopes)["access_token"]?.string)
  }

  private func rest(
    _ path: String,
    _ token: String,
    query: [(String, String)] = [],
    version: String? = "202511"
  ) throws -> OAuthFixture.Reply {
    var headers = [("authorization", "Bearer \(token)"), ("x-restli-protocol-version", "2.0.0")]
    if let version { headers.append(("linkedin-version", version)) }
    return try fixture.ask("GET", "https://api.linkedin.com/rest/\(path)", query: query, headers: headers)
  }

  @Test func approvedAppsGetRefreshTokensWhoseTimeRunsDown() throws {
    let json = try connect(["openid", "profile"])
    #expect(json["expires_in"]?.integer == 5_184_000)
    #expect(json["refresh_token_expires_in"]?.integer == 31_536_000)
    let refresh = try #require(json["refresh_token"]?.string)
    try fixture.advance(seconds: 86_400)
    let next = try fixture.refresh("linkedin", refresh).json
    #expect(next["refresh_token"]?.string == refresh)
    #expect(next["refresh_token_expires_in"]?.integer == 31_536_000 - 86_400)
    #expect(try fixture.refresh("linkedin", refresh).status == 200)
    #expect(try fixture.ledger("linkedin")["kills"]?.integer == 0)
    try fixture.advance(seconds: 31_536_000)
    let late = try fixture.refresh("linkedin", refresh)
    #expect(late.status == 400)
    #expect(late.json["error"]?.string == "invalid_request")
  }

  @Test func otherAppsGetNeitherThemNorTheScopesOfOrganizations() throws {
    try fixture.control("apps", #"{"platform":"linkedin","approved":false}"#)
    #expect(try connect(["openid"])["refresh_token"] == nil)
    let query = OAuthFixture.wish("linkedin", scopes: ["openid", "w_organization_social"])
    let reply = try fixture.ask("GET", try #require(OAuthFixture.authorize["linkedin"]), query: query)
    #expect(reply.status == 302)
    #expect(reply.sent("error") == "unauthorized_scope_error")
    #expect(reply.sent("state") == "st&te 1")
  }

  @Test(
    arguments: [
      ("code", "other", 401, "invalid_request"), ("redirect_uri", "https://host.example/", 400, "invalid_redirect_uri"),
      ("client_secret", nil, 400, "invalid_request"), ("client_secret", "wrong", 401, "invalid_client"),
      ("grant_type", "password", 400, "unsupported_grant_type"),
    ] as [(String, String?, Int, String)]
  )
  func errorsHaveThePlatformsWords(_ name: String, _ value: String?, _ status: Int, _ error: String) throws {
    let code = try fixture.code("linkedin", scopes: ["openid"])
    let reply = try fixture.exchange("linkedin", code: code, changes: [name: value])
    #expect(reply.status == status)
    #expect(reply.json["error"]?.string == error)
  }

  @Test func aMissingSecretIsNamed() throws {
    let code = try fixture.code("linkedin", scopes: ["openid"])
    let reply = try fixture.exchange("linkedin", code: code, changes: ["client_secret": nil])
    #expect(reply.json["error_description"]?.string == "A required parameter \"client_secret\" is missing")
  }

  @Test func tellsWhoSomebodyIs() throws {
    let userinfo = "https://api.linkedin.com/v2/userinfo"
    let json = try fixture.get(userinfo, token: try access(["openid", "profile", "email"])).json
    #expect(json["sub"]?.string?.utf8.count == 10)
    #expect(json["name"]?.string == "Alice Adams")
    #expect(json["family_name"]?.string == "Adams")
    #expect(json["email"]?.string == "alice@example.com")
    #expect(try fixture.get(userinfo, token: try access(["openid"])).json["name"] == nil)
    let missing = try fixture.get(userinfo, token: try access(["w_member_social"]))
    #expect(missing.status == 403)
    #expect(missing.json["serviceErrorCode"]?.integer == 100)
    #expect(try fixture.get(userinfo).json["message"]?.string == "Empty oauth2_access_token")
  }

  @Test func tellsOrganizationsByRole() throws {
    let token = try access(["openid", "rw_organization_admin"])
    let query = [("q", "roleAssignee"), ("role", "ADMINISTRATOR"), ("state", "APPROVED")]
    let acls = try rest("organizationAcls", token, query: query).json
    #expect(acls["elements"]?.array?.count == 1)
    let urn = try #require(acls["elements"]?.array?.first?["organization"]?.string)
    let id = try #require(urn.split(separator: ":").last.map(String.init))
    let found = try rest("organizations", token, query: [("ids", "List(\(id),7)")]).json
    #expect(found["results"]?[id]?["localizedName"]?.string == "Acme")
    #expect(found["errors"]?["7"]?["status"]?.integer == 404)
    let all = try rest("organizationAcls", token, query: [("q", "roleAssignee")]).json
    #expect(all["elements"]?.array?.count == 2)
    let plain = try access(["openid"])
    #expect(try rest("organizationAcls", plain, query: query).status == 403)
  }

  @Test func versionsAreLookedAtFirst() throws {
    #expect(try rest("organizationAcls", "x", version: nil).json["code"]?.string == "VERSION_MISSING")
    #expect(try rest("organizationAcls", "x", version: "202001").status == 426)
    #expect(try rest("organizationAcls", "x", version: "202513").status == 426)
    #expect(try rest("organizationAcls", "x").status == 401)
  }

  @Test func deadTokensSayWhy() throws {
    let userinfo = "https://api.linkedin.com/v2/userinfo"
    let token = try access(["openid"])
    try fixture.advance(seconds: 5_184_000)
    #expect(try fixture.get(userinfo, token: token).json["code"]?.string == "EXPIRED_ACCESS_TOKEN")
    let second = try access(["openid"])
    let app = [("client_id", "demo-linkedin"), ("client_secret", "secret-of-demo-linkedin"), ("token", second)]
    let introspection = try fixture.ask("POST", "https://www.linkedin.com/oauth/v2/introspectToken", form: app)
    #expect(introspection.json["status"]?.string == "active")
    #expect(try fixture.ask("POST", "https://www.linkedin.com/oauth/v2/revoke", form: app).status == 200)
    let dead = try fixture.get(userinfo, token: second)
    #expect(dead.status == 401)
    #expect(dead.json["serviceErrorCode"]?.integer == 65_601)
    #expect(try fixture.get(userinfo, token: "x").json["code"]?.string == "INVALID_ACCESS_TOKEN")
  }
}
