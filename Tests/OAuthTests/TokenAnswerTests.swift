import Cryptography
import OAuth
import PluginManifest
import Testing

/// Answers of the six platforms as their documentation and their users quote them.
@Suite struct TokenAnswerTests {
  private func read(
    _ declaration: OAuthDeclaration,
    _ status: Int,
    _ body: String,
    retryAfter: Duration? = nil,
    step: Int = 0
  ) -> TokenOutcome {
    TokenAnswer.read(
      status: status,
      body: Array(body.utf8),
      retryAfter: retryAfter,
      shape: declaration.exchange[step].answer,
      dead: declaration.dead
    )
  }

  private func grant(_ outcome: TokenOutcome) throws -> TokenGrant {
    guard case .granted(let grant) = outcome else {
      Issue.record("\(outcome)")
      throw Refused()
    }
    return grant
  }

  private struct Refused: Error {}

  private func refusal(_ outcome: TokenOutcome) -> TokenRefusal? {
    if case .refused(let refusal) = outcome { refusal } else { nil }
  }

  private func isAmbiguous(_ outcome: TokenOutcome) -> Bool {
    if case .ambiguous = outcome { true } else { false }
  }

  // MARK: Tokens

  @Test func whatXGives() throws {
    let grant = try grant(
      read(
        try Platforms.x(),
        200,
        #"{"token_type":"bearer","expires_in":7200,"access_token":"A","scope":"tweet.write offline.access","refresh_token":"R"}"#
      )
    )
    #expect(grant.accessToken.revealText() == "A")
    #expect(grant.refreshToken?.revealText() == "R")
    #expect(grant.lifetime == .seconds(7_200))
    #expect(grant.scopes == ["tweet.write", "offline.access"])
  }

  @Test func whatLinkedInGives() throws {
    let grant = try grant(
      read(
        try Platforms.linkedIn(),
        200,
        #"{"access_token":"A","expires_in":5184000,"refresh_token":"R","refresh_token_expires_in":31536000,"scope":"openid,w_member_social"}"#
      )
    )
    #expect(grant.refreshLifetime == .seconds(31_536_000))
    #expect(grant.scopes == ["openid", "w_member_social"])
  }

  @Test func whatMetaGives() throws {
    let facebook = try grant(
      read(try Platforms.facebook(), 200, #"{"access_token":"A","token_type":"bearer","expires_in":5183944}"#)
    )
    #expect(facebook.refreshToken == nil)
    #expect(facebook.scopes == nil)
    // The short token comes in a list, or flat, and the permissions as a text or a list.
    for body in [
      #"{"data":[{"access_token":"A","user_id":"1020","permissions":"instagram_business_basic,b"}]}"#,
      #"{"access_token":"A","user_id":1020,"permissions":["instagram_business_basic","b"]}"#,
    ] {
      let instagram = try grant(read(try Platforms.instagram(), 200, body))
      #expect(instagram.accessToken.revealText() == "A")
      #expect(instagram.scopes == ["instagram_business_basic", "b"])
      #expect(instagram.lifetime == nil)
    }
    // The number of the user is beyond what a double holds.
    let threads = try grant(
      read(try Platforms.threads(), 200, #"{"access_token":"THQ","user_id":17841405793187218}"#)
    )
    #expect(threads.accessToken.revealText() == "THQ")
  }

  @Test func whatTikTokGives() throws {
    let grant = try grant(
      read(
        try Platforms.tiktok(),
        200,
        #"{"access_token":"act.1","expires_in":86400,"open_id":"o","refresh_expires_in":31536000,"refresh_token":"rft.1","scope":"user.info.basic,video.publish","token_type":"Bearer"}"#
      )
    )
    #expect(grant.lifetime == .seconds(86_400))
    #expect(grant.refreshLifetime == .seconds(31_536_000))
    #expect(grant.scopes == ["user.info.basic", "video.publish"])
  }

  @Test(
    arguments: [
      ("0", nil), ("-1", nil), ("999999999999", nil), ("9223372036854775807", nil), (#""7200""#, 7_200),
      (#""soon""#, nil),
      ("1.5", nil), ("null", nil), (#""""#, nil), ("1e400", nil), ("978307200", nil), ("315360000", 315_360_000),
    ] as [(String, Int64?)]
  )
  func lifetimesThatNobodyMeans(text: String, seconds: Int64?) throws {
    let outcome = read(try Platforms.x(), 200, #"{"access_token":"A","expires_in":\#(text)}"#)
    if text == "1e400" {
      // No number of JSON that a host could hold: the answer as a whole is none.
      if case .granted(let grant) = outcome { #expect(grant.lifetime == nil) }
      return
    }
    #expect(try grant(outcome).lifetime == seconds.map { .seconds($0) })
  }

  @Test(arguments: [#""""#, "null", "1", "{}"])
  func anEmptyRefreshTokenIsNone(text: String) throws {
    let new = try grant(read(try Platforms.x(), 200, #"{"access_token":"B","refresh_token":\#(text)}"#))
    #expect(new.refreshToken == nil)
    let old = TokenGrant(accessToken: Secret("A"), refreshToken: Secret("R"), lifetime: .seconds(5), scopes: ["s"])
    let both = old.followed(by: new)
    #expect(both.accessToken.revealText() == "B")
    #expect(both.refreshToken?.revealText() == "R")
    // The old life says nothing of the new token.
    #expect(both.lifetime == nil)
    #expect(both.scopes == ["s"])
  }

  // MARK: Refusals

  @Test func whatIsDead() throws {
    let cases: [(OAuthDeclaration, Int, String)] = [
      (
        try Platforms.x(), 400,
        #"{"error":"invalid_request","error_description":"Value passed for the token was invalid."}"#
      ),
      (
        try Platforms.x(), 400,
        #"{"error":"invalid_grant","error_description":"Value passed for the token was invalid."}"#
      ),
      (
        try Platforms.tiktok(), 200,
        #"{"error":"invalid_grant","error_description":"Refresh token is expired.","log_id":"1"}"#
      ),
      (try Platforms.linkedIn(), 400, #"{"error":"invalid_grant","error_description":"revoked"}"#),
      (
        try Platforms.facebook(), 400,
        #"{"error":{"message":"Session has expired","type":"OAuthException","code":190}}"#
      ),
    ]
    for (declaration, status, body) in cases {
      #expect(refusal(read(declaration, status, body))?.kind == .dead, "\(body)")
    }
  }

  @Test func whatIsTheApplicationsFault() throws {
    for code in ["invalid_client", "unauthorized_client", "unsupported_grant_type"] {
      let refusal = refusal(read(try Platforms.x(), 401, #"{"error":"\#(code)"}"#))
      #expect(refusal == TokenRefusal(kind: .application, code: code, status: 401))
    }
  }

  @Test func whatIsNeitherDeadNorLate() throws {
    let cases: [(OAuthDeclaration, Int, String, String?)] = [
      (try Platforms.x(), 400, #"{"error":"invalid_request","error_description":"Missing"}"#, "invalid_request"),
      (try Platforms.facebook(), 400, #"{"error":{"message":"used","type":"OAuthException","code":100}}"#, "100"),
      (
        try Platforms.instagram(), 400, #"{"error_type":"OAuthException","code":400,"error_message":"used"}"#,
        "OAuthException"
      ),
      (try Platforms.threads(), 200, #"{"error_message":"Invalid Request","error_code":1349245}"#, "1349245"),
      (try Platforms.x(), 403, "<html>no</html>", nil),
      (try Platforms.x(), 400, "", nil),
      (try Platforms.x(), 400, #"{"error":"\#(String(repeating: "x", count: 80))"}"#, "unknown"),
      (try Platforms.x(), 400, #"{"error":"a b"}"#, "unknown"),
      (try Platforms.x(), 200, #"{"access_token":"A","token_type":"mac"}"#, "token_type"),
    ]
    for (declaration, status, body, code) in cases {
      let refusal = refusal(read(declaration, status, body))
      #expect(refusal == TokenRefusal(kind: .other, code: code, status: status), "\(body)")
    }
  }

  @Test func aTokenBesideAnErrorIsNoToken() throws {
    let outcome = read(try Platforms.tiktok(), 200, #"{"access_token":"A","error":"server_error"}"#)
    #expect(refusal(outcome)?.kind == .later(nil))
  }

  @Test func whatMayWorkLater() throws {
    for body in ["", "<html>slow down</html>", #"{"error":"invalid_grant_rate"}"#, #"{"error":{"code":4}}"#] {
      let refusal = refusal(read(try Platforms.x(), 429, body, retryAfter: .seconds(30)))
      #expect(refusal?.kind == .later(.seconds(30)), "\(body)")
    }
    #expect(refusal(read(try Platforms.x(), 400, #"{"error":"temporarily_unavailable"}"#))?.kind == .later(nil))
  }

  @Test func whatSaysNothing() throws {
    let bodies = [
      "", "<html><body>Welcome</body></html>", "null", "[]", "{}", "\u{FEFF}{}", "{\"access_token\":",
      #"{"access_token":""}"#, #"{"access_token":5}"#, #"{"access_token":null}"#, #"{"data":[]}"#,
      #"{"access_token":"\#(String(repeating: "t", count: 9_000))"}"#,
      String(repeating: "[", count: 100) + String(repeating: "]", count: 100),
    ]
    for body in bodies { #expect(isAmbiguous(read(try Platforms.x(), 200, body)), "\(body.prefix(60))") }
    for status in [301, 302, 500, 502, 503, 504] {
      for body in ["", "<html>", #"{"error":"server_error"}"#, #"{"access_token":"A"}"#]
      where status >= 500 || body == "" {
        #expect(isAmbiguous(read(try Platforms.x(), status, body)), "\(status) \(body)")
      }
    }
  }

  /// A refusal goes to logs and people; nothing of the answer but a short code may be in it.
  @Test func secretsOfAnswersStayInside() throws {
    let outcome = read(try Platforms.x(), 200, #"{"access_token":"canary-1","refresh_token":"canary-2"}"#)
    var text = "\(outcome)"
    dump(outcome, to: &text)
    #expect(!text.contains("canary"))
  }
}
