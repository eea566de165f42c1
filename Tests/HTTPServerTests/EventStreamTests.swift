import HTTPServer
import Testing

@Suite(.timeLimit(.minutes(15))) struct EventStreamTests {
  private static func event(_ number: Int) -> ServerSentEvent {
    ServerSentEvent(id: "\(number)", event: "delivery", data: "{\"n\":\(number)}")
  }

  private static func routes(_ router: inout Router, _ channel: EventChannel) {
    router.get("/events") { request in
      .events(channel, after: request.headers["last-event-id"], prelude: [ServerSentEvent(event: "hello", data: "{}")])
    }
  }

  private static func follow(_ server: ServerFixture, after id: String? = nil) async throws -> RawClient {
    let client = try RawClient(port: server.port)
    let resume = id.map { "Last-Event-ID: \($0)\n" } ?? ""
    try await client.send("GET /events HTTP/1.1\nHost: a\n\(resume)\n")
    return client
  }

  @Test func deliversToEveryClientAndResumes() async throws {
    let channel = EventChannel(joinInterval: .milliseconds(1))
    try await ServerFixture.run { router in
      Self.routes(&router, channel)
    } _: { server in
      var clients: [RawClient] = []
      for _ in 0..<20 {
        let client = try await Self.follow(server)
        let head = try await client.read(until: "event: hello\ndata: {}\n\n")
        #expect(head.lowercased().contains("content-type: text/event-stream"))
        clients.append(client)
      }
      for number in 1...100 { channel.publish(Self.event(number)) }
      for client in clients {
        let text = try await client.read(until: "id: 100\nevent: delivery\ndata: {\"n\":100}\n\n")
        #expect(text.contains("id: 1\nevent: delivery\ndata: {\"n\":1}\n\n"))
      }
      try await clients[0].leave()
      let back = try await Self.follow(server, after: "97")
      let text = try await back.read(until: "id: 100\n")
      #expect(!text.contains("id: 97\n"))
      #expect(text.contains("id: 98\n"))
      channel.publish(Self.event(101))
      _ = try await back.read(until: "id: 101\n")
    }
  }

  @Test func tellsClientsWhatTheyMissed() async throws {
    let channel = EventChannel(capacity: 1000, joinInterval: .zero)
    for number in 1...100 { channel.publish(Self.event(number)) }
    #expect(channel.position(after: "1") == nil)
    #expect(channel.position(after: "100") == channel.end)
    try await ServerFixture.run { router in
      Self.routes(&router, channel)
    } _: { server in
      let client = try await Self.follow(server, after: "1")
      let text = try await client.read(until: "event: gap\n")
      #expect(!text.contains("\nid: "))
      channel.publish(Self.event(101))
      _ = try await client.read(until: "id: 101\n")
    }
  }

  @Test func silentStreamsGetComments() async throws {
    let channel = EventChannel()
    try await ServerFixture.run {
      $0.eventCommentInterval = .milliseconds(40)
    } routes: { router in
      Self.routes(&router, channel)
    } _: { server in
      let client = try await Self.follow(server)
      _ = try await client.read(until: "event: hello\ndata: {}\n\n")
      _ = try await client.read(until: ":\n\n")
      _ = try await client.read(until: ":\n\n")
    }
  }

  @Test func noticesThatClientsLeave() async throws {
    let channel = EventChannel()
    try await ServerFixture.run { router in
      Self.routes(&router, channel)
    } _: { server in
      let client = try await Self.follow(server)
      _ = try await client.read(until: "event: hello\ndata: {}\n\n")
      try await client.leave()
      // Nothing is published: the departure alone ends the request.
      let records = await server.log.records(1)
      #expect(records.first?.route == "/events")
    }
  }

  @Test func limitsTheNumberOfStreams() async throws {
    let channel = EventChannel()
    try await ServerFixture.run {
      $0.maximumEventStreams = 1
      $0.maximumRequests = 1
    } routes: { router in
      Self.routes(&router, channel)
    } _: { server in
      let client = try await Self.follow(server)
      _ = try await client.read(until: "event: hello\ndata: {}\n\n")
      // The open stream does not count as a request.
      let second = try await RawClient.request(server.port, "GET", "/events")
      #expect(second.status == 503)
      let head = try await RawClient.request(server.port, "HEAD", "/events")
      #expect(head.status == 200)
    }
  }

  @Test func encodesEventsSafely() {
    let event = ServerSentEvent(id: "1\n\nid: 2", event: "a\r\ndata: x", data: "one\ntwo\r\nthree")
    let text = String(decoding: event.encoded, as: UTF8.self)
    #expect(text == "id: 1id: 2\nevent: adata: x\ndata: one\ndata: two\ndata: three\n\n")
  }
}
