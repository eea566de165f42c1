import HTTPServer
import Testing

@Suite(.timeLimit(.minutes(15))) struct MalformedRequestTests {
  private static func run(_ body: @escaping @Sendable (ServerFixture) async throws -> Void) async throws {
    try await ServerFixture.run { router in
      router.get("/ok") { _ in .text("ok") }
      router.post("/ok") { .text("\($0.body.bytes.count)") }
      router.get("/q") { request in
        let query = try request.query()
        try query.allow(only: "n", "text")
        return .text("\(try query.int("n", 1...9) ?? 0) \(try query.string("text", 0...5) ?? "-")")
      }
    } _: { server in
      try await body(server)
      #expect(try await RawClient.request(server.port, "GET", "/ok").text == "ok")
    }
  }

  @Test(
    arguments: [
      ("GET /%zz HTTP/1.1\nHost: a\n\n", 400),
      ("GET /%00 HTTP/1.1\nHost: a\n\n", 400),
      ("GET /%ff HTTP/1.1\nHost: a\n\n", 400),
      ("GET /ok/%2e%2e/x HTTP/1.1\nHost: a\n\n", 400),
      ("GET /a%2fb HTTP/1.1\nHost: a\n\n", 400),
      ("GET /a%5cb HTTP/1.1\nHost: a\n\n", 400),
      ("GET ok HTTP/1.1\nHost: a\n\n", 400),
      ("GET http://a/ok HTTP/1.1\nHost: a\n\n", 400),
      ("GET //ok HTTP/1.1\nHost: a\n\n", 404),
      ("GET /ok/ HTTP/1.1\nHost: a\n\n", 404),
      ("GET /q?n=10 HTTP/1.1\nHost: a\n\n", 400),
      ("GET /q?n=1&n=2 HTTP/1.1\nHost: a\n\n", 400),
      ("GET /q?text=abcdef HTTP/1.1\nHost: a\n\n", 400),
      ("GET /q?text=%e2%82 HTTP/1.1\nHost: a\n\n", 400),
      ("GET /q?other=1 HTTP/1.1\nHost: a\n\n", 400),
      ("BREW /ok HTTP/1.1\nHost: a\n\n", 405),
      ("TRACE /ok HTTP/1.1\nHost: a\n\n", 405),
      ("GET /ok HTTP/1.1\n\n", 400),
      ("GET /ok HTTP/1.1\nHost: a\nHost: b\n\n", 400),
      ("POST /ok HTTP/1.1\nHost: a\nContent-Length: 3\nContent-Length: 4\n\nabcd", 400),
      ("POST /ok HTTP/1.1\nHost: a\nContent-Length : 3\n\nabc", 400),
      ("POST /ok HTTP/1.1\nHost: a\nTransfer-Encoding: gzip\n\nabc", 400),
      ("POST /ok HTTP/1.1\nHost: a\nTransfer-Encoding: chunked, gzip\n\nabc", 400),
      ("GET /a b HTTP/1.1\nHost: a\n\n", 400),
      ("GET /\u{301}ok HTTP/1.1\nHost: a\n\n", 400),
      ("GET /ok?\u{301}n=1 HTTP/1.1\nHost: a\n\n", 400),
      ("GET /ok HTTP/1.1\nHost: a\nX Y: 1\n\n", 400),
      ("POST /ok HTTP/1.1\nHost: a\nContent-Length: 3\nTransfer-Encoding: chunked\n\n0\n\n", 400),
      ("POST /ok HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\nzz\n", 400),
    ]
  )
  func refuses(request: String, status: Int) async throws {
    try await Self.run { server in
      let client = try RawClient(port: server.port)
      try await client.send(request)
      #expect(try await client.answer().status == status)
    }
  }

  // The library answers these itself before anybody else sees them.
  @Test(arguments: [("-1", "400"), ("x", "400"), ("99999999999999999999", "413")])
  func refusesLengthsThatAreNone(length: String, status: String) async throws {
    try await Self.run { server in
      let client = try RawClient(port: server.port)
      try await client.send("POST /ok HTTP/1.1\nHost: a\nContent-Length: \(length)\n\n")
      let text = String(decoding: try await client.readToEnd(), as: UTF8.self)
      #expect(text.hasPrefix("HTTP/1.1 \(status) "))
    }
  }

  @Test func refusesHeadersThatAreTooLarge() async throws {
    try await Self.run { server in
      let value = String(repeating: "a", count: 13 << 10)
      let answer = try await RawClient.request(server.port, "GET", "/ok", headers: ["X-A: \(value)"])
      #expect(answer.status == 431)
      #expect(answer.text.contains("headersTooLarge"))
      let fits = String(repeating: "a", count: 11 << 10)
      #expect(try await RawClient.request(server.port, "GET", "/ok", headers: ["X-A: \(fits)"]).status == 200)
      // Far too much is refused before it is all read.
      let client = try RawClient(port: server.port)
      try await client.send("GET /ok HTTP/1.1\nHost: a\nX-A: ")
      try await client.send([UInt8](repeating: 0x61, count: 200_000))
      let end = String(decoding: try await client.readToEnd(), as: UTF8.self)
      #expect(end.isEmpty || end.hasPrefix("HTTP/1.1 4"))
    }
  }

  @Test func readsParametersOfTheQuery() async throws {
    try await Self.run { server in
      for (query, text) in [("?n=3&text=a+%C3%A9", "3 a é"), ("", "0 -"), ("?&&", "0 -")] {
        let answer = try await RawClient.request(server.port, "GET", "/q" + query)
        #expect(answer.text == text)
      }
    }
  }

  @Test func survivesNoise() async throws {
    try await Self.run { server in
      var generator = SplitMix(state: 42)
      let seeds = [
        "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n", "POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789",
        "POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n", "\u{0}\u{1}\u{2}",
      ].map { Array($0.utf8) }
      for _ in 0..<300 {
        var bytes = seeds[Int(generator.next() % UInt64(seeds.count))]
        for _ in 0..<(generator.next() % 6) {
          let index = Int(generator.next() % UInt64(bytes.count))
          bytes[index] = UInt8(truncatingIfNeeded: generator.next())
        }
        bytes = Array(bytes.prefix(Int(generator.next() % UInt64(bytes.count + 20))))
        let client = try RawClient(port: server.port)
        try await client.send(bytes)
        try await client.leave()
      }
    }
  }

  private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var value = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
      value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
      return value ^ (value >> 31)
    }
  }
}
