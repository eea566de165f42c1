import Glibc
import Testing

@testable import SandboxKit

@Suite struct SandboxTests {
  private let fixture: SandboxFixture

  init() throws {
    fixture = try SandboxFixture()
  }

  // MARK: Server

  @Test func keepsConnectionsAndAnswersPipelines() throws {
    let client = try fixture.client()
    for index in 0..<3 {
      try client.sendRequest(
        "POST",
        "/2/tweets",
        headers: SandboxFixture.postHeaders,
        body: SandboxFixture.postBody("post \(index)")
      )
    }
    for _ in 0..<3 { #expect(try client.receive().status == 201) }
    let last = try client.request("GET", "/_sandbox/health", headers: [("connection", "close")])
    #expect(last.headers["connection"] == "close")
    #expect(client.waitForEnd() == .closed)
  }

  @Test func readsChunkedAndExpectedBodies() throws {
    let client = try fixture.client()
    let head = "POST /2/tweets HTTP/1.1\r\nauthorization: Bearer alice-token\r\ncontent-type: application/json\r\n"
    try client.send(head + "transfer-encoding: chunked\r\n\r\n6\r\n{\"text\r\n5\r\n\":\"a\"\r\n1\r\n}\r\n0\r\n\r\n")
    #expect(try client.receive().status == 201)
    try client.send(head + "expect: 100-continue\r\ncontent-length: 12\r\n\r\n")
    #expect(try client.receive().status == 100)
    try client.send(#"{"text":"b"}"#)
    #expect(try client.receive().status == 201)
    #expect(try fixture.ledgerTexts() == ["a", "b"])
  }

  @Test func refusesBrokenRequestsAndEndsTheConnection() throws {
    let client = try fixture.client()
    try client.send("NONSENSE\r\n\r\n")
    #expect(try client.receive().status == 400)
    #expect(client.waitForEnd() == .closed)
  }

  @Test func boundsConnections() throws {
    let small = try SandboxFixture(maximumConnections: 1)
    let first = try small.client()
    #expect(try first.request("GET", "/_sandbox/health").status == 200)
    #expect(try small.client().receive().status == 503)
    #expect(try first.request("GET", "/_sandbox/health").status == 200)
  }

  @Test func endsWaitingRequestsWhenItStops() throws {
    let own = try SandboxFixture()
    try own.fault(#"{"action":{"kind":"delay","ms":3600000}}"#)
    let client = try own.client()
    try client.sendRequest(
      "POST",
      "/2/tweets",
      headers: SandboxFixture.postHeaders,
      body: SandboxFixture.postBody("never")
    )
    own.sandbox.stop()
    #expect(client.waitForEnd() != .error(EAGAIN))
    #expect(throws: RawClient.Failure.self) { try own.client() }
  }

  @Test func refusesAPortThatIsTaken() throws {
    let other = Sandbox(configuration: SandboxConfiguration(port: fixture.port))
    #expect(throws: SandboxError.self) { try other.start() }
  }

  @Test func servesManyConnectionsAtOnce() async throws {
    var settings = SandboxSettings.unlimited
    settings.baseDelayMs = 5
    let busy = try SandboxFixture(settings: settings, maximumConnections: 300)
    let clients = try (0..<100).map { _ in try busy.client() }
    for round in 0..<3 {
      for (index, client) in clients.enumerated() {
        try client.sendRequest(
          "POST",
          "/2/tweets",
          headers: SandboxFixture.postHeaders,
          body: SandboxFixture.postBody("post \(round) \(index)")
        )
      }
      for client in clients { #expect(try client.receive().status == 201) }
    }
    #expect(try busy.control("GET", "ledger?entries=false").json()["x"]?["count"]?.integer == 300)
    #expect(Set(try busy.ledgerTexts()).count == 300)
  }

  // MARK: Control

  @Test func createsAccountsInBulk() throws {
    let body = #"""
      {"accounts":[{"username":"carol","token":"c-token","subscription":"Premium","credits":0.02,"name":"Carol C."},
      {"platform":"webhook","username":"shop","secret":"\#(SandboxFixture.secret)"},
      {"username":"dave","tokens":[{"token":"d1","scopes":["tweet.read","users.read"]},{"token":"d2","tokenKind":"app"}]}]}
      """#
    let answer = try fixture.control("POST", "accounts", body)
    #expect(answer.status == 201)
    #expect(!answer.text.contains("token"))
    #expect(!answer.text.contains("whsec"))
    let listed = try fixture.control("GET", "accounts").json()["accounts"]?.array ?? []
    #expect(listed.compactMap { $0["username"]?.string } == ["alice", "carol", "dave", "blog", "shop"])
    let me = try fixture.client().request("GET", "/2/users/me", headers: [("authorization", "Bearer d1")])
    #expect(try me.json()["data"]?["username"]?.string == "dave")
    let post = try fixture.client().request(
      "POST",
      "/2/tweets",
      headers: [("authorization", "Bearer d1"), ("content-type", "application/json")],
      body: SandboxFixture.postBody("a")
    )
    #expect(post.status == 403)
  }

  @Test func replacesTokens() throws {
    _ = try fixture.control("POST", "accounts", #"{"username":"alice","token":"new-token"}"#)
    #expect(try fixture.createPost("a").status == 401)
    let stolen = try fixture.control("POST", "accounts", #"{"username":"eve","token":"new-token"}"#)
    #expect(stolen.status == 409)
  }

  @Test(arguments: [
    #"{"username":"has space","token":"t"}"#, #"{"token":"t"}"#, #"{"username":"a","token":"t","scopes":["bogus"]}"#,
    #"{"username":"a","token":"t","subscription":"Gold"}"#, #"{"username":"a","token":"t","credits":-1}"#,
    #"{"username":"a","token":"","bogus":1}"#, #"{"platform":"webhook","username":"a","secret":"short"}"#,
    #"{"platform":"bogus","username":"a"}"#, "[1]", #"{"accounts":[{"username":"ok","token":"t"},{"username":""}]}"#,
  ])
  func refusesWrongAccountsAndChangesNothing(json: String) throws {
    #expect(try fixture.control("POST", "accounts", json).status == 400)
    #expect(try fixture.control("GET", "accounts").json()["accounts"]?.array?.count == 2)
  }

  @Test func setsHooksAndSettings() throws {
    let hook = try fixture.control("POST", "hooks", #"{"name":"news","secret":"\#(SandboxFixture.secret)"}"#)
    #expect(hook.status == 201)
    #expect(try hook.json()["hooks"]?.array?.first?["url"]?.string == "http://127.0.0.1:\(fixture.port)/hooks/news")
    #expect(try fixture.control("POST", "hooks", #"{"name":"a/b","secret":"\#(SandboxFixture.secret)"}"#).status == 400)
    let changed = try fixture.control("POST", "settings", #"{"duplicateWindowMs":0,"rateLimits":false}"#)
    #expect(changed.status == 200)
    #expect(try changed.json()["rateLimits"] == .bool(false))
    #expect(try fixture.createPost("a").status == 201)
    #expect(try fixture.createPost("a").status == 201)
    #expect(try fixture.control("POST", "settings", #"{"bogus":1}"#).status == 400)
    #expect(try fixture.control("POST", "settings", #"{"rateLimitFactor":0}"#).status == 400)
    #expect(try fixture.control("GET", "bogus").status == 404)
  }

  @Test func filtersTheLedger() throws {
    _ = try fixture.control("POST", "accounts", #"{"username":"bob","token":"bob-token"}"#)
    let post = try fixture.createPost("one")
    let id = try post.json()["data"]?["id"]?.string ?? ""
    func count(_ query: String) throws -> Int? {
      try fixture.control("GET", "ledger?\(query)").json()["x"]?["count"]?.integer
    }
    #expect(try count("account=alice") == 1)
    #expect(try count("account=bob") == 0)
    #expect(try count("after=2020-01-01T00:00:00Z") == 1)
    #expect(try count("after=4000000000000") == 0)
    #expect(try count("platform=webhook") == nil)
    #expect(try fixture.control("GET", "ledger?bogus=1").status == 400)
    let entry = try fixture.control("GET", "ledger").json()["x"]?["entries"]?.array?.first
    #expect(entry?["url"]?.string == "https://x.com/alice/status/\(id)")
    #expect(entry?["page"]?.string == "http://127.0.0.1:\(fixture.port)/x/alice/status/\(id)")
    let gone = try fixture.client().request(
      "DELETE",
      "/2/tweets/\(id)",
      headers: [("authorization", "Bearer alice-token")]
    )
    #expect(gone.status == 200)
    let ledger = try fixture.control("GET", "ledger").json()["x"]
    #expect(ledger?["count"]?.integer == 1)
    #expect(ledger?["deleted"]?.integer == 1)
    _ = try fixture.control("POST", "reset", "")
    #expect(try count("") == 0)
  }

  @Test func logsRequestsWithoutSecrets() throws {
    _ = try fixture.createPost("secret text", faultHeader: #"{"kind":"status","code":500}"#)
    _ = try fixture.client().request(
      "GET",
      "/2/users/me?user.fields=verified",
      headers: [("authorization", "Bearer alice-token")]
    )
    let log = try fixture.control("GET", "requests")
    for secret in ["alice-token", "secret text", "Bearer", "verified"] { #expect(!log.text.contains(secret)) }
    let requests = try log.json()["requests"]?.array ?? []
    #expect(requests.compactMap { $0["status"]?.integer } == [500, 200])
    #expect(requests.first?["account"]?.string == "alice")
    #expect(requests.first?["faults"] == .array([.string("status 500")]))
    #expect(requests.last?["query"] == .array([.string("user.fields")]))
  }

  // MARK: Pages

  @Test func showsPostsAsPages() throws {
    let post = try fixture.createPost("<script>alert(1)</script> & more https://example.com/x")
    let id = try post.json()["data"]?["id"]?.string ?? ""
    for path in ["/", "/x/alice", "/x/alice/status/\(id)"] {
      let page = try fixture.client().request("GET", path)
      #expect(page.status == 200)
      #expect(page.headers["content-type"] == "text/html; charset=utf-8")
      #expect(page.headers["content-security-policy"]?.hasPrefix("default-src 'none'") == true)
      #expect(page.text.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; more"))
      #expect(page.text.contains("href=\"https://example.com/x\""))
      #expect(!page.text.contains("<script"))
    }
    for path in ["/x/nobody", "/x/alice/status/1", "/bogus", "/media/1", "/hooks/blog/none"] {
      #expect(try fixture.client().request("GET", path).status == 404)
    }
    #expect(try fixture.client().request("POST", "/", body: []).status == 405)
    let head = try fixture.client()
    try head.sendRequest("HEAD", "/", headers: [("connection", "close")])
    #expect(head.waitForEnd() == .closed)
  }

  @Test func showsPicturesAndEvents() throws {
    let client = try fixture.client()
    var body = Array(
      "--b\r\ncontent-disposition: form-data; name=\"media_category\"\r\n\r\ntweet_image\r\n--b\r\n".utf8
    )
    body += Array("content-disposition: form-data; name=\"media\"; filename=\"a.png\"\r\n\r\n".utf8) + XFixture.png
    body += Array("\r\n--b--\r\n".utf8)
    let upload = try client.request(
      "POST",
      "/2/media/upload",
      headers: [("authorization", "Bearer alice-token"), ("content-type", "multipart/form-data; boundary=b")],
      body: body
    )
    let media = try upload.json()["data"]?["id"]?.string ?? ""
    let picture = try client.request("GET", "/media/\(media)")
    #expect(picture.headers["content-type"] == "image/png")
    #expect(picture.body == XFixture.png)
    let event = Array(
      #"{"type":"post.published","timestamp":"2026-01-02T03:04:05Z","data":{"title":"A <b> title","text":"Hi"}}"#.utf8
    )
    let sent = try client.request(
      "POST",
      "/hooks/blog",
      headers: try SandboxFixture.signed(id: "msg_1", body: event),
      body: event
    )
    #expect(try sent.json()["url"]?.string == "http://127.0.0.1:\(fixture.port)/hooks/blog/msg_1")
    let page = try client.request("GET", "/hooks/blog/msg_1")
    #expect(page.status == 200)
    #expect(page.text.contains("A &lt;b&gt; title"))
    #expect(try client.request("GET", "/hooks/blog", headers: [("accept", "text/html")]).status == 200)
    #expect(try client.request("GET", "/hooks/blog").status == 405)
  }
}
