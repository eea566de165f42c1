import Testing

@testable import SandboxKit

@Suite struct TikTokOAuthTests {
  private static let scopes = ["user.info.basic", "user.info.profile", "video.publish"]
  private static let info = "https://open.tiktokapis.com/v2/user/info/"
  private let fixture: OAuthFixture

  init() throws {
    fixture = try OAuthFixture()
  }

  private func connect(granted: [String]? = nil) throws -> JSON {
    try fixture.exchange("tiktok", code: try fixture.code("tiktok", scopes: Self.scopes, granted: granted)).json
  }

  @Test func theCodeComesWithWhatWasGranted() throws {
    let reply = try fixture.consent("tiktok", scopes: Self.scopes, granted: ["video.publish"])
    #expect(reply.sent("scopes") == "user.info.basic,video.publish")
    let unknown = try fixture.consent("tiktok", scopes: ["user.info.basic", "other"])
    #expect(unknown.sent("error") == "invalid_scope")
  }

  @Test func theClientKeyHasItsOwnName() throws {
    let address = try #require(OAuthFixture.authorize["tiktok"])
    let query = OAuthFixture.wish(
      "tiktok",
      scopes: Self.scopes,
      changes: ["client_key": nil, "client_id": "demo-tiktok"]
    )
    #expect(try fixture.ask("GET", address, query: query).status == 400)
    let code = try fixture.code("tiktok", scopes: Self.scopes)
    let wrong = try fixture.exchange("tiktok", code: code, changes: ["client_key": nil, "client_id": "demo-tiktok"])
    #expect(wrong.status == 200)
    #expect(wrong.json["error"]?.string == "invalid_request")
    #expect(wrong.json["access_token"] == nil)
  }

  @Test func tokensHaveTheirForms() throws {
    let json = try connect()
    #expect(json["access_token"]?.string?.hasPrefix("act.") == true)
    #expect(json["refresh_token"]?.string?.hasPrefix("rft.") == true)
    #expect(json["expires_in"]?.integer == 7200)
    #expect(json["refresh_expires_in"]?.integer == 15_552_000)
    #expect(json["open_id"]?.string?.utf8.count == 36)
    #expect(json["scope"]?.string == Self.scopes.joined(separator: ","))
  }

  @Test func errorsAreFlatAndComeWith200() throws {
    let reply = try fixture.exchange("tiktok", code: "other")
    #expect(reply.status == 200)
    #expect(reply.json["error"]?.string == "invalid_grant")
    #expect(reply.json["log_id"]?.string?.isEmpty == false)
    let code = try fixture.code("tiktok", scopes: Self.scopes)
    let wrong = try fixture.exchange("tiktok", code: code, changes: ["client_secret": "wrong"])
    #expect(wrong.json["error"]?.string == "invalid_client")
  }

  @Test func aRefreshTokenWorksOnce() throws {
    let refresh = try #require(try connect()["refresh_token"]?.string)
    let next = try fixture.refresh("tiktok", refresh).json
    #expect(next["refresh_token"]?.string != refresh)
    #expect(next["refresh_expires_in"]?.integer == 15_552_000)
    let replay = try fixture.refresh("tiktok", refresh)
    #expect(replay.status == 200)
    #expect(replay.json["error"]?.string == "invalid_grant")
    let token = try #require(next["access_token"]?.string)
    #expect(try fixture.get(Self.info, token: token, query: [("fields", "open_id")]).status == 401)
    #expect(try fixture.ledger("tiktok")["kills"]?.integer == 1)
  }

  @Test func tokensBelongToTheirApp() throws {
    try fixture.control("apps", #"{"platform":"tiktok","clientId":"other","secret":"of-other"}"#)
    let refresh = try #require(try connect()["refresh_token"]?.string)
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh)]
    let other = ["client_key": "other", "client_secret": "of-other"]
    #expect(try fixture.tokens("tiktok", fields, changes: other).json["error"]?.string == "invalid_grant")
    #expect(try fixture.refresh("tiktok", refresh).json["error"] == nil)
  }

  @Test func theProofIsHexadecimal() throws {
    let digest = SHA256.digest(Array(OAuthFixture.verifier.utf8))
    let changes = ["code_challenge": Hexadecimal.string(digest), "code_challenge_method": "S256"]
    let reply = try fixture.consent("tiktok", scopes: Self.scopes, changes: changes)
    let code = try #require(reply.sent("code"))
    #expect(try fixture.exchange("tiktok", code: code).json["error"]?.string == "invalid_request")
    let wrong = try fixture.exchange(
      "tiktok",
      code: code,
      changes: ["code_verifier": String(repeating: "a", count: 43)]
    )
    #expect(wrong.json["error"]?.string == "invalid_grant")
    let right = try fixture.exchange("tiktok", code: code, changes: ["code_verifier": OAuthFixture.verifier])
    #expect(right.json["access_token"] != nil)
    let base64 = ["code_challenge": Base64.encodeURL(digest), "code_challenge_method": "S256"]
    #expect(try fixture.consent("tiktok", scopes: Self.scopes, changes: base64).status == 400)
  }

  @Test func tellsWhoSomebodyIs() throws {
    let json = try connect(granted: ["video.publish"])
    let token = try #require(json["access_token"]?.string)
    let user = try fixture.get(Self.info, token: token, query: [("fields", "open_id,display_name")]).json
    #expect(user["data"]?["user"]?["open_id"]?.string == json["open_id"]?.string)
    #expect(user["data"]?["user"]?["display_name"]?.string == "Alice Adams")
    #expect(user["error"]?["code"]?.string == "ok")
    let missing = try fixture.get(Self.info, token: token, query: [("fields", "open_id,username")])
    #expect(missing.status == 401)
    #expect(missing.json["error"]?["code"]?.string == "scope_not_authorized")
    #expect(try fixture.get(Self.info, token: token).status == 400)
    #expect(try fixture.get(Self.info, token: token, query: [("fields", "shoe_size")]).status == 400)
    let nobody = try fixture.get(Self.info, query: [("fields", "open_id")])
    #expect(nobody.json["error"]?["code"]?.string == "access_token_invalid")
    // The slash at the end is part of the address.
    let bare = "https://open.tiktokapis.com/v2/user/info"
    #expect(try fixture.get(bare, token: token, query: [("fields", "open_id")]).status == 404)
  }

  @Test func takingBackEndsEverything() throws {
    let json = try connect()
    let token = try #require(json["access_token"]?.string)
    let form = [
      ("client_key", "demo-tiktok"), ("client_secret", "secret-of-demo-tiktok"), ("token", token),
    ]
    let reply = try fixture.ask("POST", "https://open.tiktokapis.com/v2/oauth/revoke/", form: form)
    #expect(reply.status == 200)
    #expect(reply.body.isEmpty)
    #expect(try fixture.get(Self.info, token: token, query: [("fields", "open_id")]).status == 401)
    let refresh = try #require(json["refresh_token"]?.string)
    #expect(try fixture.refresh("tiktok", refresh).json["error"]?.string == "invalid_grant")
  }
}
