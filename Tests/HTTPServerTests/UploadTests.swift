import HTTPServer
import Testing

@Suite(.timeLimit(.minutes(15))) struct UploadTests {
  @Test(arguments: ["POST", "PUT", "PATCH"]) func refusesDeclaredBodiesThatAreTooLarge(method: String) async throws {
    try await ServerFixture.run { router in
      router.on(HTTPMethod(rawValue: method), "/x", body: .collected(limit: 1000)) { .text("\($0.body.bytes.count)") }
    } _: { server in
      let client = try RawClient(port: server.port)
      let fits = String(repeating: "a", count: 1000)
      try await client.send("\(method) /x HTTP/1.1\nHost: a\nContent-Length: 1000\n\n\(fits)")
      #expect(try await client.answer().text == "1000")
      // A body that is not much too large is read and thrown away, so the connection goes on.
      try await client.send("\(method) /x HTTP/1.1\nHost: a\nContent-Length: 1001\n\n\(fits)a")
      let refused = try await client.answer()
      #expect(refused.status == 413)
      #expect(refused.text.contains("at most 1000 bytes"))
      try await client.send("\(method) /x HTTP/1.1\nHost: a\nContent-Length: 0\n\n")
      #expect(try await client.answer().text == "0")
      // A client that asks first, or whose body is endless, is told at once.
      try await client.send("\(method) /x HTTP/1.1\nHost: a\nContent-Length: 1001\nExpect: 100-continue\n\n")
      let early = try await client.answer()
      #expect(early.status == 413)
      #expect(early.headers["connection"]?.lowercased() == "close")
      let huge = try RawClient(port: server.port)
      try await huge.send("\(method) /x HTTP/1.1\nHost: a\nContent-Length: 900000000000\n\nabc")
      #expect(try await huge.answer().status == 413)
    }
  }

  @Test func asksForBodiesThatFit() async throws {
    try await ServerFixture.run { router in
      router.post("/x") { .text("\($0.body.bytes.count)") }
    } _: { server in
      let client = try RawClient(port: server.port)
      try await client.send("POST /x HTTP/1.1\nHost: a\nContent-Length: 3\nExpect: 100-continue\n\n")
      _ = try await client.read(until: "100 Continue\r\n\r\n")
      try await client.send("abc")
      #expect(try await client.answer().text == "3")
    }
  }

  @Test(arguments: [BodyPolicy.collected(limit: 100), .streamed(limit: 100)])
  func refusesChunkedBodiesThatGrowTooLarge(policy: BodyPolicy) async throws {
    try await ServerFixture.run {
      $0.maximumDiscardedBytes = 1 << 20
    } routes: { router in
      router.post("/x", body: policy) { request in
        var count = 0
        for try await chunk in request.body.chunks() { count += chunk.count }
        return .text("\(count)")
      }
    } _: { server in
      let client = try RawClient(port: server.port)
      let part = "32\n" + String(repeating: "a", count: 0x32) + "\n"
      try await client.send("POST /x HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n\(part)\(part)0\n\n")
      #expect(try await client.answer().text == "100")
      try await client.send("POST /x HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n\(part)\(part)1\na\n0\n\n")
      #expect(try await client.answer().status == 413)
      // What goes on and on is cut off.
      try await client.send("POST /x HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n")
      let block = Array("10000\r\n".utf8) + [UInt8](repeating: 7, count: 0x10000) + Array("\r\n".utf8)
      var sent = 0
      while try await client.send(block), sent < 1000 { sent += 1 }
      #expect(sent < 1000)
    }
  }

  @Test func streamsLargeBodiesWithoutHoldingThem() async throws {
    let size = 50 << 20
    try await ServerFixture.run { router in
      router.post("/x", body: .streamed(limit: size)) { request in
        var (count, largest, sum) = (0, 0, UInt64(0))
        for try await chunk in request.body.chunks() {
          count += chunk.count
          largest = max(largest, chunk.count)
          sum &+= chunk.reduce(into: UInt64(0)) { $0 &+= UInt64($1) }
        }
        return .text("\(count) \(largest) \(sum)")
      }
    } _: { server in
      let client = try RawClient(port: server.port)
      try await client.send("POST /x HTTP/1.1\nHost: a\nContent-Length: \(size)\n\n")
      let block = (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      let sum = 50 * block.reduce(into: UInt64(0)) { $0 += UInt64($1) }
      for _ in 0..<50 { try await client.send(block) }
      let words = try await client.answer().text.split(separator: " ")
      #expect(words.first == "\(size)")
      #expect(words.last == "\(sum)")
      let largest = try #require(Int(words[1]))
      #expect(largest <= 512 << 10)
    }
  }

  @Test func holdsTheClientBackUntilSomebodyReads() async throws {
    let gate = Announcement<Void>()
    let begun = Announcement<Void>()
    try await ServerFixture.run { router in
      router.post("/x", body: .streamed(limit: 1 << 30)) { request in
        begun.announce()
        await gate.value
        var largest = 0
        for try await chunk in request.body.chunks() { largest = max(largest, chunk.count) }
        return .text("\(largest)")
      }
    } _: { server in
      let client = try RawClient(port: server.port)
      let size = 64 << 20
      try await client.send("POST /x HTTP/1.1\nHost: a\nContent-Length: \(size)\n\n")
      async let isSent = client.send([UInt8](repeating: 1, count: size))
      await begun.value
      // Other clients are served meanwhile.
      #expect(try await RawClient.request(server.port, "GET", "/x").status == 405)
      gate.announce()
      #expect(try await isSent)
      let largest = try #require(Int(try await client.answer().text))
      #expect(largest <= 512 << 10)
    }
  }

  @Test func earlyAnswersReachTheClient() async throws {
    try await ServerFixture.run { router in
      router.post("/x", body: .streamed(limit: 1 << 30)) { request in
        for try await _ in request.body.chunks() {
          throw HTTPProblem(status: 415, code: "unsupported", message: "Not this")
        }
        return .empty()
      }
    } _: { server in
      let client = try RawClient(port: server.port)
      let body = [UInt8](repeating: 1, count: 8 << 20)
      try await client.send("POST /x HTTP/1.1\nHost: a\nContent-Length: \(body.count)\n\n")
      try await client.send(body)
      #expect(try await client.answer().status == 415)
      try await client.send("POST /x HTTP/1.1\nHost: a\nContent-Length: 0\n\n")
      #expect(try await client.answer().status == 204)
    }
  }

  @Test func readersLearnThatTheClientLeft() async throws {
    let begun = Announcement<Void>()
    let failure = Announcement<String>()
    try await ServerFixture.run { router in
      router.post("/x", body: .streamed(limit: 1 << 30)) { request in
        do {
          for try await _ in request.body.chunks() { begun.announce() }
        } catch {
          failure.announce("\(type(of: error))")
          throw error
        }
        return .empty()
      }
    } _: { server in
      let client = try RawClient(port: server.port)
      try await client.send("POST /x HTTP/1.1\nHost: a\nContent-Length: 1000\n\nabc")
      await begun.value
      try await client.leave()
      #expect(await failure.value == "ClientGone")
      #expect(await server.log.records(1).first?.ending != .completed)
    }
  }
}
