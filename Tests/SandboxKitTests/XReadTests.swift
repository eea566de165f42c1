import Testing

@testable import SandboxKit

@Suite struct XReadTests {
  private let x: XFixture

  init() throws {
    x = try XFixture()
  }

  private func timeline(_ query: String = "", token: String = "alice-token") throws -> XFixture.Answer {
    try x.get("/2/users/\(x.userID)/tweets", query: query, token: token)
  }

  private func texts(_ answer: XFixture.Answer) -> [String] {
    answer.body["data"]?.array?.compactMap { $0["text"]?.string } ?? []
  }

  @Test func pagesThroughATimeline() throws {
    for index in 0..<12 {
      x.now += 1000
      _ = try x.create(text: "post \(index)")
    }
    let first = try timeline("max_results=5")
    #expect(texts(first) == ["post 11", "post 10", "post 9", "post 8", "post 7"])
    #expect(first.body["meta"]?["result_count"]?.integer == 5)
    let token = first.body["meta"]?["next_token"]?.string ?? ""
    let second = try timeline("max_results=5&pagination_token=\(token)")
    #expect(texts(second).first == "post 6")
    let last = second.body["meta"]?["next_token"]?.string ?? ""
    let third = try timeline("max_results=5&pagination_token=\(last)")
    #expect(texts(third) == ["post 1", "post 0"])
    #expect(third.body["meta"]?["next_token"] == nil)
    #expect(texts(try timeline()).count == 10)
  }

  @Test func filtersByTimeAndKind() throws {
    let first = try x.create(text: "first")
    x.now += 10_000
    _ = try x.create(#"{"text":"reply","reply":{"in_reply_to_tweet_id":"\#(first.id)"}}"#)
    x.now += 10_000
    _ = try x.create(text: "last")
    #expect(texts(try timeline("exclude=replies,retweets")) == ["last", "first"])
    #expect(texts(try timeline("start_time=2026-01-02T03:04:15Z")) == ["last", "reply"])
    #expect(texts(try timeline("start_time=2026-01-02T03:04:15.001Z")) == ["last"])
    #expect(texts(try timeline("end_time=2026-01-02T03:04:15Z")) == ["first"])
    #expect(texts(try timeline("since_id=\(first.id)")) == ["last", "reply"])
    #expect(texts(try timeline("until_id=\(first.id)")).isEmpty)
  }

  @Test func showsNewPostsOnlyAfterTheLag() throws {
    x.listLag = 3000
    let post = try x.create(text: "late")
    #expect(texts(try timeline()).isEmpty)
    #expect(try timeline().body["meta"]?["result_count"]?.integer == 0)
    // By its id the post is there at once.
    #expect(try x.get("/2/tweets", query: "ids=\(post.id)").body["data"]?.array?.count == 1)
    x.now += 2999
    #expect(texts(try timeline()).isEmpty)
    x.now += 1
    #expect(texts(try timeline()) == ["late"])
  }

  @Test func escapesTextsAsThePlatformDoes() throws {
    let answer = try x.create(text: "a < b & c > d https://example.com/?a=1&b=2")
    let text = answer.body["data"]?["text"]?.string ?? ""
    #expect(text.hasPrefix("a &lt; b &amp; c &gt; d https://t.co/"))
    let post = try timeline("tweet.fields=entities").body["data"]?.array?.first
    let link = post?["entities"]?["urls"]?.array?.first
    #expect(link?["expanded_url"]?.string == "https://example.com/?a=1&b=2")
    let start = try #require(link?["start"]?.integer)
    #expect(text.dropFirst(start).hasPrefix("https://t.co/"))
  }

  @Test func showsLongPostsInANote() throws {
    try x.account("alice") { $0.subscription = .premium }
    let long = String(repeating: "x", count: 272) + "&" + String(repeating: "y", count: 50) + " https://a.de"
    _ = try x.create(text: long)
    let post = try timeline("tweet.fields=entities,note_tweet").body["data"]?.array?.first
    #expect(post?["text"]?.string == String(repeating: "x", count: 272) + "…")
    #expect(post?["entities"] == nil)
    let note = post?["note_tweet"]?["text"]?.string ?? ""
    #expect(note.hasPrefix(String(repeating: "x", count: 272) + "&amp;yyy"))
    #expect(post?["note_tweet"]?["entities"]?["urls"]?.array?.count == 1)
    #expect(try timeline().body["data"]?.array?.first?["note_tweet"] == nil)
  }

  @Test func showsForeignTimelinesAndHidesDeletedPosts() throws {
    let post = try x.create(text: "one")
    _ = try x.create(text: "two")
    #expect(texts(try timeline(token: "bob-token")).count == 2)
    _ = try x.delete("/2/tweets/\(post.id)")
    #expect(texts(try timeline()) == ["two"])
  }

  @Test(arguments: [
    "max_results=4", "max_results=101", "max_results=x", "start_time=yesterday", "exclude=all", "pagination_token=abc",
    "tweet.fields=bogus", "expansions=bogus", "media.fields=bogus", "bogus=1", "max_results=5&max_results=6",
    "since_id=x", "start_time=%zz",
  ])
  func refusesWrongQueries(query: String) throws {
    #expect(try timeline(query).status == 400)
  }

  @Test func answersPartlyForUnknownIDs() throws {
    let post = try x.create(text: "one")
    let both = try x.get("/2/tweets", query: "ids=\(post.id),99")
    #expect(both.status == 200)
    #expect(both.body["data"]?.array?.count == 1)
    #expect(both.body["errors"]?.array?.first?["resource_id"]?.string == "99")
    let none = try x.get("/2/tweets", query: "ids=98")
    #expect(none.status == 200)
    #expect(none.body["data"] == nil)
    let single = try x.get("/2/tweets/97")
    #expect(single.status == 200)
    #expect(single.body["errors"]?.array?.count == 1)
    let user = try x.get("/2/users/96/tweets")
    #expect(user.status == 200)
    #expect(user.body["data"] == nil)
    #expect(user.body["errors"]?.array?.first?["resource_type"]?.string == "user")
    #expect(try x.get("/2/tweets").status == 400)
    #expect(try x.get("/2/tweets", query: "ids=a").status == 400)
    let many = (1...101).map(String.init).joined(separator: ",")
    #expect(try x.get("/2/tweets", query: "ids=\(many)").status == 400)
  }

  @Test func tellsWhoIAm() throws {
    let answer = try x.get(
      "/2/users/me",
      query: "user.fields=id,name,username,profile_image_url,verified,verified_type,subscription_type"
    )
    #expect(answer.body["data"]?["username"]?.string == "alice")
    #expect(answer.body["data"]?["subscription_type"]?.string == "None")
    #expect(answer.header("x-rate-limit-limit") == "75")
    #expect(try x.get("/2/users/me", query: "user.fields=bogus").status == 400)
    #expect(try x.get("/2/users/me", token: nil).status == 401)
  }

  @Test func keepsTheIDOfAnAccountOverRestarts() throws {
    #expect(try XFixture().userID == x.userID)
  }

  @Test(arguments: [("GET", "/2/bogus"), ("PUT", "/2/tweets"), ("GET", "/2/users/1/likes")])
  func knowsNoOtherRoutes(method: String, path: String) throws {
    let answer = try x.send(HTTPRequest(method: method, path: path))
    #expect(answer.status == 404)
    #expect(answer.header("content-type") == "application/problem+json")
  }
}
