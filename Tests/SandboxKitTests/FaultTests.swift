import Testing

@testable import SandboxKit

/// Faults over real sockets: what the client sees, and what happened all the same.
@Suite struct FaultTests {
  private let fixture: SandboxFixture

  init() throws {
    fixture = try SandboxFixture()
  }

  /// Sends a post whose connection is expected to end without an answer.
  private func sendAndWaitForEnd(_ text: String) throws -> RawClient.End {
    let client = try fixture.client()
    try client.sendRequest(
      "POST",
      "/2/tweets",
      headers: SandboxFixture.postHeaders,
      body: SandboxFixture.postBody(text)
    )
    return client.waitForEnd()
  }

  private func timeline() throws -> [String] {
    let headers = [("authorization", "Bearer alice-token")]
    let id = try fixture.client().request("GET", "/2/users/me", headers: headers).json()["data"]?["id"]?.string ?? ""
    let answer = try fixture.client().request("GET", "/2/users/\(id)/tweets", headers: headers).json()
    return answer["data"]?.array?.compactMap { $0["text"]?.string } ?? []
  }

  @Test func resetsBeforeTheCommitOnce() throws {
    try fixture.fault(#"{"match":{"platform":"x","path":"/2/tweets"},"action":"resetBeforeCommit"}"#)
    #expect(try sendAndWaitForEnd("a") == .reset)
    #expect(try fixture.ledgerTexts() == [])
    #expect(try fixture.createPost("a").status == 201)
    #expect(try fixture.ledgerTexts() == ["a"])
  }

  @Test func resetsAfterTheCommit() throws {
    try fixture.fault(#"{"action":"resetAfterCommit"}"#)
    #expect(try sendAndWaitForEnd("a") == .reset)
    #expect(try fixture.ledgerTexts() == ["a"])
    #expect(try fixture.createPost("a").status == 403)
  }

  @Test func commitsAfterTheReset() throws {
    try fixture.fault(#"{"action":{"kind":"commitAfterReset","afterMs":300}}"#)
    let clock = ContinuousClock()
    let start = clock.now
    #expect(try sendAndWaitForEnd("late") == .reset)
    // The order of the two, not a time: what was read before the post can be there shows that it is not there.
    let early = try fixture.ledgerTexts()
    if clock.now - start < .milliseconds(300) { #expect(early == []) }
    while try fixture.ledgerTexts().isEmpty, clock.now - start < .seconds(20) {}
    #expect(try fixture.ledgerTexts() == ["late"])
    #expect(clock.now - start >= .milliseconds(300))
  }

  @Test func delaysBeforeOrAfterTheCommit() throws {
    let clock = ContinuousClock()
    for when in ["beforeCommit", "afterCommit"] {
      try fixture.fault(#"{"action":{"kind":"delay","ms":120,"when":"\#(when)"}}"#)
      let start = clock.now
      #expect(try fixture.createPost(when).status == 201)
      #expect(clock.now - start >= .milliseconds(120))
    }
  }

  @Test func hidesPostsFromTheTimeline() throws {
    try fixture.fault(#"{"match":{"method":"POST"},"action":{"kind":"listLag","ms":3600000}}"#)
    #expect(try fixture.createPost("hidden").status == 201)
    #expect(try fixture.createPost("shown").status == 201)
    #expect(try timeline() == ["shown"])
    #expect(try fixture.ledgerTexts() == ["hidden", "shown"])
  }

  @Test func failsBeforeOrAfterTheCommit() throws {
    try fixture.fault(
      #"""
      {"faults":[{"action":{"kind":"status","code":503}},
      {"action":{"kind":"status","code":500,"when":"afterCommit"}},
      {"action":{"kind":"status","code":418,"body":{"a":1},"headers":{"X-Odd":"yes"}}}]}
      """#
    )
    let before = try fixture.createPost("before")
    #expect(before.status == 503)
    #expect(before.headers["content-type"] == "application/problem+json")
    #expect(try fixture.ledgerTexts() == [])
    let after = try fixture.createPost("after")
    #expect(after.status == 500)
    #expect(after.headers["x-rate-limit-remaining"] == "99")
    #expect(try fixture.ledgerTexts() == ["after"])
    let odd = try fixture.createPost("odd")
    #expect(odd.status == 418)
    #expect(odd.text == #"{"a":1}"#)
    #expect(odd.headers["x-odd"] == "yes")
    #expect(try fixture.createPost("fine").status == 201)
  }

  @Test func limitsOnDemandAsThePlatformDoes() throws {
    try fixture.fault(#"{"action":{"kind":"status","code":429,"retryAfter":{"seconds":7}}}"#)
    let now = WallClock.milliseconds() / 1000
    let limited = try fixture.createPost("a")
    #expect(limited.status == 429)
    #expect(try limited.json()["title"]?.string == "Too Many Requests")
    #expect(limited.headers["x-rate-limit-remaining"] == "0")
    #expect(limited.headers["retry-after"] == nil)
    let reset = try #require(limited.headers["x-rate-limit-reset"].flatMap(Int64.init))
    #expect((now + 7...now + 28).contains(reset))
  }

  @Test func sendsHalfOfAnAnswer() throws {
    try fixture.fault(#"{"action":"truncateBody"}"#)
    let half = try fixture.createPost("half")
    #expect(half.status == 201)
    #expect(half.end == .closed)
    let promised = try #require(half.headers["content-length"].flatMap { Int($0) })
    #expect(half.body.count < promised)
    #expect(!half.body.isEmpty)
    #expect(try fixture.ledgerTexts() == ["half"])
  }

  @Test func liesAboutTheContentType() throws {
    try fixture.fault(#"{"action":"wrongContentType"}"#)
    let answer = try fixture.createPost("a")
    #expect(answer.status == 201)
    #expect(answer.headers["content-type"] == "text/html; charset=utf-8")
  }

  @Test func takesAFaultInAHeader() throws {
    #expect(try fixture.createPost("a", faultHeader: #"{"kind":"status","code":502}"#).status == 502)
    #expect(
      try fixture.createPost("b", faultHeader: "wrongContentType").headers["content-type"]?.hasPrefix("text/html")
        == true
    )
    #expect(try fixture.createPost("c", faultHeader: "nonsense").status == 400)
    #expect(try fixture.ledgerTexts() == ["b"])
  }

  @Test func matchesAccountBodyAndMethod() throws {
    _ = try fixture.control("POST", "accounts", #"{"username":"bob","token":"bob-token"}"#)
    try fixture.fault(
      #"""
      [{"match":{"account":"bob"},"action":{"kind":"status","code":500}},
      {"match":{"bodyContains":"needle"},"action":{"kind":"status","code":501}},
      {"match":{"platform":"webhook"},"action":{"kind":"status","code":502}},
      {"match":{"method":"DELETE"},"action":{"kind":"status","code":503}}]
      """#
    )
    #expect(try fixture.createPost("plain").status == 201)
    #expect(try fixture.createPost("with a needle").status == 501)
    let bob = [("authorization", "Bearer bob-token"), ("content-type", "application/json")]
    let body = SandboxFixture.postBody("from bob")
    #expect(try fixture.client().request("POST", "/2/tweets", headers: bob, body: body).status == 500)
    #expect(try fixture.client().request("POST", "/2/tweets", headers: bob, body: body).status == 201)
    #expect(try fixture.client().request("DELETE", "/2/tweets/1", headers: bob).status == 503)
  }

  @Test func countsSkipsAndTellsHits() throws {
    try fixture.fault(#"{"action":{"kind":"status","code":500},"count":2,"skip":1}"#)
    let statuses = try (0..<4).map { try fixture.createPost("post \($0)").status }
    #expect(statuses == [201, 500, 500, 201])
    let listed = try fixture.control("GET", "faults").json()["faults"]?.array?.first
    #expect(listed?["hits"]?.integer == 2)
    #expect(listed?["remaining"]?.integer == 0)
    try fixture.fault(#"{"action":{"kind":"status","code":500},"count":5}"#)
    #expect(try fixture.control("DELETE", "faults").status == 200)
    #expect(try fixture.createPost("after all").status == 201)
  }

  @Test func repeatsWithASeed() throws {
    func outcome(seed: Int) throws -> [Int] {
      _ = try fixture.control("POST", "reset", "")
      try fixture.fault(#"{"action":{"kind":"status","code":500},"probability":0.5,"seed":\#(seed)}"#)
      return try (0..<40).map { try fixture.createPost("post \($0)").status }
    }
    let first = try outcome(seed: 7)
    #expect(first.contains(500))
    #expect(first.contains(201))
    #expect(try outcome(seed: 7) == first)
    #expect(try outcome(seed: 8) != first)
  }

  @Test(arguments: [
    #"{}"#, #"{"action":"bogus"}"#, #"{"action":"delay"}"#, #"{"action":{"kind":"delay","ms":-1}}"#,
    #"{"action":{"kind":"status"}}"#, #"{"action":{"kind":"status","code":99}}"#, #"{"action":"truncateBody","x":1}"#,
    #"{"action":"truncateBody","match":{"platform":"myspace"}}"#, #"{"action":"truncateBody","match":{"pth":"/"}}"#,
    #"{"action":"truncateBody","probability":2}"#, #"{"action":"truncateBody","count":0}"#, "nonsense",
    #"{"action":{"kind":"status","code":500,"headers":{"a":"b\r\nc: d"}}}"#, #"{"faults":[{"action":"x"}]}"#,
  ])
  func refusesOrdersItDoesNotUnderstand(json: String) throws {
    let answer = try fixture.control("POST", "faults", json)
    #expect(answer.status == 400)
    #expect(try answer.json()["error"]?["message"]?.string?.isEmpty == false)
    #expect(try fixture.createPost("untouched").status == 201)
  }

  // MARK: Webhooks

  private func deliver(_ id: String) throws -> RawClient.Response {
    let body = Self.event(id)
    let headers = try SandboxFixture.signed(id: id, body: body)
    return try fixture.client().request("POST", "/hooks/blog", headers: headers, body: body)
  }

  private static func event(_ id: String) -> [UInt8] {
    Array(#"{"type":"post.published","timestamp":"2026-01-02T03:04:05Z","data":{"id":"\#(id)","text":"Hi"}}"#.utf8)
  }

  @Test func answersHooksAsFailingReceiversDo() throws {
    try fixture.fault(
      #"""
      [{"action":{"kind":"status","code":301}},{"action":{"kind":"status","code":410}},
      {"action":{"kind":"status","code":429,"retryAfter":{"seconds":3}}},
      {"action":{"kind":"status","code":429,"retryAfter":{"seconds":3,"form":"date"}}},
      {"action":{"kind":"status","code":502}}]
      """#
    )
    let moved = try deliver("msg_1")
    #expect(moved.status == 301)
    #expect(moved.headers["location"] != nil)
    #expect(try deliver("msg_1").status == 410)
    #expect(try deliver("msg_1").headers["retry-after"] == "3")
    #expect(try deliver("msg_1").headers["retry-after"]?.hasSuffix(" GMT") == true)
    #expect(try deliver("msg_1").status == 502)
    #expect(try deliver("msg_1").status == 200)
  }

  @Test func countsOnceWhatWasProcessedBeforeAReset() throws {
    try fixture.fault(#"{"match":{"platform":"webhook","account":"blog"},"action":"resetAfterCommit"}"#)
    let client = try fixture.client()
    let body = Self.event("msg_1")
    try client.sendRequest(
      "POST",
      "/hooks/blog",
      headers: try SandboxFixture.signed(id: "msg_1", body: body),
      body: body
    )
    #expect(client.waitForEnd() == .reset)
    #expect(try deliver("msg_1").status == 200)
    let ledger = try fixture.control("GET", "ledger?platform=webhook").json()["webhook"]
    #expect(ledger?["count"]?.integer == 1)
    #expect(ledger?["entries"]?.array?.first?["deliveries"]?.integer == 2)
  }
}
