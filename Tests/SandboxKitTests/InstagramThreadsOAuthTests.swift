import Testing

@testable import SandboxKit

/// Instagram and Threads: the same steps with other names.
@Suite struct InstagramThreadsOAuthTests {
  struct Names: Sendable {
    let platform: String
    let graph: String
    let scope: String
    let exchange: String
    let renewal: String
    let me: String
  }

  static let both = [
    Names(
      platform: "instagram",
      graph: "https://graph.instagram.com",
      scope: "instagram_business_basic",
      exchange: "ig_exchange_token",
      renewal: "ig_refresh_token",
      me: "https://graph.instagram.com/v26.0/me"
    ),
    Names(
      platform: "threads",
      graph: "https://graph.threads.net",
      scope: "threads_basic",
      exchange: "th_exchange_token",
      renewal: "th_refresh_token",
      me: "https://graph.threads.net/v1.0/me"
    ),
  ]

  private let fixture: OAuthFixture

  init() throws {
    fixture = try OAuthFixture()
  }

  private func short(_ names: Names) throws -> String {
    let json = try fixture.exchange(names.platform, code: try fixture.code(names.platform, scopes: [names.scope])).json
    return try #require(json["access_token"]?.string ?? json["data"]?.array?.first?["access_token"]?.string)
  }

  private func lengthen(_ names: Names, _ token: String, secret: String? = nil) throws -> OAuthFixture.Reply {
    try fixture.get(
      "\(names.graph)/access_token",
      query: [
        ("grant_type", names.exchange), ("client_secret", secret ?? "secret-of-demo-\(names.platform)"),
        ("access_token", token),
      ]
    )
  }

  private func renew(_ names: Names, _ token: String) throws -> OAuthFixture.Reply {
    try fixture.get(
      "\(names.graph)/refresh_access_token",
      query: [("grant_type", names.renewal), ("access_token", token)]
    )
  }

  private func long(_ names: Names) throws -> String {
    try #require(try lengthen(names, try short(names)).json["access_token"]?.string)
  }

  @Test(arguments: both) func shortTokensBecomeLongOnes(_ names: Names) throws {
    let short = try short(names)
    #expect(try lengthen(names, short, secret: "wrong").status == 400)
    let reply = try lengthen(names, short)
    #expect(reply.json["token_type"]?.string == "bearer")
    #expect(reply.json["expires_in"]?.integer == 5_183_944)
    let long = try #require(reply.json["access_token"]?.string)
    // A long one is no short one.
    #expect(try lengthen(names, long).status == 400)
    try fixture.advance(seconds: 3600)
    #expect(try fixture.get(names.me, token: short).json["error"]?["error_subcode"]?.integer == 463)
    #expect(try lengthen(names, short).status == 400)
    #expect(try fixture.get(names.me, token: long).status == 200)
  }

  @Test(arguments: both) func longTokensAreRenewedAfterADay(_ names: Names) throws {
    let long = try long(names)
    try fixture.advance(seconds: 86_399)
    #expect(try renew(names, long).status == 400)
    try fixture.advance(seconds: 1)
    let reply = try renew(names, long)
    #expect(reply.json["expires_in"]?.integer == 5_183_944)
    let next = try #require(reply.json["access_token"]?.string)
    #expect(next != long)
    #expect(try fixture.get(names.me, token: next).status == 200)
    #expect(try fixture.get(names.me, token: long).status == 200)
    let ledger = try fixture.ledger(names.platform)
    #expect(ledger["refreshes"]?.integer == 1)
    #expect(ledger["refusedRefreshes"]?.integer == 1)
    try fixture.advance(seconds: 5_183_944)
    let dead = try renew(names, next)
    #expect(dead.json["error"]?["code"]?.integer == 190)
    #expect(dead.json["error"]?["error_subcode"]?.integer == 463)
  }

  @Test(arguments: both) func shortTokensAreNotRenewed(_ names: Names) throws {
    let short = try short(names)
    #expect(try renew(names, short).status == 400)
    #expect(try fixture.ledger(names.platform)["refreshes"]?.integer == 0)
  }

  @Test(arguments: both) func renewalMayBeStrict(_ names: Names) throws {
    try fixture.control("oauth", #"{"platform":"\#(names.platform)","rotation":"strict"}"#)
    let long = try long(names)
    try fixture.advance(seconds: 86_400)
    let next = try #require(try renew(names, long).json["access_token"]?.string)
    #expect(try fixture.get(names.me, token: long).json["error"]?["code"]?.integer == 190)
    #expect(try fixture.get(names.me, token: next).status == 200)
    #expect(try renew(names, long).status == 400)
    #expect(try fixture.get(names.me, token: next).json["error"]?["code"]?.integer == 190)
    #expect(try fixture.ledger(names.platform)["kills"]?.integer == 1)
  }

  @Test(arguments: both) func codeErrorsAreFlat(_ names: Names) throws {
    let reply = try fixture.exchange(names.platform, code: "other")
    #expect(reply.status == 400)
    #expect(reply.json["error_type"]?.string == "OAuthException")
    #expect(reply.json["error_message"]?.string == "Matching code was not found or was already used")
  }

  @Test(arguments: both) func scopesThatNobodyKnowsGetAPage(_ names: Names) throws {
    let address = try #require(OAuthFixture.authorize[names.platform])
    let query = OAuthFixture.wish(names.platform, scopes: [names.scope, "business_basic"])
    #expect(try fixture.ask("GET", address, query: query).status == 400)
    let spaces = OAuthFixture.wish(names.platform, scopes: [names.scope + " " + names.scope])
    #expect(try fixture.ask("GET", address, query: spaces).status == 200)
  }

  @Test func instagramWrapsItsFirstAnswer() throws {
    let code = try fixture.code(
      "instagram",
      scopes: ["instagram_business_basic", "instagram_business_content_publish"]
    )
    let data = try #require(try fixture.exchange("instagram", code: code).json["data"]?.array?.first)
    #expect(data["user_id"]?.string?.utf8.count == 18)
    #expect(data["permissions"]?.string == "instagram_business_basic,instagram_business_content_publish")
  }

  @Test func instagramTellsTheSortOfAccount() throws {
    try fixture.control("accounts", #"{"platform":"instagram","username":"carol","kind":"PERSONAL"}"#)
    let code = try fixture.code("instagram", scopes: ["instagram_business_basic"], account: "carol")
    let data = try #require(try fixture.exchange("instagram", code: code).json["data"]?.array?.first)
    let token = try #require(data["access_token"]?.string)
    let query = [("fields", "user_id,username,account_type")]
    let me = try fixture.get("https://graph.instagram.com/me", token: token, query: query).json
    #expect(me["account_type"]?.string == "PERSONAL")
    #expect(me["user_id"]?.string == data["user_id"]?.string)
    #expect(me["id"]?.string != data["user_id"]?.string)
  }

  @Test func threadsNumbersAreLargerThanADoubleHolds() throws {
    let reply = try fixture.exchange("threads", code: try fixture.code("threads", scopes: ["threads_basic"]))
    let number = try #require(reply.json["user_id"]?.integer)
    #expect(number > 1 << 53)
    let token = try #require(reply.json["access_token"]?.string)
    #expect(try fixture.get("https://graph.threads.com/v1.0/me", token: token).json["id"]?.string == String(number))
    #expect(try fixture.get("https://graph.threads.net/v18.0/me", token: token).json["error"]?["code"]?.integer == 2500)
  }

  @Test func tokensStayOnTheirPlatform() throws {
    let token = try long(Self.both[0])
    #expect(try fixture.get("https://graph.threads.net/v1.0/me", token: token).json["error"]?["code"]?.integer == 190)
    #expect(try fixture.get("https://graph.facebook.com/me", token: token).json["error"]?["code"]?.integer == 190)
  }

  @Test func faultsTellTheStepsApartByTheQuery() throws {
    let names = Self.both[1]
    let long = try long(names)
    try fixture.advance(seconds: 86_400)
    try fixture.control(
      "faults",
      #"{"match":{"platform":"threads","queryContains":"th_refresh_token"},"action":"resetAfterCommit"}"#
    )
    #expect(try fixture.get(names.me, token: long).status == 200)
    #expect(try renew(names, long).isReset)
    #expect(try fixture.ledger("threads")["refreshes"]?.integer == 1)
    #expect(try renew(names, long).status == 200)
  }
}
