import HTTPServer
import Logging
import Testing

@Suite(.timeLimit(.minutes(15))) struct HTTPServerTests {
  @Test func answersAndKeepsTheConnection() async throws {
    try await ServerFixture.run { router in
      router.get("/hello/{name}") { request in .text("Hello \(try request.parameters.string("name"))") }
      router.post("/echo") { request in .bytes(request.body.bytes, contentType: "text/plain") }
    } _: { server in
      let client = try RawClient(port: server.port)
      try await client.send("GET /hello/J%C3%BCrgen HTTP/1.1\nHost: a\n\n")
      let first = try await client.answer()
      #expect(first.status == 200)
      #expect(first.text == "Hello Jürgen")
      #expect(first.headers["x-request-id"]?.count == 16)
      #expect(first.headers["x-content-type-options"] == "nosniff")
      try await client.send("POST /echo HTTP/1.1\nHost: a\nContent-Length: 5\n\nabcde")
      #expect(try await client.answer().text == "abcde")
      try await client.send("POST /echo HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n3\nabc\n2\nde\n0\n\n")
      #expect(try await client.answer().text == "abcde")
      try await client.send("HEAD /hello/x HTTP/1.1\nHost: a\n\n")
      let head = try await client.answer(hasBody: false)
      #expect(head.status == 200)
      #expect(head.headers["content-length"] == "7")
      let records = await server.log.records(4)
      #expect(records.map(\.route) == ["/hello/{name}", "/echo", "/echo", "/hello/{name}"])
      #expect(records.map(\.bytesReceived) == [0, 5, 5, 0])
      #expect(records.map(\.bytesSent) == [13, 5, 5, 0])
      #expect(records.allSatisfy { $0.ending == .completed && $0.remoteAddress == "127.0.0.1" })
    }
  }

  @Test func answersPipelinedRequestsInOrder() async throws {
    try await ServerFixture.run { router in
      router.get("/n/{n}") { request in .text("<\(try request.parameters.int64("n"))>") }
    } _: { server in
      let client = try RawClient(port: server.port)
      let requests = (1...20).map { "GET /n/\($0) HTTP/1.1\nHost: a\n\($0 == 20 ? "Connection: close\n" : "")\n" }
      try await client.send(requests.joined())
      let text = String(decoding: try await client.readToEnd(), as: UTF8.self)
      let bodies = text.split(separator: "<").dropFirst().compactMap { Int($0.prefix { $0 != ">" }) }
      #expect(bodies == Array(1...20))
    }
  }

  @Test func handlesRequestsAtTheSameTime() async throws {
    let gate = Announcement<Void>()
    let arrivals = Tally<Void>()
    try await ServerFixture.run { router in
      router.get("/wait") { request in
        arrivals.add(())
        await gate.value
        return .text("done")
      }
    } _: { server in
      try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<50 {
          group.addTask { try await RawClient.request(server.port, "GET", "/wait").status }
        }
        // All have begun before the first one may end.
        _ = await arrivals.records(50)
        gate.announce()
        for try await status in group { #expect(status == 200) }
      }
    }
  }

  @Test func errorsBecomeAnswersWithoutDetails() async throws {
    struct Secretive: Error, CustomStringConvertible { let description = "disk 7 is broken" }
    let sink = MemorySink()
    try await ServerFixture.run(sink: sink) { router in
      router.get("/unknown") { _ in throw Secretive() }
      router.get("/known") { _ in throw HTTPProblem(status: 409, code: "conflict", message: "No \"way\"", field: "x") }
      router.get("/header") { _ in HTTPResponse(headers: ["x-bad": "a\r\nset-cookie: b"]) }
    } _: { server in
      let unknown = try await RawClient.request(server.port, "GET", "/unknown")
      #expect(unknown.status == 500)
      #expect(!unknown.text.contains("disk"))
      let id = try #require(unknown.headers["x-request-id"])
      #expect(unknown.text.contains(id))
      let record = await sink.first { "\($0.fields)".contains(id) }
      #expect("\(record.fields)".contains("disk 7"))
      let known = try await RawClient.request(server.port, "GET", "/known")
      #expect(known.status == 409)
      #expect(
        known.text
          == #"{"success":false,"error":{"code":"conflict","message":"No \"way\"","field":"x"}}"#
      )
      let header = try await RawClient.request(server.port, "GET", "/header")
      #expect(header.status == 500)
      #expect(header.headers["set-cookie"] == nil)
    }
  }

  @Test func tellsWrongAddressesFromWrongMethods() async throws {
    try await ServerFixture.run { router in
      router.get("/a") { _ in .empty() }
      router.post("/a") { _ in .empty() }
    } _: { server in
      let missing = try await RawClient.request(server.port, "GET", "/b")
      #expect(missing.status == 404)
      let wrong = try await RawClient.request(server.port, "DELETE", "/a")
      #expect(wrong.status == 405)
      #expect(wrong.headers["allow"] == "GET, HEAD, OPTIONS, POST")
      let options = try await RawClient.request(server.port, "OPTIONS", "/a")
      #expect(options.status == 204)
      #expect(options.headers["allow"] == "GET, HEAD, OPTIONS, POST")
      let posted = try await RawClient.request(server.port, "POST", "/b", body: [UInt8](repeating: 1, count: 100_000))
      #expect(posted.status == 404)
    }
  }

  @Test func slowHandlersAreAnsweredForAndCanceled() async throws {
    let canceled = Announcement<Void>()
    try await ServerFixture.run {
      $0.requestTimeout = .milliseconds(60)
    } routes: { router in
      router.get("/slow") { _ in
        do {
          try await Task.sleep(for: .seconds(600))
        } catch {
          canceled.announce()
          throw error
        }
        return .text("late")
      }
    } _: { server in
      let client = try RawClient(port: server.port)
      try await client.send("GET /slow HTTP/1.1\nHost: a\n\n")
      let answer = try await client.answer()
      #expect(answer.status == 503)
      #expect(answer.headers["retry-after"] == "5")
      await canceled.value
    }
  }

  @Test func refusesMoreRequestsThanAllowed() async throws {
    let gate = Announcement<Void>()
    let begun = Announcement<Void>()
    try await ServerFixture.run {
      $0.maximumRequests = 1
    } routes: { router in
      router.get("/wait") { _ in
        begun.announce()
        await gate.value
        return .empty()
      }
    } _: { server in
      async let first = RawClient.request(server.port, "GET", "/wait")
      await begun.value
      let second = try await RawClient.request(server.port, "GET", "/wait")
      #expect(second.status == 503)
      #expect(second.headers["retry-after"] != nil)
      gate.announce()
      #expect(try await first.status == 204)
    }
  }

  @Test func believesOnlyTrustedProxies() async throws {
    for isTrusted in [true, false] {
      let address = try await ServerFixture.run {
        $0.trustedProxies = isTrusted ? ["127.0.0.1", "10.0.0.2"] : []
      } routes: { router in
        router.get("/ip") { .text($0.remoteAddress) }
      } _: { server in
        try await RawClient.request(
          server.port,
          "GET",
          "/ip",
          headers: ["X-Forwarded-For: 6.6.6.6, 198.51.100.7, 10.0.0.2"]
        ).text
      }
      #expect(address == (isTrusted ? "198.51.100.7" : "127.0.0.1"))
    }
  }

  @Test func anAddressInUseIsAnError() async throws {
    try await ServerFixture.run { _ in
    } _: { server in
      let second = HTTPServer(HTTPServerConfiguration(port: server.port), router: Router())
      await #expect(throws: HTTPServerError.self) { try await second.run(until: {}) }
      let named = HTTPServer(HTTPServerConfiguration(host: "localhost"), router: Router())
      await #expect(throws: HTTPServerError.self) { try await named.run(until: {}) }
    }
  }

  @Test(arguments: ["", "::1", "127.0.0.1"]) func listensOnBothFamilies(host: String) async throws {
    let address = try await ServerFixture.run {
      $0.host = host
    } routes: { router in
      router.get("/ip") { .text($0.remoteAddress) }
    } _: { server in
      // The client speaks IPv4, so for a server of IPv6 alone this shows only that it starts.
      host == "::1" ? "127.0.0.1" : try await RawClient.request(server.port, "GET", "/ip").text
    }
    #expect(address == "127.0.0.1")
  }
}
