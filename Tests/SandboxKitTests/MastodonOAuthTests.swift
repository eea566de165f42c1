import Testing

@testable import SandboxKit

@Suite struct MastodonOAuthTests {
  private static let base = "https://mastodon.example"
  private let fixture: OAuthFixture

  init() throws {
    fixture = try OAuthFixture()
    try fixture.control("accounts", #"{"platform":"mastodon","username":"alice","name":"Alice Adams"}"#)
  }

  private func register(_ scopes: String = "profile write:statuses") throws -> (id: String, secret: String) {
    let form = [("client_name", "Rostrum"), ("redirect_uris", OAuthFixture.redirect), ("scopes", scopes)]
    let json = try fixture.ask("POST", "\(Self.base)/api/v1/apps", form: form).json
    return (try #require(json["client_id"]?.string), try #require(json["client_secret"]?.string))
  }

  private func consent(_ id: String, _ scopes: String, changes: [String: String] = [:]) throws -> OAuthFixture.Reply {
    var query = [
      "response_type": "code", "client_id": id, "redirect_uri": OAuthFixture.redirect, "scope": scopes, "state": "s",
    ]
    query.merge(changes) { $1 }
    return try fixture.ask(
      "POST",
      "\(Self.base)/oauth/authorize",
      query: query.sorted { $0.key < $1.key }.map { ($0.key, $0.value) },
      form: [("account", "alice"), ("decision", "allow")] + scopes.split(separator: " ").map { ("scope", String($0)) }
    )
  }

  private func exchange(_ app: (id: String, secret: String), _ code: String, verifier: String? = nil) throws -> JSON {
    var form = [
      ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", OAuthFixture.redirect),
      ("client_id", app.id), ("client_secret", app.secret),
    ]
    if let verifier { form.append(("code_verifier", verifier)) }
    return try fixture.ask("POST", "\(Self.base)/oauth/token", form: form).json
  }

  private func me(_ token: String) throws -> OAuthFixture.Reply {
    try fixture.get("\(Self.base)/api/v1/accounts/verify_credentials", token: token)
  }

  @Test func appsRegisterThemselves() throws {
    let app = try register()
    let code = try #require(try consent(app.id, "profile").sent("code"))
    let json = try exchange(app, code)
    #expect(json["token_type"]?.string == "Bearer")
    #expect(json["expires_in"] == nil)
    #expect(json["refresh_token"] == nil)
    let token = try #require(json["access_token"]?.string)
    try fixture.advance(seconds: 1_000_000_000)
    #expect(try me(token).json["acct"]?.string == "alice")
    #expect(try exchange(app, code)["error"]?.string == "invalid_grant")
  }

  @Test func nobodyAsksForMoreThanWasRegistered() throws {
    let app = try register()
    #expect(try consent(app.id, "profile write:media").sent("error") == "invalid_scope")
    let form = [("client_name", "Rostrum"), ("redirect_uris", OAuthFixture.redirect), ("scopes", "everything")]
    #expect(try fixture.ask("POST", "\(Self.base)/api/v1/apps", form: form).status == 422)
    let relative = [("client_name", "Rostrum"), ("redirect_uris", "callback")]
    #expect(try fixture.ask("POST", "\(Self.base)/api/v1/apps", form: relative).status == 422)
  }

  @Test func anotherConsentGivesTheSameToken() throws {
    let app = try register()
    func connect(_ scopes: String) throws -> String {
      let code = try #require(try consent(app.id, scopes).sent("code"))
      return try #require(try exchange(app, code)["access_token"]?.string)
    }
    let first = try connect("profile")
    #expect(try connect("profile") == first)
    let other = try connect("profile write:statuses")
    #expect(other != first)
    // So that taking back one connection ends the other.
    let form = [("client_id", app.id), ("client_secret", app.secret), ("token", first)]
    #expect(try fixture.ask("POST", "\(Self.base)/oauth/revoke", form: form).status == 200)
    #expect(try me(first).json["error"]?.string == "The access token was revoked")
    #expect(try me(other).status == 200)
    #expect(try connect("profile") != first)
  }

  @Test func theProofIsS256WhereItIsSent() throws {
    let app = try register()
    let challenge = Base64.encodeURL(SHA256.digest(Array(OAuthFixture.verifier.utf8)))
    let proof = ["code_challenge": challenge, "code_challenge_method": "S256"]
    let code = try #require(try consent(app.id, "profile", changes: proof).sent("code"))
    #expect(try exchange(app, code)["error"]?.string == "invalid_request")
    #expect(try exchange(app, code, verifier: OAuthFixture.verifier)["access_token"] != nil)
    let plain = ["code_challenge": OAuthFixture.verifier, "code_challenge_method": "plain"]
    #expect(try consent(app.id, "profile", changes: plain).status == 400)
  }

  @Test func errorsHaveThePlatformsWords() throws {
    let app = try register("write:statuses")
    let code = try #require(try consent(app.id, "write:statuses").sent("code"))
    #expect(try exchange((app.id, "wrong"), code)["error"]?.string == "invalid_client")
    let token = try #require(try exchange(app, code)["access_token"]?.string)
    #expect(try me(token).status == 403)
    #expect(try me("other").json["error"]?.string == "The access token is invalid")
    let other = try register()
    let form = [("client_id", other.id), ("client_secret", other.secret), ("token", token)]
    #expect(try fixture.ask("POST", "\(Self.base)/oauth/revoke", form: form).status == 403)
  }

  @Test func theServerTellsWhatItIs() throws {
    let metadata = try fixture.get("\(Self.base)/.well-known/oauth-authorization-server").json
    #expect(metadata["token_endpoint"]?.string == "\(Self.base)/oauth/token")
    #expect(try fixture.get("\(Self.base)/api/v2/instance").json["domain"]?.string == "mastodon.example")
  }
}
