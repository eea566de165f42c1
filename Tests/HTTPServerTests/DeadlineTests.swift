import HTTPServer
import Testing

@Suite(.timeLimit(.minutes(15))) struct DeadlineTests {
  /// Sends single bytes until the server cuts the connection; false when it never does.
  private func trickle(_ client: RawClient) async throws -> Bool {
    for _ in 0..<4000 {
      guard try await client.send("x") else { return true }
      // The pace of the misbehaving client; nothing waits for it.
      try await Task.sleep(for: .milliseconds(3))
    }
    return false
  }

  @Test func cutsOffHeadersThatTrickle() async throws {
    try await ServerFixture.run {
      $0.headerTimeout = .milliseconds(100)
    } routes: { _ in
    } _: { server in
      let client = try RawClient(port: server.port)
      try await client.send("GET / HTTP/1.1\nHost: a\nX-Slow: ")
      #expect(try await trickle(client))
      let silent = try RawClient(port: server.port)
      #expect(try await silent.readToEnd().isEmpty)
      // Who is so slow that the time is over before the first line came is cut without a word, as above.
      var answer = ""
      for _ in 0..<100 where answer.isEmpty {
        let half = try RawClient(port: server.port)
        try await half.send("GET / HTTP/1.1\nHost: a\n")
        answer = String(decoding: try await half.readToEnd(), as: UTF8.self)
      }
      #expect(answer.hasPrefix("HTTP/1.1 408 "))
    }
  }

  @Test(arguments: [BodyPolicy.collected(), .streamed(limit: 1 << 20)])
  func cutsOffBodiesThatTrickle(policy: BodyPolicy) async throws {
    let failure = Announcement<String>()
    try await ServerFixture.run {
      $0.progressWindow = .milliseconds(100)
    } routes: { router in
      router.post("/x", body: policy) { request in
        do {
          for try await _ in request.body.chunks() {}
        } catch let error as HTTPProblem {
          failure.announce(error.code)
        }
        return .empty()
      }
    } _: { server in
      let client = try RawClient(port: server.port)
      try await client.send("POST /x HTTP/1.1\nHost: a\nContent-Length: 100000\n\n")
      #expect(try await trickle(client))
      let half = try RawClient(port: server.port)
      try await half.send("POST /x HTTP/1.1\nHost: a\nContent-Length: 100000\n\nabc")
      #expect(String(decoding: try await half.readToEnd(), as: UTF8.self).hasPrefix("HTTP/1.1 408 "))
      if case .streamed = policy { #expect(await failure.value == "requestTimeout") }
    }
  }

  @Test func aSlowReaderDoesNotPunishItsClient() async throws {
    let gate = Announcement<Void>()
    let begun = Announcement<Void>()
    try await ServerFixture.run {
      $0.progressWindow = .seconds(3)
    } routes: { router in
      router.post("/idle") { _ in .empty() }
      router.post("/x", body: .streamed(limit: 1 << 30)) { request in
        begun.announce()
        await gate.value
        var count = 0
        for try await chunk in request.body.chunks() { count += chunk.count }
        return .text("\(count)")
      }
    } _: { server in
      let client = try RawClient(port: server.port)
      let body = [UInt8](repeating: 1, count: 2 << 20)
      let head = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.count)\r\n\r\n"
      async let isSent = client.send(Array(head.utf8) + body)
      await begun.value
      // The window of one that sends nothing goes by twice meanwhile.
      for _ in 0..<2 {
        let idle = try RawClient(port: server.port)
        try await idle.send("POST /idle HTTP/1.1\nHost: a\nContent-Length: 9\n\n")
        #expect(try await idle.answer().status == 408)
      }
      gate.announce()
      #expect(try await isSent)
      #expect(try await client.answer().text == "\(body.count)")
    }
  }

  @Test func closesIdleConnections() async throws {
    try await ServerFixture.run {
      $0.idleTimeout = .milliseconds(60)
    } routes: { router in
      router.get("/x") { _ in .empty() }
    } _: { server in
      let client = try RawClient(port: server.port)
      try await client.send("GET /x HTTP/1.1\nHost: a\n\n")
      #expect(try await client.answer().status == 204)
      #expect(try await client.readToEnd().isEmpty)
    }
  }

  @Test func cutsOffClientsThatDoNotTakeTheirAnswer() async throws {
    let failure = Announcement<Bool>()
    try await ServerFixture.run {
      $0.progressWindow = .milliseconds(100)
    } routes: { router in
      router.get("/endless") { _ in
        .stream(contentType: "text/plain") { writer in
          do {
            while true { try await writer.write([UInt8](repeating: 1, count: 65_536)) }
          } catch {
            failure.announce(error is ClientGone)
            throw error
          }
        }
      }
    } _: { server in
      let client = try RawClient(port: server.port)
      try await client.send("GET /endless HTTP/1.1\nHost: a\n\n")
      #expect(await failure.value)
      #expect(await server.log.records(1).first?.ending != .completed)
    }
  }
}
