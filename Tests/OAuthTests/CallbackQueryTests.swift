import OAuth
import Testing

@Suite struct CallbackQueryTests {
  private typealias Pairs = [(String, String)]

  @Test func aCode() throws {
    let query = try CallbackQuery([("code", "c"), ("state", "s")])
    #expect(query.state == "s")
    #expect(query.result == .code("c"))
    #expect(query.issuer == nil && query.scope == nil)
    // TikTok names what was allowed, Google more than anybody asked for.
    let more = try CallbackQuery([
      ("state", "s"), ("code", "c"), ("scopes", "user.info.basic,video.publish"), ("iss", "https://a.example"),
      ("authuser", "0"), ("prompt", "consent"),
    ])
    #expect(more.scope == "user.info.basic,video.publish")
    #expect(more.issuer == "https://a.example")
  }

  private static let denials: [[(String, String)]] = [
    [("error", "access_denied"), ("state", "s")],
    [("error", "user_cancelled_login"), ("error_description", "<b>no</b>"), ("state", "s")],
    [("error", "user_cancelled_authorize"), ("state", "s")],
    [("error", "access_denied"), ("error_reason", "user_denied"), ("error_description", "d"), ("state", "s")],
    [("error", "server_error"), ("error_reason", "user_denied"), ("state", "s")],
  ]

  @Test(arguments: denials.indices) func thePersonSaidNo(index: Int) throws {
    #expect(try CallbackQuery(Self.denials[index]).result == .denied)
  }

  @Test(arguments: [
    ("unauthorized_scope_error", "unauthorized_scope_error"), ("invalid_scope", "invalid_scope"),
    ("<script>", "unknown"), ("", "unknown"), ("a b", "unknown"), (String(repeating: "a", count: 61), "unknown"),
  ])
  func thePlatformFailed(error: String, word: String) throws {
    #expect(try CallbackQuery([("error", error), ("state", "s")]).result == .failed(word))
  }

  private static let bad: [(pairs: [(String, String)], problem: CallbackQuery.Problem)] = [
    ([], .missing("state")),
    ([("code", "c")], .missing("state")),
    ([("code", "c"), ("state", "")], .missing("state")),
    ([("state", "s")], .missing("code")),
    ([("state", "s"), ("code", "")], .missing("code")),
    ([("state", "s"), ("state", "s"), ("code", "c")], .repeated("state")),
    ([("state", "s"), ("code", "c"), ("code", "d")], .repeated("code")),
    ([("state", "s"), ("code", "c"), ("iss", "a"), ("iss", "a")], .repeated("iss")),
    ([("state", "s"), ("code", "c"), ("x", ""), ("x", "")], .repeated("x")),
    ([("state", "s"), ("code", "c"), ("error", "access_denied")], .unexpected("code")),
    ([("state", "s"), ("access_token", "t")], .unexpected("access_token")),
    ([("state", "s"), ("code", "c"), ("id_token", "t")], .unexpected("id_token")),
    ([("state", "s"), ("response", "jwt")], .unexpected("response")),
    ([("state", "s"), ("code", String(repeating: "c", count: 4_097))], .tooLong("code")),
  ]

  @Test(arguments: bad.indices) func whatIsNoCallback(index: Int) {
    let (pairs, problem) = Self.bad[index]
    #expect(throws: problem) { try CallbackQuery(pairs) }
  }
}
