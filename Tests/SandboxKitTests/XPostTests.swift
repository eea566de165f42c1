import Testing

@testable import SandboxKit

@Suite struct XPostTests {
  private let x: XFixture

  init() throws {
    x = try XFixture()
  }

  @Test func publishesAndShowsShortLinks() throws {
    let answer = try x.create(text: "See https://example.com/a?b=c and example.org")
    #expect(answer.status == 201)
    let text = answer.body["data"]?["text"]?.string ?? ""
    #expect(text.hasPrefix("See https://t.co/"))
    #expect(!text.contains("example"))
    #expect(text.count == 4 + 23 + 5 + 23)
    #expect(answer.body["data"]?["edit_history_tweet_ids"] == .array([.string(answer.id)]))
    let shown = try x.get("/2/tweets", query: "ids=\(answer.id)&tweet.fields=entities,created_at")
    let post = shown.body["data"]?.array?.first
    let links = post?["entities"]?["urls"]?.array ?? []
    #expect(links.compactMap { $0["expanded_url"]?.string } == ["https://example.com/a?b=c", "http://example.org"])
    #expect(links.first?["start"]?.integer == 4)
    #expect(links.first?["end"]?.integer == 27)
    #expect(post?["created_at"]?.string == "2026-01-02T03:04:05.000Z")
  }

  // MARK: Tokens

  @Test func refusesMissingForeignAndExpiredTokens() throws {
    try x.account("carol") { $0.tokens[0].lifetimeMs = 1000 }
    for token in [nil, "wrong", ""] {
      let answer = try x.create(#"{"text":"a"}"#, token: token)
      #expect(answer.status == 401)
      #expect(answer.detail == "Unauthorized")
      #expect(answer.header("x-rate-limit-limit") == "100")
    }
    #expect(try x.create(text: "a", token: "carol-token").status == 201)
    x.now += 1000
    #expect(try x.create(text: "b", token: "carol-token").status == 401)
  }

  @Test func refusesOtherSchemes() throws {
    let header = HTTPRequest.Header(name: "authorization", value: "Basic alice-token")
    #expect(try x.send(HTTPRequest(method: "GET", path: "/2/users/me", headers: [header])).status == 401)
  }

  @Test func refusesAppTokensForUsers() throws {
    try x.account("robot") { $0.tokens[0].kind = .app }
    let answer = try x.create(text: "a", token: "robot-token")
    #expect(answer.status == 403)
    #expect(answer.body["title"]?.string == "Unsupported Authentication")
    #expect(answer.body["type"]?.string?.hasSuffix("/unsupported-authentication") == true)
    #expect(try x.get("/2/users/\(x.userID)/tweets", token: "robot-token").status == 200)
  }

  @Test(arguments: [
    ("tweet.read", false), ("tweet.write", false), ("users.read", false), ("media.write", true),
    ("offline.access", true),
  ])
  func needsEachScope(missing: String, isEnough: Bool) throws {
    try x.account("carol") { order in
      if let scope = XScopes.named(missing) { order.tokens[0].scopes.remove(scope) }
    }
    let answer = try x.create(text: "a", token: "carol-token")
    #expect(answer.status == (isEnough ? 201 : 403))
    if !isEnough { #expect(answer.detail == "You are not permitted to perform this action.") }
    let upload = try x.multipart(
      "/2/media/upload",
      [("media", XFixture.png), ("media_category", Array("tweet_image".utf8))],
      token: "carol-token"
    )
    #expect(upload.status == (missing == "media.write" ? 403 : 200))
  }

  @Test func refusesSuspendedAccounts() throws {
    try x.account("alice") { $0.isSuspended = true }
    #expect(try x.create(text: "a").detail == "You are not permitted to perform this action.")
  }

  // MARK: Schema

  @Test(arguments: [
    (#"{"text":"a","bogus":1}"#, "bogus"), (#"{"text":"a","reply":{"x":1}}"#, "reply.x"),
    (#"{"text":"a","media":{"ids":[]}}"#, "media.ids"), (#"{"text":"a","geo":{"x":""}}"#, "geo.x"),
    (#"{"text":"a","poll":{"x":1}}"#, "poll.x"), (#"{"text":"a","edit_options":{"x":1}}"#, "edit_options.x"),
  ])
  func refusesUnknownFields(json: String, field: String) throws {
    let answer = try x.create(json)
    #expect(answer.status == 400)
    #expect(answer.message?.hasPrefix("$.\(field): is not defined in the schema") == true)
    #expect(answer.body["type"]?.string?.hasSuffix("/invalid-request") == true)
    #expect(answer.header("content-type") == "application/problem+json")
  }

  @Test(arguments: [
    "{}", #"{"text":""}"#, #"{"text":"  \n"}"#, #"{"text":1}"#, #"{"text":null}"#, "[]", "", "{", #"{"text":"a"}x"#,
    #"{"text":"a","text":"b"}"#, #"{"text":"a","nullcast":"yes"}"#, #"{"text":"a","reply_settings":"nobody"}"#,
    #"{"text":"a","quote_tweet_id":1}"#, #"{"text":"a","quote_tweet_id":"x"}"#,
    #"{"text":"a","reply":{}}"#, #"{"text":"a","reply":{"in_reply_to_tweet_id":"12345678901234567890"}}"#,
    #"{"text":"a","media":{}}"#, #"{"text":"a","media":{"media_ids":[]}}"#, #"{"media":{"media_ids":["1","1"]}}"#,
    #"{"media":{"media_ids":["1","2","3","4","5"]}}"#, #"{"text":"a","community_id":"c"}"#,
    #"{"text":"a","media":{"media_ids":["1"],"tagged_user_ids":["1","2","3","4","5","6","7","8","9","10","11"]}}"#,
  ])
  func refusesBodiesOutsideTheSchema(json: String) throws {
    let answer = try x.create(json)
    #expect(answer.status == 400)
    #expect(answer.body["title"]?.string == "Invalid Request")
  }

  @Test func refusesOtherContentTypes() throws {
    let headers: [HTTPRequest.Header] = [
      .init(name: "authorization", value: "Bearer alice-token"), .init(name: "content-type", value: "text/plain"),
    ]
    let request = HTTPRequest(method: "POST", path: "/2/tweets", headers: headers, body: Array(#"{"text":"a"}"#.utf8))
    #expect(try x.send(request).status == 415)
  }

  // MARK: Text

  @Test func boundsTheWeightedLength() throws {
    #expect(try x.create(text: String(repeating: "a", count: 280)).status == 201)
    let long = try x.create(text: String(repeating: "b", count: 281))
    #expect(long.status == 400)
    #expect(long.message?.hasPrefix("Your Tweet text is too long.") == true)
    #expect(try x.create(text: String(repeating: "日", count: 140)).status == 201)
    #expect(try x.create(text: String(repeating: "日", count: 141)).status == 400)
    let link = "https://example.com/" + String(repeating: "x", count: 400)
    #expect(try x.create(text: String(repeating: "c", count: 256) + " " + link).status == 201)
    #expect(try x.create(text: String(repeating: "d", count: 257) + " " + link).status == 400)
  }

  @Test(arguments: [
    (XAccount.Subscription.basic, 280), (.premium, 25_000), (.premiumPlus, 25_000),
  ])
  func allowsLongTextsToPremium(subscription: XAccount.Subscription, limit: Int) throws {
    try x.account("alice") { $0.subscription = subscription }
    #expect(try x.create(text: String(repeating: "a", count: limit)).status == 201)
    #expect(try x.create(text: String(repeating: "b", count: limit + 1)).status == 400)
    let me = try x.get("/2/users/me", query: "user.fields=subscription_type")
    #expect(me.body["data"]?["subscription_type"]?.string == subscription.rawValue)
  }

  @Test func allowsOneCashtag() throws {
    #expect(try x.create(text: "$AAPL is up").status == 201)
    #expect(try x.create(text: "$AAPL and $TSLA").status == 400)
  }

  @Test(arguments: [
    (#"{"options":["a","b"],"duration_minutes":5}"#, 201), (#"{"options":["a"],"duration_minutes":5}"#, 400),
    (#"{"options":["a","b","c","d","e"],"duration_minutes":5}"#, 400),
    (#"{"options":["a",""],"duration_minutes":5}"#, 400),
    (#"{"options":["a","bbbbbbbbbbbbbbbbbbbbbbbbbb"],"duration_minutes":5}"#, 400),
    (#"{"options":["a","b"],"duration_minutes":4}"#, 400), (#"{"options":["a","b"],"duration_minutes":10081}"#, 400),
    (#"{"options":["a","b"]}"#, 400), (#"{"duration_minutes":5}"#, 400),
  ])
  func boundsPolls(poll: String, status: Int) throws {
    #expect(try x.create(#"{"text":"a","poll":\#(poll)}"#).status == status)
  }

  @Test func refusesMediaBesidesAPollOrAQuote() throws {
    let media = try x.upload()
    let poll = #""poll":{"options":["a","b"],"duration_minutes":5}"#
    #expect(try x.create(#"{"text":"a","media":{"media_ids":["\#(media)"]},\#(poll)}"#).status == 400)
    #expect(
      try x.create(#"{"text":"a","media":{"media_ids":["\#(media)"]},"quote_tweet_id":"1"}"#).message?
        .contains("mutually exclusive") == true
    )
  }

  // MARK: Conversation

  @Test func refusesDuplicates() throws {
    let first = try x.create(text: "same")
    let again = try x.create(text: "same")
    #expect(again.status == 403)
    #expect(again.detail == "You are not allowed to create a Tweet with duplicate content.")
    #expect(again.body["type"]?.string == "about:blank")
    #expect(try x.create(text: "same", token: "bob-token").status == 201)
    // What is deleted is not a duplicate, and neither is what is old.
    #expect(try x.delete("/2/tweets/\(first.id)").status == 200)
    #expect(try x.create(text: "same").status == 201)
    x.now += Int64(x.settings.duplicateWindowMs)
    #expect(try x.create(text: "same").status == 201)
    x.settings.duplicateWindowMs = 0
    #expect(try x.create(text: "same").status == 201)
  }

  @Test func allowsRepliesToOwnPostsAndSummonedOnes() throws {
    let own = try x.create(text: "one")
    func reply(_ id: String, _ text: String) throws -> XFixture.Answer {
      try x.create(#"{"text":"\#(text)","reply":{"in_reply_to_tweet_id":"\#(id)"}}"#)
    }
    #expect(try reply(own.id, "two").status == 201)
    let foreign = try x.create(text: "from bob", token: "bob-token")
    let refused = try reply(foreign.id, "hello")
    #expect(refused.status == 403)
    #expect(refused.detail?.hasPrefix("Reply to this conversation is not allowed") == true)
    let summons = try x.create(text: "what do you think, @Alice?", token: "bob-token")
    #expect(try reply(summons.id, "hello").status == 201)
    #expect(try reply("1", "nobody").message == "Your reply tweet ID is invalid.")
    _ = try x.delete("/2/tweets/\(own.id)")
    #expect(try reply(own.id, "gone").message == "Your reply tweet ID is invalid.")
  }

  @Test func refusesQuotes() throws {
    let own = try x.create(text: "one")
    let quote = try x.create(#"{"text":"look","quote_tweet_id":"\#(own.id)"}"#)
    #expect(quote.status == 403)
    #expect(quote.detail?.hasPrefix("Quoting this post is not allowed") == true)
    #expect(try x.create(#"{"text":"look","quote_tweet_id":"7"}"#).message == "Your quote tweet ID is invalid.")
  }

  @Test func refusesEdits() throws {
    let own = try x.create(text: "one")
    let json = #"{"text":"two","edit_options":{"previous_post_id":"\#(own.id)"}}"#
    #expect(try x.create(json).status == 403)
    try x.account("alice") { $0.subscription = .premium }
    #expect(try x.create(json).status == 400)
  }

  @Test func deletesOnlyOwnPosts() throws {
    let post = try x.create(text: "one")
    #expect(try x.delete("/2/tweets/\(post.id)", token: "bob-token").status == 403)
    let deleted = try x.delete("/2/tweets/\(post.id)")
    #expect(deleted.body["data"]?["deleted"] == .bool(true))
    for id in [post.id, "123"] {
      let missing = try x.delete("/2/tweets/\(id)")
      #expect(missing.status == 404)
      #expect(missing.body["type"]?.string?.hasSuffix("/resource-not-found") == true)
    }
    #expect(try x.delete("/2/tweets/x").status == 400)
  }

  // MARK: Money and limits

  @Test func takesCredits() throws {
    try x.account("alice") { $0.credits = 30_000 }
    #expect(try x.create(text: "one").status == 201)
    // A post with a link costs more than is left, a plain one exactly what is left.
    #expect(try x.create(text: "two https://a.de").status == 402)
    #expect(try x.create(text: "three").status == 201)
    let refused = try x.create(text: "four")
    #expect(refused.status == 402)
    #expect(refused.body["title"]?.string == "CreditsDepleted")
    #expect(refused.body["status"] == nil)
    #expect(refused.detail?.hasPrefix("Your enrolled account [\(x.userID)]") == true)
    #expect(try x.get("/2/users/me").status == 402)
  }

  @Test func refusesThe101stPostOfAWindow() throws {
    for index in 1...100 {
      let answer = try x.create(text: "post \(index)")
      #expect(answer.status == 201)
      #expect(answer.header("x-rate-limit-remaining") == String(100 - index))
    }
    let refused = try x.create(text: "one too many")
    #expect(refused.status == 429)
    #expect(refused.body["title"]?.string == "Too Many Requests")
    #expect(refused.body["status"]?.integer == 429)
    #expect(refused.header("x-rate-limit-limit") == "100")
    #expect(refused.header("x-rate-limit-remaining") == "0")
    #expect(refused.header("x-rate-limit-reset") == String(x.now / 1000 + 900))
    #expect(try x.create(text: "bob is free", token: "bob-token").status == 201)
    x.now += 899_999
    #expect(try x.create(text: "still").status == 429)
    x.now += 1
    #expect(try x.create(text: "again").status == 201)
  }

  @Test func countsTheDayToo() throws {
    x.settings.rateLimitFactor = 25
    for index in 1...2500 { #expect(try x.create(text: "post \(index)").status == 201) }
    x.settings.rateLimitFactor = 1
    x.now += 900_000
    let refused = try x.create(text: "beyond the day")
    #expect(refused.status == 429)
    #expect(refused.header("x-rate-limit-remaining") == "99")
    #expect(refused.header("x-user-limit-24hour-remaining") == "0")
    #expect(refused.header("x-user-limit-24hour-limit") == "2400")
    #expect(refused.header("x-app-limit-24hour-limit") == "10000")
  }

  @Test func liftsLimitsForLoadTests() throws {
    x.settings = .unlimited
    for index in 1...150 { #expect(try x.create(text: "post \(index)").status == 201) }
    #expect(try x.get("/2/users/me").header("x-rate-limit-limit") == "1000000")
    #expect(try x.create(text: "post 1").status == 403)
  }
}
