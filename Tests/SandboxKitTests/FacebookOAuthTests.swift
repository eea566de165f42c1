import Testing

@testable import SandboxKit

@Suite struct FacebookOAuthTests {
  private static let scopes = ["public_profile", "pages_show_list", "pages_manage_posts"]
  private static let graph = "https://graph.facebook.com/v26.0"
  private let fixture: OAuthFixture

  init() throws {
    fixture = try OAuthFixture()
    try fixture.control(
      "accounts",
      #"{"platform":"facebook","username":"alice","name":"Alice Adams","pages":[{"username":"acme","name":"Acme"},{"username":"club","roles":["ANALYZE"]}]}"#
    )
  }

  private func short(granted: [String]? = nil) throws -> String {
    let code = try fixture.code("facebook", scopes: Self.scopes, granted: granted)
    return try #require(
      try fixture.exchange("facebook", code: code, changes: ["grant_type": nil]).json["access_token"]?.string
    )
  }

  private func lengthen(_ token: String) throws -> OAuthFixture.Reply {
    try fixture.get(
      "\(Self.graph)/oauth/access_token",
      query: [
        ("grant_type", "fb_exchange_token"), ("client_id", "demo-facebook"),
        ("client_secret", "secret-of-demo-facebook"), ("fb_exchange_token", token),
      ]
    )
  }

  private func long() throws -> String {
    try #require(try lengthen(try short()).json["access_token"]?.string)
  }

  private func error(_ reply: OAuthFixture.Reply) -> [Int?] {
    [reply.status, reply.json["error"]?["code"]?.integer, reply.json["error"]?["error_subcode"]?.integer]
  }

  @Test func shortTokensBecomeLongOnes() throws {
    let short = try short()
    let reply = try lengthen(short)
    #expect(reply.json["token_type"]?.string == "bearer")
    #expect(reply.json["expires_in"]?.integer == 5_183_944)
    let long = try #require(reply.json["access_token"]?.string)
    try fixture.advance(seconds: 5400)
    #expect(error(try fixture.get("\(Self.graph)/me", token: short)) == [400, 190, 463])
    #expect(error(try lengthen(short)) == [400, 190, 463])
    #expect(try fixture.get("\(Self.graph)/me", token: long).json["name"]?.string == "Alice Adams")
    try fixture.advance(seconds: 5_183_944)
    #expect(error(try fixture.get("\(Self.graph)/me", token: long)) == [400, 190, 463])
  }

  @Test func codesFailAsOnThePlatform() throws {
    let code = try fixture.code("facebook", scopes: Self.scopes)
    #expect(
      error(try fixture.exchange("facebook", code: code, changes: ["redirect_uri": "https://a.example"])) == [
        400, 100, 36_008,
      ]
    )
    #expect(error(try fixture.exchange("facebook", code: code, changes: ["client_secret": "wrong"])) == [400, 1, nil])
    #expect(error(try fixture.exchange("facebook", code: code, changes: ["client_id": "wrong"])) == [400, 101, nil])
    _ = try fixture.exchange("facebook", code: code)
    let again = try fixture.exchange("facebook", code: code)
    #expect(error(again) == [400, 100, 36_009])
    #expect(again.header("www-authenticate")?.contains("This authorization code has been used.") == true)
  }

  @Test func pagesHaveTokensOfTheirOwn() throws {
    let accounts = try fixture.get(
      "\(Self.graph)/me/accounts",
      token: try long(),
      query: [("fields", "id,name,username,access_token,picture{url},tasks")]
    )
    let pages = try #require(accounts.json["data"]?.array)
    #expect(pages.map { $0["name"]?.string } == ["Acme", "club"])
    #expect(pages[1]["tasks"]?.array?.compactMap(\.string) == ["ANALYZE"])
    let token = try #require(pages[0]["access_token"]?.string)
    let me = try fixture.get("\(Self.graph)/me", token: token).json
    #expect(me["id"]?.string == pages[0]["id"]?.string)
    // It outlives the user's token, but not what the user granted.
    try fixture.advance(seconds: 100_000_000)
    #expect(try fixture.get("\(Self.graph)/me", token: token).status == 200)
    try fixture.control("tokens", #"{"platform":"facebook","account":"alice","change":"remove","reason":460}"#)
    #expect(error(try fixture.get("\(Self.graph)/me", token: token)) == [400, 190, 460])
  }

  @Test func pageTokensOfShortOnesEndWithThem() throws {
    let accounts = try fixture.get("\(Self.graph)/me/accounts", token: try short()).json
    let token = try #require(accounts["data"]?.array?.first?["access_token"]?.string)
    try fixture.advance(seconds: 5400)
    #expect(error(try fixture.get("\(Self.graph)/me", token: token)) == [400, 190, 463])
  }

  @Test func pagesComeInPieces() throws {
    let token = try long()
    let first = try fixture.get("\(Self.graph)/me/accounts", token: token, query: [("limit", "1")]).json
    #expect(first["data"]?.array?.count == 1)
    #expect(first["paging"]?["next"] != nil)
    let after = try #require(first["paging"]?["cursors"]?["after"]?.string)
    let query = [("limit", "1"), ("after", after)]
    let second = try fixture.get("\(Self.graph)/me/accounts", token: token, query: query).json
    #expect(second["data"]?.array?.first?["name"]?.string == "club")
    #expect(second["paging"]?["next"] == nil)
  }

  @Test func deniedScopesShow() throws {
    let token = try short(granted: ["pages_manage_posts"])
    let permissions = try fixture.get("\(Self.graph)/me/permissions", token: token).json["data"]?.array ?? []
    let shown = permissions.map { "\($0["permission"]?.string ?? "") \($0["status"]?.string ?? "")" }
    #expect(shown == ["public_profile granted", "pages_show_list declined", "pages_manage_posts granted"])
    #expect(error(try fixture.get("\(Self.graph)/me/accounts", token: token)) == [403, 200, nil])
  }

  @Test func takingPermissionsBackEndsEverything() throws {
    let token = try long()
    let header = [("authorization", "Bearer \(token)")]
    let reply = try fixture.ask("DELETE", "\(Self.graph)/me/permissions", headers: header)
    #expect(reply.json["success"]?.bool == true)
    #expect(error(try fixture.get("\(Self.graph)/me", token: token)) == [400, 190, 458])
    #expect(try fixture.ledger("facebook")["revocations"]?.integer == 1)
  }

  @Test func tokensCanBeLookedAt() throws {
    let token = try short()
    func look(_ token: String, by app: String) throws -> OAuthFixture.Reply {
      try fixture.get("\(Self.graph)/debug_token", query: [("input_token", token), ("access_token", app)])
    }
    let app = "demo-facebook|secret-of-demo-facebook"
    let alive = try look(token, by: app).json["data"]
    #expect(alive?["is_valid"]?.bool == true)
    #expect(alive?["app_id"]?.string == "demo-facebook")
    #expect(alive?["scopes"]?.array?.count == 3)
    try fixture.control("tokens", #"{"platform":"facebook","account":"alice","change":"expireAccess"}"#)
    let dead = try look(token, by: app).json["data"]
    #expect(dead?["is_valid"]?.bool == false)
    #expect(dead?["error"]?["subcode"]?.integer == 463)
    #expect(try look(token, by: "demo-facebook|wrong").status == 400)
  }

  @Test func tokensBelongToTheirApp() throws {
    try fixture.control("apps", #"{"platform":"facebook","clientId":"other","secret":"of-other"}"#)
    let token = try short()
    let query = [
      ("grant_type", "fb_exchange_token"), ("client_id", "other"), ("client_secret", "of-other"),
      ("fb_exchange_token", token),
    ]
    #expect(error(try fixture.get("\(Self.graph)/oauth/access_token", query: query)) == [400, 190, nil])
    let look = [("input_token", token), ("access_token", "other|of-other")]
    let data = try fixture.get("\(Self.graph)/debug_token", query: look).json["data"]
    #expect(data?["is_valid"]?.bool == false)
  }

  @Test func theGraphIsStrict() throws {
    let token = try short()
    #expect(error(try fixture.get("\(Self.graph)/me")) == [400, 2500, nil])
    #expect(error(try fixture.get("\(Self.graph)/me", token: "x")) == [400, 190, nil])
    #expect(
      error(try fixture.get("\(Self.graph)/me", token: token, query: [("fields", "shoe_size")])) == [400, 100, nil]
    )
    #expect(error(try fixture.get("\(Self.graph)/12345", token: token)) == [400, 100, 33])
    let proof = Hexadecimal.string(
      HMACSHA256.code(key: Array("secret-of-demo-facebook".utf8), message: Array(token.utf8))
    )
    #expect(try fixture.get("\(Self.graph)/me", token: token, query: [("appsecret_proof", proof)]).status == 200)
    #expect(try fixture.get("\(Self.graph)/me", token: token, query: [("appsecret_proof", "00")]).status == 400)
    // Any version is served, and none is needed.
    #expect(try fixture.get("https://graph.facebook.com/me", token: token).status == 200)
    #expect(try fixture.get("https://graph.facebook.com/v18.0/me", token: token).status == 200)
  }
}
