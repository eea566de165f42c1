import Testing

@testable import SandboxKit

/// What the OAuth servers of all platforms have in common, each at its real addresses.
@Suite struct ConsentPlatformTests {
  static let scopes: [String: [String]] = [
    "x": ["tweet.read", "users.read", "offline.access"], "linkedin": ["openid", "profile", "w_member_social"],
    "facebook": ["pages_show_list", "pages_manage_posts"],
    "instagram": ["instagram_business_basic", "instagram_business_content_publish"],
    "threads": ["threads_basic", "threads_content_publish"], "tiktok": ["user.info.basic", "video.publish"],
  ]
  static let platforms = ["x", "linkedin", "facebook", "instagram", "threads", "tiktok"]

  private let fixture: OAuthFixture

  init() throws {
    fixture = try OAuthFixture()
  }

  private func scopes(_ platform: String) throws -> [String] { try #require(Self.scopes[platform]) }

  /// The token of an answer, wherever the platform puts it.
  private func token(_ json: JSON) -> String? {
    json["access_token"]?.string ?? json["data"]?.array?.first?["access_token"]?.string
  }

  @Test(arguments: platforms) func aCodeWorksOnce(_ platform: String) throws {
    let code = try fixture.code(platform, scopes: try scopes(platform))
    let first = try fixture.exchange(platform, code: code)
    #expect(first.status == 200)
    #expect(token(first.json)?.isEmpty == false)
    let again = try fixture.exchange(platform, code: code)
    #expect(token(again.json) == nil)
    #expect(try fixture.ledger(platform)["codeReplays"]?.integer == 1)
  }

  @Test(arguments: platforms) func aCodeBelongsToItsAddress(_ platform: String) throws {
    let code = try fixture.code(platform, scopes: try scopes(platform))
    let other = try fixture.exchange(platform, code: code, changes: ["redirect_uri": "https://host.example/other"])
    #expect(token(other.json) == nil)
    #expect(token(try fixture.exchange(platform, code: code).json) != nil)
  }

  @Test(arguments: zip(platforms, [30, 1800, 600, 3600, 3600, 600]))
  func aCodeEnds(_ platform: String, _ seconds: Int) throws {
    let early = try fixture.code(platform, scopes: try scopes(platform))
    try fixture.advance(seconds: seconds - 1)
    #expect(token(try fixture.exchange(platform, code: early).json) != nil)
    let late = try fixture.code(platform, scopes: try scopes(platform))
    try fixture.advance(seconds: seconds)
    #expect(token(try fixture.exchange(platform, code: late).json) == nil)
  }

  @Test(arguments: platforms.dropFirst()) func aWrongSecretOpensNothing(_ platform: String) throws {
    let code = try fixture.code(platform, scopes: try scopes(platform))
    for secret in ["wrong", nil] {
      let reply = try fixture.exchange(platform, code: code, changes: ["client_secret": secret])
      #expect(token(reply.json) == nil)
    }
    #expect(try fixture.ledger(platform)["exchanges"]?.integer == 0)
  }

  @Test(arguments: platforms) func anUnknownAddressLeadsNowhere(_ platform: String) throws {
    let query = OAuthFixture.wish(
      platform,
      scopes: try scopes(platform),
      changes: ["redirect_uri": "https://evil.example/callback"]
    )
    let reply = try fixture.ask("GET", try #require(OAuthFixture.authorize[platform]), query: query)
    #expect(reply.status == 400)
    #expect(reply.header("location") == nil)
  }

  @Test(arguments: platforms) func thePageHasABoxForEachScope(_ platform: String) throws {
    let scopes = try scopes(platform)
    let query = OAuthFixture.wish(platform, scopes: scopes)
    let page = try fixture.ask("GET", try #require(OAuthFixture.authorize[platform]), query: query)
    #expect(page.status == 200)
    for scope in scopes { #expect(page.text.contains("name=\"scope\" value=\"\(scope)\"")) }
  }

  @Test(
    arguments: zip(
      platforms,
      [
        ["error": "access_denied"], ["error": "user_cancelled_authorize"],
        ["error": "access_denied", "error_reason": "user_denied"],
        ["error": "access_denied", "error_reason": "user_denied"],
        ["error": "access_denied", "error_reason": "user_denied"], ["error": "access_denied"],
      ]
    )
  )
  func denialsHaveThePlatformsWords(_ platform: String, _ expected: [String: String]) throws {
    let reply = try fixture.consent(platform, scopes: try scopes(platform), decision: "deny")
    for (name, value) in expected { #expect(reply.sent(name) == value) }
    #expect(reply.sent("state") == "st&te 1")
    #expect(reply.sent("code") == nil)
  }

  @Test(arguments: zip(platforms, ["", "", "#_=_", "#_", "#_", ""]))
  func successEndsAsOnThePlatform(_ platform: String, _ fragment: String) throws {
    let location = try #require(try fixture.consent(platform, scopes: try scopes(platform)).header("location"))
    #expect(String(location.drop { $0 != "#" }) == fragment)
  }

  @Test(arguments: platforms) func formsAreReadStrictly(_ platform: String) throws {
    let scopes = try scopes(platform)
    #expect(try fixture.consent(platform, scopes: scopes, account: "carol").status == 400)
    #expect(try fixture.consent(platform, scopes: scopes, decision: "perhaps").status == 400)
    #expect(try fixture.ledger(platform)["consents"]?.integer == 0)
  }

  @Test(arguments: platforms) func aPlatformMayBeDown(_ platform: String) throws {
    let order = #"{"match":{"platform":"\#(platform)"},"action":{"kind":"status","code":503},"count":2}"#
    try fixture.control("faults", order)
    let query = OAuthFixture.wish(platform, scopes: try scopes(platform))
    #expect(try fixture.ask("GET", try #require(OAuthFixture.authorize[platform]), query: query).status == 503)
    #expect(try fixture.exchange(platform, code: "any").status == 503)
  }

  @Test func unknownServersAreNotStoodInFor() throws {
    #expect(try fixture.get("https://api.example.com/me").status == 404)
    #expect(throws: RawClient.Failure.self) {
      try fixture.control("faults", #"{"match":{"host":"api.example.com"},"action":"resetBeforeCommit"}"#)
    }
  }

  @Test func everyOriginHasAPlace() throws {
    let json = try fixture.control("origins")
    let origins = try #require(json["origins"]?.members)
    for address in OAuthFixture.authorize.values.map({ $0 }) + OAuthFixture.token.values.map({ $0 }) {
      let origin = "https://" + address.dropFirst(8).prefix { $0 != "/" }
      #expect(json["origins"]?[origin]?.string == "http://127.0.0.1:4455/origin/\(origin.dropFirst(8))")
    }
    #expect(json["overrides"]?.string?.split(separator: ",").count == origins.count)
  }

  @Test(arguments: [
    #"{"platform":"microblog","redirectAddresses":[]}"#, #"{"platform":"x","redirectAddresses":["host/callback"]}"#,
    #"{"platform":"x","redirectAddresses":["https://host.example/#a"]}"#, #"{"platform":"linkedin","public":true}"#,
    #"{"platform":"tiktok","redirectAddresses":["https://host.example/callback?a=b"]}"#, #"{"platform":"x","x":1}"#,
    #"{"platform":"x","clientId":"a:b"}"#,
  ])
  func appsAreRegisteredStrictly(_ body: String) throws {
    #expect(throws: RawClient.Failure.self) { try fixture.control("apps", body) }
  }

  @Test(arguments: [
    ("oauth", #"{"platform":"x","rotation":"sometimes"}"#), ("oauth", #"{"platform":"x","consent":"maybe"}"#),
    ("oauth", #"{"platform":"x","withheldScopes":["video.list"]}"#), ("oauth", #"{"rotation":"none"}"#),
    ("clock", #"{"platform":"x"}"#), ("clock", #"{"advanceMs":-1}"#),
    ("clock", #"{"platform":"webhook","advanceMs":1}"#),
    ("tokens", #"{"platform":"x","account":"carol","change":"remove"}"#),
    ("tokens", #"{"platform":"x","account":"alice","change":"lose"}"#),
    ("accounts", #"{"platform":"instagram","username":"carol","kind":"ROBOT"}"#),
    ("accounts", #"{"platform":"threads","username":"carol dee"}"#),
    ("accounts", #"{"platform":"threads","username":"carol","pages":[]}"#),
  ])
  func ordersAreReadStrictly(_ path: String, _ body: String) throws {
    #expect(throws: RawClient.Failure.self) { try fixture.control(path, body) }
  }

  @Test func aResetKeepsTokensAndForgetsCounts() throws {
    let code = try fixture.code("threads", scopes: ["threads_basic"])
    let access = try #require(token(try fixture.exchange("threads", code: code).json))
    try fixture.control("oauth", #"{"platform":"threads","consent":"deny"}"#)
    try fixture.control("reset", "{}")
    #expect(try fixture.ledger("threads")["exchanges"]?.integer == 0)
    #expect(try fixture.control("oauth")["threads"]?["consent"]?.string == "ask")
    #expect(try fixture.get("https://graph.threads.net/v1.0/me", token: access).status == 200)
  }
}
