import FuzzSupport
import Testing

@testable import HTTPServer

/// Whatever a client sends is routed or refused with a reason, and the server lives on.
@Suite(.timeLimit(.minutes(60))) struct RequestFuzzTests {
  private static let targets = [
    "/", "/health", "/api/posts?siteId=1&limit=50", "/api/posts/42?siteId=7&text=a+b%20c",
    "/api/admin/distribution/logs/9/retry?dry=true&kind=one", "/files/a/b%20c/%C3%A9.png?x", "/api//posts/",
    "/api/posts/%2e%2e/%2F", "*", "http://a.example/api", "/a;b=c/@:!$&'()*+,=~?a=b=c&&=&%26=%3D",
  ]

  private static let mutator = ByteMutator(splinters: [
    "%", "%%", "%0", "%00", "%2e", "%2F", "%5c", "%C3%A9", "%ED%A0%80", "%f0%9f%98%80", "/", "//", "/..", "/.", "?",
    "&", "=", "+", "#", " ", "\t", "\0", "\u{301}", "é", "\u{1F600}", "9223372036854775808", "-1", "siteId=1&siteId=2",
    "limit=", "kind=none", "dry=yes", String(repeating: "/a", count: 600), String(repeating: "&a", count: 300),
  ])

  private enum Kind: String, CaseIterable { case one, two }

  private static let router = {
    var router = Router()
    for template in ["/", "/health", "/api/posts", "/api/posts/{id}", "/files/{path...}"] {
      router.get(template) { _ in .text("ok") }
    }
    router.post("/api/admin/distribution/logs/{id}/retry") { _ in .text("ok") }
    return router
  }()

  @Test func anyTargetIsRoutedOrRefused() throws {
    var random = FuzzRun.random("targets")
    let samples = Self.targets.map { Array($0.utf8) }
    var (taken, refused) = (0, 0)
    for _ in 0..<FuzzRun.cases(20_000) {
      let bytes = Self.mutator.mutate(random.one(of: samples), with: random.one(of: samples), &random)
      let raw = String(decoding: bytes, as: UTF8.self)
      do throws(HTTPProblem) {
        _ = try RequestTarget(raw)
      } catch {
        refused += 1
        try FuzzRun.hold(error.status == 400 && !error.message.isEmpty, "\(error) for \(raw.debugDescription)")
        continue
      }
      taken += 1
      let target = try RequestTarget(raw)
      try Self.check(target, raw)
      try Self.readQuery(target, raw)
    }
    #expect(taken > refused / 20 && refused > taken / 20, "\(taken) taken, \(refused) refused")
  }

  private static func check(_ target: RequestTarget, _ raw: String) throws {
    let shown = "\(target) for \(raw.debugDescription)"
    try FuzzRun.hold(raw == target.path || raw == "\(target.path)?\(target.query)", shown)
    for segment in target.segments {
      let isHarmless = segment != "." && segment != ".." && !segment.utf8.contains { [0, 0x2F, 0x5C].contains($0) }
      try FuzzRun.hold(isHarmless, shown)
    }
    // Who reads the address in another way, such as a proxy, must come to the same segments.
    let again = try RequestTarget("/" + target.segments.map { PercentCoding.encode($0) }.joined(separator: "/"))
    try FuzzRun.hold(again.segments == target.segments, shown)
    let slashes = target.path.utf8.count { $0 == 0x2F }
    try FuzzRun.hold(target.segments.count == (target.path == "/" ? 0 : slashes), shown)
    guard case .found(let route, let parameters) = router.resolve(.get, target.segments),
      route.template.contains("{id}")
    else { return }
    do throws(HTTPProblem) {
      _ = try parameters.int64("id")
    } catch {
      try FuzzRun.hold(error.status == 404, shown)
    }
  }

  /// Reads the query as the routes do; each refusal names the parameter.
  private static func readQuery(_ target: RequestTarget, _ raw: String) throws {
    guard let query = try taken(raw, { try QueryParameters(target.query) }) else { return }
    try FuzzRun.hold(query.names.count <= 256, raw.debugDescription)
    _ = try taken(raw) { try query.int64("siteId", 1...Int64.max) }
    _ = try taken(raw) { try query.int("limit", 1...100) }
    _ = try taken(raw) { try query.bool("dry") }
    _ = try taken(raw) { try query.string("text", 0...5) }
    _ = try taken(raw) { try query.oneOf("kind", Kind.self) }
    _ = try taken(raw) { try query.allow(only: "siteId", "limit", "dry", "text", "kind", "x") }
  }

  private static func taken<Value>(_ raw: String, _ read: () throws -> Value) throws -> Value? {
    do {
      return try read()
    } catch {
      let problem = error as? HTTPProblem
      try FuzzRun.hold(problem?.status == 400 && problem?.field != nil, "\(error) for \(raw.debugDescription)")
      return nil
    }
  }

  private static let fields: [(String, String)] = [
    ("host", "a.example"), ("content-length", "17"), ("transfer-encoding", "chunked"), ("expect", "100-continue"),
    ("cookie", "a=b; session=\"abc\"; =; c"), ("x-forwarded-for", "10.0.0.1, 192.0.2.7 , 127.0.0.1"),
    ("authorization", "Bearer abc"), ("content-type", "application/json; charset=utf-8"), ("connection", "close"),
  ]

  @Test func anyHeaderIsJudged() throws {
    var random = FuzzRun.random("headers")
    var (taken, refused) = (0, 0)
    for _ in 0..<FuzzRun.cases(20_000) {
      var headers = HTTPHeaders()
      for _ in 0..<random.index(6) {
        let field = random.one(of: Self.fields)
        headers.add(Self.broken(field.0, &random), Self.broken(field.1, &random))
      }
      if random.index(4) != 0, headers["host"] == nil { headers.add("host", "a") }
      let head = RequestHead(
        id: "1",
        method: Self.broken("GET", &random),
        version: random.one(of: ["HTTP/1.1", "HTTP/1.0", ""]),
        target: random.one(of: Self.targets),
        headers: headers,
        headerBytes: headers.fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count },
        maximumHeaderBytes: 16_384,
        remoteAddress: "127.0.0.1"
      )
      if let problem = head.problem {
        refused += 1
        try FuzzRun.hold((400...499).contains(problem.status) && !problem.message.isEmpty, "\(problem)")
      } else {
        taken += 1
        let isClear = headers.all("content-length").isEmpty || headers.all("transfer-encoding").isEmpty
        try FuzzRun.hold(isClear && (head.declaredLength ?? 0) >= 0, "\(headers)")
      }
      _ = headers.cookie("session")
      let address = RequestHead.clientAddress(peer: "127.0.0.1", headers: headers, trustedProxies: ["127.0.0.1"])
      try FuzzRun.hold(!address.isEmpty && address.utf8.count <= 64, "\(address) of \(headers)")
    }
    #expect(taken > refused / 20 && refused > taken / 20, "\(taken) taken, \(refused) refused")
  }

  private static func broken(_ text: String, _ random: inout FuzzRandom) -> String {
    guard random.index(6) == 0 else { return text }
    return String(decoding: mutator.mutate(Array(text.utf8), with: Array(text.utf8), &random), as: UTF8.self)
  }

  private static let requests = [
    "GET /api/posts?siteId=1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /health HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
    "HEAD /health HTTP/1.0\r\nCookie: a=b\r\nConnection: keep-alive\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
  ]

  /// The same over sockets, where the library has its say first.
  @Test func theServerOutlivesAnyBytes() async throws {
    try await ServerFixture.run { configuration in
      // Many requests never end.
      configuration.headerTimeout = .milliseconds(200)
      configuration.idleTimeout = .milliseconds(200)
      configuration.progressWindow = .milliseconds(200)
    } routes: { router in
      router.get("/health") { _ in .text("alive") }
      router.post("/echo") { .text("\($0.body.bytes.count)") }
    } _: { server in
      var random = FuzzRun.random("requests")
      let samples = Self.requests.map { Array($0.utf8) }
      for _ in 0..<(FuzzRun.cases(1_000, long: 50_000) / 50) {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for _ in 0..<50 {
            let bytes = Self.mutator.mutate(random.one(of: samples), with: random.one(of: samples), &random)
            group.addTask { try await Self.ask(bytes, server.port) }
          }
          try await group.waitForAll()
        }
        // On a busy machine the short limits end this one too, so it is sent until it comes through.
        while (try? await RawClient.request(server.port, "GET", "/health"))?.text != "alive" {}
      }
    }
  }

  private static func ask(_ bytes: [UInt8], _ port: UInt16) async throws {
    let client = try RawClient(port: port)
    // The server may have refused and closed before all was sent.
    try await client.send(bytes)
    try await client.finishSending()
    let answer = try await client.readToEnd()
    try FuzzRun.hold(answer.isEmpty || answer.starts(with: Array("HTTP/1.".utf8)), "\(answer) to \(bytes)")
  }
}
