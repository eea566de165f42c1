import Testing

@testable import SandboxKit

/// The OAuth server of X refuses what the platform refuses, and its tokens open what was granted.
@Suite struct XOAuthTests {
  private static let scopes = ["tweet.read", "tweet.write", "users.read", "media.write", "offline.access"]
  private let fixture: OAuthFixture

  init() throws {
    fixture = try OAuthFixture()
  }

  private func connect(granted: [String]? = nil) throws -> (access: String, refresh: String) {
    let code = try fixture.code("x", scopes: Self.scopes, granted: granted)
    let json = try fixture.exchange("x", code: code).json
    return (try #require(json["access_token"]?.string), json["refresh_token"]?.string ?? "")
  }

  private func post(_ token: String, _ text: String) throws -> OAuthFixture.Reply {
    let request = HTTPRequest(
      method: "POST",
      path: "/2/tweets",
      headers: [
        .init(name: "authorization", value: "Bearer \(token)"), .init(name: "content-type", value: "application/json"),
      ],
      body: Array(#"{"text":"\#(text)"}"#.utf8)
    )
    guard case .respond(let response) = fixture.router.answer(request) else { throw RawClient.Failure(what: "reset") }
    return .init(status: response.status, headers: response.headers, body: response.body)
  }

  private func me(_ token: String) throws -> OAuthFixture.Reply {
    try fixture.get("https://api.x.com/2/users/me", token: token)
  }

  // MARK: Consent

  @Test func thePageShowsAppAccountsAndScopes() throws {
    let page = try fixture.ask(
      "GET",
      "https://x.com/i/oauth2/authorize",
      query: OAuthFixture.wish("x", scopes: Self.scopes)
    )
    #expect(page.status == 200)
    #expect(page.header("content-type")?.hasPrefix("text/html") == true)
    for text in ["demo-x wants", "value=\"alice\"", "value=\"bob\"", "tweet.write", ">Allow<", ">Deny<"] {
      #expect(page.text.contains(text), "\(text)")
    }
    #expect(!page.text.contains("<script"))
  }

  @Test func theStateComesBackAsItWas() throws {
    let reply = try fixture.consent("x", scopes: Self.scopes)
    #expect(reply.status == 302)
    #expect(reply.header("location")?.hasPrefix(OAuthFixture.redirect + "&code=") == true)
    #expect(reply.sent("state") == "st&te 1")
  }

  @Test func aPersonMaySayNo() throws {
    let reply = try fixture.consent("x", scopes: Self.scopes, decision: "deny")
    #expect(reply.sent("error") == "access_denied")
    #expect(reply.sent("state") == "st&te 1")
    #expect(reply.sent("code") == nil)
    #expect(try fixture.ledger("x")["denials"]?.integer == 1)
  }

  @Test(
    arguments: [
      ("client_id", "other"), ("client_id", nil), ("redirect_uri", "https://host.example/callback"),
      ("redirect_uri", nil), ("scope", "tweet.read,tweet.write"), ("scope", nil), ("state", nil),
      ("state", String(repeating: "s", count: 501)), ("code_challenge", nil), ("code_challenge", "short"),
      ("code_challenge_method", "s256"), ("code_challenge_method", nil),
    ] as [(String, String?)]
  )
  func aWrongRequestLeadsNowhere(_ name: String, _ value: String?) throws {
    let query = OAuthFixture.wish("x", scopes: Self.scopes, changes: [name: value])
    let reply = try fixture.ask("GET", "https://x.com/i/oauth2/authorize", query: query)
    #expect(reply.status == 400)
    #expect(reply.header("location") == nil)
  }

  @Test func pagesCanBeAnsweredByThemselves() throws {
    try fixture.control(
      "oauth",
      #"{"platform":"x","consent":"allow","consentAccount":"bob","withheldScopes":["media.write"]}"#
    )
    let wish = OAuthFixture.wish("x", scopes: Self.scopes)
    let reply = try fixture.ask("GET", "https://x.com/i/oauth2/authorize", query: wish)
    let json = try fixture.exchange("x", code: try #require(reply.sent("code"))).json
    #expect(json["scope"]?.string == "tweet.read tweet.write users.read offline.access")
    let token = try #require(json["access_token"]?.string)
    #expect(try me(token).json["data"]?["username"]?.string == "bob")
    try fixture.control("oauth", #"{"platform":"x","consent":"deny"}"#)
    let denied = try fixture.ask("GET", "https://x.com/i/oauth2/authorize", query: wish)
    #expect(denied.sent("error") == "access_denied")
  }

  // MARK: Codes

  @Test func aCodeGivesTokens() throws {
    let reply = try fixture.exchange("x", code: try fixture.code("x", scopes: Self.scopes))
    #expect(reply.status == 200)
    #expect(reply.json["token_type"]?.string == "bearer")
    #expect(reply.json["expires_in"]?.integer == 7200)
    #expect(reply.json["scope"]?.string == Self.scopes.joined(separator: " "))
    #expect(reply.json["refresh_token"]?.string?.isEmpty == false)
    let withoutOffline = try fixture.code("x", scopes: Self.scopes, granted: ["tweet.read", "users.read"])
    #expect(try fixture.exchange("x", code: withoutOffline).json["refresh_token"] == nil)
  }

  @Test func aCodeWorksOnceAndForHalfAMinute() throws {
    let code = try fixture.code("x", scopes: Self.scopes)
    #expect(try fixture.exchange("x", code: code).status == 200)
    let again = try fixture.exchange("x", code: code)
    #expect(again.status == 400)
    #expect(again.json["error"]?.string == "invalid_request")
    #expect(again.json["error_description"]?.string == "Value passed for the token was invalid.")
    let late = try fixture.code("x", scopes: Self.scopes)
    try fixture.advance(seconds: 30)
    #expect(try fixture.exchange("x", code: late).status == 400)
    let ledger = try fixture.ledger("x")
    #expect(ledger["exchanges"]?.integer == 1)
    #expect(ledger["codeReplays"]?.integer == 1)
    #expect(ledger["refusedExchanges"]?.integer == 2)
  }

  @Test(
    arguments: [
      ("code", "other"), ("code", nil), ("redirect_uri", "https://host.example/callback"), ("redirect_uri", nil),
      ("code_verifier", "abcdefghijklmnopqrstuvwxyz0123456789-._~ABCDEFH"), ("code_verifier", nil),
      ("grant_type", "password"), ("grant_type", nil),
    ] as [(String, String?)]
  )
  func aWrongExchangeIsRefused(_ name: String, _ value: String?) throws {
    let code = try fixture.code("x", scopes: Self.scopes)
    #expect(try fixture.exchange("x", code: code, changes: [name: value]).status == 400)
    #expect(try fixture.exchange("x", code: code).status == 200)
  }

  @Test func aConfidentialAppSaysItsSecretInTheHeader() throws {
    let code = try fixture.code("x", scopes: Self.scopes)
    let fields = [
      ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", OAuthFixture.redirect),
      ("code_verifier", OAuthFixture.verifier),
    ]
    let address = "https://api.x.com/2/oauth2/token"
    let inBody = fields + [("client_id", "demo-x"), ("client_secret", "secret-of-demo-x")]
    let wrong = Base64.encode(Array("demo-x:secret".utf8))
    #expect(try fixture.ask("POST", address, form: inBody).status == 401)
    #expect(try fixture.ask("POST", address, form: fields + [("client_id", "demo-x")]).status == 401)
    #expect(
      try fixture.ask("POST", address, form: fields, headers: [("authorization", "Basic \(wrong)")]).status == 401
    )
    let json = try fixture.ask("POST", address, headers: [("content-type", "application/json")])
    #expect(json.status == 400)
    #expect(try fixture.exchange("x", code: code).status == 200)
  }

  @Test func aPublicAppSaysItsIdInTheForm() throws {
    try fixture.control(
      "apps",
      #"{"platform":"x","clientId":"phone","public":true,"redirectAddresses":["\#(OAuthFixture.redirect)"]}"#
    )
    let reply = try fixture.consent("x", scopes: Self.scopes, changes: ["client_id": "phone"])
    let fields = [
      ("grant_type", "authorization_code"), ("code", try #require(reply.sent("code"))),
      ("redirect_uri", OAuthFixture.redirect), ("code_verifier", OAuthFixture.verifier),
    ]
    let address = "https://api.x.com/2/oauth2/token"
    // A code belongs to its app.
    #expect(try fixture.tokens("x", fields).status == 400)
    #expect(try fixture.ask("POST", address, form: fields + [("client_id", "phone")]).status == 200)
  }

  // MARK: Use

  @Test func tokensOpenWhatWasGranted() throws {
    let (whole, _) = try connect()
    #expect(try me(whole).json["data"]?["username"]?.string == "alice")
    #expect(try post(whole, "with every scope").status == 201)
    let (part, _) = try connect(granted: ["tweet.read", "users.read", "offline.access"])
    #expect(try me(part).status == 200)
    let refused = try post(part, "without the scope to write")
    #expect(refused.status == 403)
    #expect(refused.json["detail"]?.string == "You are not permitted to perform this action.")
    #expect(try me("unknown").status == 401)
  }

  @Test func tokensEnd() throws {
    let (first, _) = try connect()
    try fixture.control("tokens", #"{"platform":"x","account":"alice","change":"expireAccess"}"#)
    #expect(try me(first).status == 401)
    let (second, _) = try connect()
    #expect(try me(second).status == 200)
    try fixture.advance(seconds: 7200)
    #expect(try me(second).status == 401)
    let (third, refresh) = try connect()
    try fixture.control("tokens", #"{"platform":"x","account":"alice","change":"remove"}"#)
    #expect(try me(third).status == 401)
    #expect(try fixture.refresh("x", refresh).status == 400)
    #expect(try fixture.ledger("x")["kills"]?.integer == 0)
  }

  // MARK: Refresh

  @Test func aRefreshTokenWorksOnce() throws {
    let (access, refresh) = try connect()
    let reply = try fixture.refresh("x", refresh).json
    let next = try #require(reply["refresh_token"]?.string)
    #expect(next != refresh)
    #expect(try me(try #require(reply["access_token"]?.string)).status == 200)
    #expect(try me(access).status == 200)
    // The old one again: everything from this consent ends.
    let replay = try fixture.refresh("x", refresh)
    #expect(replay.status == 400)
    #expect(replay.json["error_description"]?.string == "Value passed for the token was invalid.")
    #expect(try fixture.refresh("x", next).status == 400)
    #expect(try me(access).status == 401)
    let ledger = try fixture.ledger("x")
    #expect(ledger["refreshes"]?.integer == 1)
    #expect(ledger["replays"]?.integer == 1)
    #expect(ledger["kills"]?.integer == 1)
    let family = try #require(ledger["families"]?.array?.first)
    #expect(family["state"]?.string == "killed")
    #expect(family["livingTokens"]?.integer == 0)
    #expect(family["account"]?.string == "alice")
  }

  @Test func rotationMayBeSofter() throws {
    try fixture.control("oauth", #"{"platform":"x","rotation":"grace","graceSeconds":60}"#)
    let (_, refresh) = try connect()
    #expect(try fixture.refresh("x", refresh).status == 200)
    #expect(try fixture.refresh("x", refresh).status == 200)
    #expect(try fixture.ledger("x")["graceRefreshes"]?.integer == 1)
    try fixture.advance(seconds: 60)
    #expect(try fixture.refresh("x", refresh).status == 400)
    #expect(try fixture.ledger("x")["kills"]?.integer == 1)
    try fixture.control("oauth", #"{"platform":"x","rotation":"none"}"#)
    let (_, kept) = try connect()
    #expect(try fixture.refresh("x", kept).json["refresh_token"]?.string == kept)
    #expect(try fixture.refresh("x", kept).status == 200)
  }

  @Test func aLostAnswerKillsWhoTriesAgain() throws {
    let (_, refresh) = try connect()
    try fixture.control(
      "faults",
      #"{"match":{"platform":"x","path":"/2/oauth2/token","bodyContains":"refresh_token"},"action":"resetAfterCommit"}"#
    )
    #expect(try fixture.refresh("x", refresh).isReset)
    #expect(try fixture.ledger("x")["refreshes"]?.integer == 1)
    #expect(try fixture.refresh("x", refresh).status == 400)
    #expect(try fixture.ledger("x")["kills"]?.integer == 1)
  }

  @Test func faultsReachTheTokenAddress() throws {
    let (_, refresh) = try connect()
    let match = #""match":{"host":"api.x.com","path":"/2/oauth2/token","account":"alice"}"#
    try fixture.control("faults", "{\(match),\"action\":\"resetBeforeCommit\"}")
    #expect(try fixture.refresh("x", refresh).isReset)
    #expect(try fixture.ledger("x")["refreshes"]?.integer == 0)
    try fixture.control("faults", "{\(match),\"action\":{\"kind\":\"status\",\"code\":503}}")
    #expect(try fixture.refresh("x", refresh).status == 503)
    let page = #"{"kind":"status","code":200,"body":"<html>","contentType":"text/html"}"#
    try fixture.control("faults", "{\(match),\"action\":\(page)}")
    #expect(try fixture.refresh("x", refresh).text == "<html>")
    try fixture.control(
      "faults",
      "{\(match),\"action\":{\"kind\":\"omit\",\"members\":[\"expires_in\",\"refresh_token\"]}}"
    )
    let reply = try fixture.refresh("x", refresh)
    #expect(reply.status == 200)
    #expect(reply.json["expires_in"] == nil)
    #expect(reply.json["refresh_token"] == nil)
    #expect(reply.json["access_token"]?.string?.isEmpty == false)
    #expect(try fixture.ledger("x")["kills"]?.integer == 0)
  }

  @Test func refreshTokensEndToo() throws {
    let (_, refresh) = try connect()
    try fixture.control("tokens", #"{"platform":"x","account":"alice","change":"expireRefresh"}"#)
    #expect(try fixture.refresh("x", refresh).status == 400)
    let family = try fixture.ledger("x")["families"]?.array?.first
    #expect(family?["refusedRefreshes"]?.integer == 1)
    #expect(family?["state"]?.string == "alive")
  }

  @Test func tokensAreTakenBackOneByOne() throws {
    let (access, refresh) = try connect()
    let basic = ("authorization", "Basic \(Base64.encode(Array("demo-x:secret-of-demo-x".utf8)))")
    func revoke(_ token: String) throws -> OAuthFixture.Reply {
      try fixture.ask("POST", "https://api.x.com/2/oauth2/revoke", form: [("token", token)], headers: [basic])
    }
    #expect(try revoke("unknown").status == 400)
    #expect(try revoke(access).json["revoked"]?.bool == true)
    #expect(try me(access).status == 401)
    let next = try fixture.refresh("x", refresh).json
    #expect(try revoke(try #require(next["refresh_token"]?.string)).status == 200)
    #expect(try me(try #require(next["access_token"]?.string)).status == 401)
    #expect(try fixture.ledger("x")["revocations"]?.integer == 2)
  }

  @Test func theLogHoldsNoSecret() throws {
    let (access, refresh) = try connect()
    _ = try fixture.refresh("x", refresh)
    let log = JSONWriter.canonical(try fixture.control("requests"))
    let text = String(decoding: log, as: UTF8.self)
    #expect(text.contains("/2/oauth2/token"))
    #expect(!text.contains(access) && !text.contains(refresh) && !text.contains("secret-of-demo"))
  }
}
