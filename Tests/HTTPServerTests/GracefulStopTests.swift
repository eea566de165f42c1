import FoundationEssentials
import Glibc
import HTTPServer
import Testing

@Suite(.timeLimit(.minutes(15))) struct GracefulStopTests {
  @Test func letsRequestsInFlightFinish() async throws {
    let gate = Announcement<Void>()
    let begun = Announcement<Void>()
    let status = Announcement<Int>()
    let text = Announcement<String>()
    let client = Announcement<RawClient>()
    async let answer: Void = {
      let answer = try await client.value.answer()
      status.announce(answer.status)
      text.announce(answer.headers["connection"] ?? "")
    }()
    try await ServerFixture.run { router in
      router.get("/wait") { _ in
        begun.announce()
        await gate.value
        return .text("done")
      }
    } _: { server in
      let raw = try RawClient(port: server.port)
      try await raw.send("GET /wait HTTP/1.1\nHost: a\n\n")
      client.announce(raw)
      await begun.value
      server.stop.announce()
      // Once nobody can connect any more, the stop has begun.
      while (try? RawClient(port: server.port)) != nil { await Task.yield() }
      gate.announce()
    }
    try await answer
    #expect(await status.value == 200)
    #expect(await text.value.lowercased() == "close")
  }

  @Test func giveUpAfterTheDeadlineWithoutAborting() async throws {
    let begun = Tally<Void>()
    let clients = Announcement<[RawClient]>()
    let channel = EventChannel()
    let never = Announcement<Void>()
    async let statuses: [Int] = {
      var statuses: [Int] = []
      for client in await clients.value { statuses.append(try await client.answer().status) }
      return statuses
    }()
    try await ServerFixture.run {
      $0.stopDeadline = .milliseconds(50)
    } routes: { router in
      router.get("/stuck") { _ in
        begun.add(())
        await never.value
        return .empty()
      }
      router.post("/upload", body: .streamed(limit: 1 << 30)) { request in
        begun.add(())
        await never.value
        return .empty()
      }
      router.get("/stream") { _ in
        .stream(contentType: "text/plain") { writer in
          try await writer.write("x")
          begun.add(())
          await never.value
        }
      }
      router.get("/events") { _ in .events(channel) }
    } _: { server in
      var stuck: [RawClient] = []
      var others: [RawClient] = []
      for _ in 0..<10 {
        let client = try RawClient(port: server.port)
        try await client.send("GET /stuck HTTP/1.1\nHost: a\n\n")
        stuck.append(client)
        let upload = try RawClient(port: server.port)
        try await upload.send("POST /upload HTTP/1.1\nHost: a\nContent-Length: 10000000\n\n")
        try await upload.send([UInt8](repeating: 1, count: 400_000))
        let stream = try RawClient(port: server.port)
        try await stream.send("GET /stream HTTP/1.1\nHost: a\n\n")
        let events = try RawClient(port: server.port)
        try await events.send("GET /events HTTP/1.1\nHost: a\n\n")
        _ = try await events.read(until: ":\n\n")
        let idle = try RawClient(port: server.port)
        others += [upload, stream, events, idle]
      }
      _ = await begun.records(30)
      clients.announce(stuck)
      server.stop.announce()
      for client in others { _ = try await client.readToEnd() }
    }
    // The server has stopped while handlers still hang; they end without harm.
    never.announce()
    #expect(try await statuses == Array(repeating: 503, count: 10))
  }

  /// A child that is being started holds a copy of every descriptor until it has closed them.
  @Test func nobodyListensAfterwardsWhoeverHoldsACopy() async throws {
    let copies = try await ServerFixture.run { _ in
    } _: { server in
      let copies = try Self.listeners(on: server.port).map { dup($0) }
      server.stop.announce()
      return copies
    }
    defer { for copy in copies { close(copy) } }
    try #require(!copies.isEmpty)
    #expect(copies.allSatisfy { !Self.isListening($0) })
  }

  private static func isListening(_ descriptor: Int32) -> Bool {
    var value: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    return unsafe getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value != 0
  }

  private static func listeners(on port: UInt16) throws -> [Int32] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap { Int32($0) }.filter { descriptor in
      guard isListening(descriptor) else { return false }
      var address = sockaddr_in()
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      return unsafe withUnsafeMutablePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
          unsafe getsockname(descriptor, pointer, &length) == 0
        }
      } && UInt16(bigEndian: address.sin_port) == port
    }
  }

  @Test func stopsWhenItsTaskIsCanceled() async throws {
    let started = Announcement<UInt16>()
    let task = Task {
      try await HTTPServer(HTTPServerConfiguration(), router: Router()).run(started: { started.announce($0) }) {
        // The only error is the cancellation this test makes.
        try? await Task.sleep(for: .seconds(600))
      }
    }
    let port = await started.value
    _ = try await RawClient.request(port, "GET", "/")
    task.cancel()
    try await task.value
    #expect(throws: (any Error).self) { try RawClient(port: port) }
  }
}
