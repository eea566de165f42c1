import Cryptography
import JSONText
import Testing

@testable import Egress

/// Bytes to events, whatever way the bytes arrive.
@Suite struct EventStreamParserTests {
  private static let sample = Array(
    "\u{FEFF}: hello\r\nevent: start\r\nid: 1\r\ndata: {\"a\":\"\u{E9}\u{1F600}\"}\r\n\r\ndata: one\ndata\ndata:two\n\ndata:  x\rretry: 5\rfoo: bar\r\r: ping\n\nevent: none\n\nid: 7\ndata: last\n\ndata: cut"
      .utf8
  )
  private static let events = [
    ServerSentEvent(name: "start", data: "{\"a\":\"\u{E9}\u{1F600}\"}", id: "1"),
    ServerSentEvent(name: "message", data: "one\n\ntwo", id: nil),
    ServerSentEvent(name: "message", data: " x", id: nil),
    ServerSentEvent(name: "message", data: "last", id: "7"),
  ]

  @Test func everyCutGivesTheSameEvents() throws {
    for cut in 0...Self.sample.count {
      var parser = EventStreamParser()
      let first = try parser.feed(Array(Self.sample[..<cut]))
      let events = first + (try parser.feed(Array(Self.sample[cut...])))
      #expect(events == Self.events, "cut at \(cut)")
    }
  }

  @Test func oneByteAtATimeIsTheSame() throws {
    var parser = EventStreamParser()
    var events: [ServerSentEvent] = []
    for byte in Self.sample { events += try parser.feed([byte]) }
    #expect(events == Self.events)
  }

  @Test func aLineOfAMebibyteFits() throws {
    let text = String(repeating: "x", count: EventStreamParser.maximumLine - 6)
    var parser = EventStreamParser()
    var events: [ServerSentEvent] = []
    for chunk in Array("data: \(text)\n\n".utf8).chunks(of: 16_384) { events += try parser.feed(chunk) }
    #expect(events.map(\.data.utf8.count) == [text.utf8.count])
  }

  @Test func longerLinesAndDataAreRefused() {
    var parser = EventStreamParser()
    #expect(throws: EventStreamParser.Fault.tooLong) {
      try parser.feed([UInt8](repeating: 0x78, count: EventStreamParser.maximumLine + 1))
    }
    var other = EventStreamParser()
    let line = Array("data: \(String(repeating: "y", count: 1 << 19))\n".utf8)
    #expect(throws: EventStreamParser.Fault.tooLong) {
      for _ in 0..<9 { _ = try other.feed(line) }
    }
  }

  @Test func anyBytesAreTaken() throws {
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<500 {
      var parser = EventStreamParser()
      let bytes = (0..<Int.random(in: 0...300, using: &generator)).map { _ in
        [0x0A, 0x0D, 0x3A, 0x20, 0x64, 0x61, 0x74, 0xC3, 0x00, UInt8.random(in: 0...255, using: &generator)]
          .randomElement(using: &generator) ?? 0
      }
      _ = try parser.feed(bytes)
    }
  }
}

/// Together, in order, and never more than there is room for.
@Suite struct EventFlowTests {
  private let start = ContinuousClock.now

  private func event(_ size: Int) -> ServerSentEvent {
    ServerSentEvent(name: "m", data: String(repeating: "d", count: size - 33), id: nil)
  }

  @Test func eventsWaitForOthers() {
    var flow = EventFlow()
    flow.add([event(50)], at: start)
    #expect(flow.take(at: start).isEmpty)
    #expect(flow.dueAt == start + .milliseconds(20))
    flow.add([event(50)], at: start + .milliseconds(15))
    let batches = flow.take(at: start + .milliseconds(20))
    #expect(batches.map(\.events.count) == [2])
    #expect(batches.map(\.sequence) == [1])
    #expect(flow.dueAt == nil)
  }

  @Test func muchIsSentAtOnce() {
    var flow = EventFlow()
    flow.add((0..<20).map { _ in event(1_024) }, at: start)
    let batches = flow.take(at: start)
    #expect(batches.map(\.events.count) == [16])
    #expect(flow.take(at: start + .milliseconds(20)).map(\.events.count) == [4])
  }

  @Test func sixtyFourEventsAreTheFirstRoom() {
    var flow = EventFlow()
    flow.add((0..<100).map { _ in event(40) }, at: start)
    #expect(flow.take(at: start, all: true).reduce(0) { $0 + $1.events.count } == 64)
    #expect(flow.dueAt == nil)
    flow.grant(events: 10, bytes: 0)
    #expect(flow.take(at: start, all: true).reduce(0) { $0 + $1.events.count } == 10)
    flow.grant(events: -5, bytes: -1)
    #expect(flow.take(at: start, all: true).isEmpty)
  }

  @Test func bytesAreRoomToo() {
    var flow = EventFlow()
    flow.add((0..<30).map { _ in event(16_384) }, at: start)
    #expect(flow.isFull)
    #expect(flow.take(at: start, all: true).reduce(0) { $0 + $1.events.count } == 16)
    flow.grant(events: 0, bytes: 16_384)
    #expect(flow.take(at: start, all: true).reduce(0) { $0 + $1.events.count } == 1)
    #expect(flow.isFull == false)
  }

  @Test func aLongEventIsCutBetweenCharacters() {
    var flow = EventFlow()
    let text = "a" + String(repeating: "\u{1F600}", count: 50_000)
    flow.add([ServerSentEvent(name: "m", data: text, id: nil), event(40)], at: start)
    let batches = flow.take(at: start, all: true)
    #expect(batches.map(\.isPart) == [true, false, false])
    #expect(batches.flatMap(\.events).prefix(2).map(\.data).joined() == text)
    #expect(flow.waitingBytes == 0)
  }
}

/// A secret is found however it is cut.
@Suite struct StreamRedactorTests {
  private let secret = "s3cret-Token/99"

  @Test func everyCutIsRedacted() {
    let forms = [secret, Base64.encode(Array(secret.utf8)), Hex.encode(Array(secret.utf8))]
    for form in forms {
      let text = Array("data: a \(form) b\n\n".utf8)
      for cut in 0...text.count {
        var redactor = StreamRedactor(Redactor([Secret(secret)]))
        let output = redactor.feed(Array(text[..<cut])) + redactor.feed(Array(text[cut...])) + redactor.finish()
        let result = String(decoding: output, as: UTF8.self)
        #expect(result == "data: a [redacted] b\n\n", "\(form) at \(cut): \(result)")
        #expect(redactor.count == 1)
      }
    }
  }

  @Test func nothingElseIsHeldBack() {
    var redactor = StreamRedactor(Redactor([Secret(secret)]))
    #expect(redactor.feed(Array("data: s\n\n".utf8)) == Array("data: s\n\n".utf8))
    #expect(redactor.feed(Array("data: s3c".utf8)) == Array("data: ".utf8))
    #expect(redactor.feed(Array("urity".utf8)) == Array("s3curity".utf8))
    #expect(redactor.count == 0)
  }

  @Test func randomPiecesNeverLeak() {
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<300 {
      var text: [UInt8] = []
      for _ in 0..<10 {
        text += Array(secret.utf8.prefix(Int.random(in: 0...secret.utf8.count, using: &generator)))
        if Bool.random(using: &generator) { text += Array(secret.utf8) }
      }
      var redactor = StreamRedactor(Redactor([Secret(secret)]))
      var output: [UInt8] = []
      var rest = text[...]
      while !rest.isEmpty {
        let count = Int.random(in: 1...rest.count, using: &generator)
        output += redactor.feed(Array(rest.prefix(count)))
        rest = rest.dropFirst(count)
      }
      output += redactor.finish()
      #expect(!String(decoding: output, as: UTF8.self).contains(secret))
    }
  }
}

/// Streams through the whole gate, from a real server.
@Suite struct EgressDeskTests {
  private static let rules = #"""
    [{"rule": "generate", "class": "read", "reason": "a test", "method": "POST", "origin": "https://api.example.com",
      "path": "/generate", "calls": ["post/publish"], "body": "json", "stream": {"parse": "sse", "usage": "/usage"},
      "slots": {"header.authorization": {"secret": "token", "format": "Bearer {}"}}, "exposeHeaders": ["x-id"],
      "maxBody": 33554432, "timeoutMs": 120000},
     {"rule": "paid", "class": "billed", "method": "POST", "origin": "https://api.example.com",
      "path": "/paid", "calls": ["post/publish"], "body": "json", "stream": {"parse": "sse"},
      "maxBody": 33554432, "timeoutMs": 120000},
     {"rule": "plain", "class": "read", "method": "GET", "origin": "https://api.example.com", "path": "/plain",
      "calls": ["post/publish"], "maxBody": 2000, "timeoutMs": 5000}]
    """#

  private func open(_ desk: EgressDesk, _ rule: String = "generate") async throws -> HTTPAnswer {
    try await #require(
      desk.answer("host/http.open", RawJSON(text: #"{"rule":"\#(rule)","step":"g","parse":"sse","json":{}}"#))
    )
  }

  private func stream(_ answer: HTTPAnswer) throws -> String {
    guard case .result(let result) = answer.reply else { throw EgressError(.internal, "\(answer.reply)") }
    return try #require(try result.pointer("/stream")?.string())
  }

  @Test func eventsComeAsTheyAreSent() async throws {
    let gate = Gate()
    let fixture = try RuleFixture(Self.rules) { _ in
      .events(
        ["data: {\"n\":1}\n\n", "event: delta\ndata: tok-4f9c-sec", "ret-0001\n\ndata: {\"usage\":{\"t\":3}}\n\n"],
        gate: gate
      )
    }
    let messages = Messages()
    let desk = fixture.desk(messages)
    let answer = try await open(desk)
    let stream = try stream(answer)
    gate.open()
    // The first event is here although the answer is far from its end.
    let first = try #require(await messages.first { $0.pointer("/events/0") != nil })
    #expect(first.text == #"{"stream":"\#(stream)","seq":1,"events":[{"data":"{\"n\":1}"}]}"#)
    gate.open()
    gate.open()
    let end = try #require(await messages.end())
    #expect(messages.data == [#"{"n":1}"#, "[redacted]", #"{"usage":{"t":3}}"#])
    #expect(end.pointer("/reason")?.text == #""complete""#)
    #expect(end.pointer("/usage")?.text == #"{"t":3}"#)
    #expect(end.pointer("/events")?.text == "3")
    #expect(fixture.server.requests.first?.headers["authorization"] == "Bearer tok-4f9c-secret-0001")
    #expect(fixture.server.requests.first?.headers["accept"] == "text/event-stream")
  }

  @Test func withoutRoomThePlatformWaits() async throws {
    let sent = Sent()
    let event = "data: \(String(repeating: "e", count: 4_000))\n\n"
    let fixture = try RuleFixture(Self.rules) { _ in .endless(event: event, sent) }
    let messages = Messages()
    let desk = fixture.desk(messages)
    let stream = try stream(try await open(desk))
    // 64 events fill the first room; then nothing more comes until there is more.
    while messages.data.count < 64 { _ = await messages.first { _ in true } }
    #expect(messages.data.count == 64)
    let credit = try RawJSON(text: #"{"call":"c1","stream":"\#(stream)","events":40,"bytes":1000000}"#)
    let granted = await desk.answer("host/http.credit", credit)
    #expect(granted?.failure == nil)
    while messages.data.count < 104 { _ = await messages.first { _ in true } }
    #expect(messages.data.count == 104)
    _ = await desk.answer("host/http.close", try RawJSON(text: #"{"call":"c1","stream":"\#(stream)"}"#))
    #expect(await messages.end()?.pointer("/reason")?.text == #""closed""#)
    await sent.ended()
    // What the platform could send is bounded by buffers, not by its speed.
    #expect(sent.count < 64 << 20)
  }

  @Test func theEndOfTheCallClosesThePlatform() async throws {
    let sent = Sent()
    let fixture = try RuleFixture(Self.rules) { _ in .endless(event: "data: x\n\n", sent) }
    let messages = Messages()
    let desk = fixture.desk(messages)
    _ = try stream(try await open(desk))
    desk.finish()
    #expect(await messages.end()?.pointer("/reason")?.text == #""cancelled""#)
    await sent.ended()
    let late = try await open(desk)
    #expect(late.failure?.kind == .overloaded)
  }

  @Test func anotherAnswerIsGivenWhole() async throws {
    let fixture = try RuleFixture(Self.rules) { _ in .answer(429, body: #"{"error":"slow tok-4f9c-secret-0001"}"#) }
    let messages = Messages()
    let answer = try await open(fixture.desk(messages))
    #expect(answer.resultText == #"{"status":429,"headers":{},"json":{"error":"slow [redacted]"},"truncated":false}"#)
    #expect(messages.all.isEmpty)
  }

  @Test func aBrokenStreamSaysSo() async throws {
    let head = "HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ncontent-length: 1000\r\n\r\n"
    let fixture = try RuleFixture(Self.rules) { _ in .raw([Array("\(head)data: 1\n\ndata: 2".utf8)]) }
    let messages = Messages()
    _ = try stream(try await open(fixture.desk(messages)))
    #expect(await messages.end()?.pointer("/reason")?.text == #""connectionLost""#)
    #expect(messages.data == ["1"])
  }

  @Test func whatIsPaidForIsJournaled() async throws {
    let fixture = try RuleFixture(Self.rules) { _ in .events(["data: a\n\n"]) }
    let messages = Messages()
    _ = try stream(try await open(fixture.desk(messages), "paid"))
    _ = await messages.end()
    while await fixture.journal.outcomes.isEmpty { await Task.yield() }
    let outcome = try #require(await fixture.journal.outcomes.first)
    #expect(outcome.outcome == .accepted)
    #expect(outcome.answer?.text == #"{"status":200,"stream":{"reason":"complete","events":1,"bytes":9}}"#)
  }

  @Test(arguments: [
    ("host/http.open", #"{"rule":"plain","parse":"sse"}"#, EgressError.Kind.capabilityDenied),
    ("host/http.open", #"{"rule":"generate","json":{}}"#, .invalidParams),
    ("host/http.open", #"{"rule":"generate","json":{},"parse":"json"}"#, .invalidParams),
    ("host/http", #"{"rule":"generate","json":{}}"#, .capabilityDenied),
    ("host/http", #"{"rule":"plain","parse":"sse"}"#, .invalidParams),
    ("host/http.credit", #"{"stream":"s0","events":-1}"#, .invalidParams),
    ("host/http.credit", #"{"events":1}"#, .invalidParams),
    ("host/http.close", #"[]"#, .invalidParams),
  ])
  func wrongRequestsAreNamed(_ method: String, _ params: String, _ kind: EgressError.Kind) async throws {
    let fixture = try RuleFixture(Self.rules)
    let answer = await fixture.desk(Messages()).answer(method, try RawJSON(text: params))
    #expect(answer?.failure?.kind == kind)
    #expect(fixture.server.requests.isEmpty)
  }

  @Test func otherMethodsAreNotTheDesks() async throws {
    let answer = try await RuleFixture(Self.rules).desk(Messages()).answer("host/media.stat", .emptyObject)
    #expect(answer == nil)
  }

  @Test func aCallHasSixtyFourRequests() async throws {
    let fixture = try RuleFixture(Self.rules)
    let desk = fixture.desk(Messages())
    let params = try RawJSON(text: #"{"rule":"plain"}"#)
    for _ in 0..<64 {
      let answer = await desk.answer("host/http", params)
      #expect(answer?.failure == nil)
    }
    let answer = await desk.answer("host/http", params)
    #expect(answer?.failure?.kind == .egressDenied)
  }

  @Test func aReplayCostsNothing() async throws {
    let fixture = try RuleFixture(Self.rules)
    let stored = StoredAnswer.result(try RawJSON(text: #"{"status":200,"headers":{},"truncated":false}"#))
    let desk = EgressDesk(
      egress: fixture.egress,
      call: EgressDesk.Call(
        method: "post/publish",
        manifest: fixture.manifest,
        scope: fixture.scope,
        secrets: fixture.secrets,
        journal: MemoryJournal(storedRead: stored),
        deadline: .now + .seconds(300)
      ),
      notify: { _ in }
    )
    for _ in 0..<100 {
      let answer = await desk.answer("host/http", try RawJSON(text: #"{"rule":"plain"}"#))
      #expect(answer?.isReplay == true)
    }
  }
}

extension Array {
  func chunks(of size: Int) -> [[Element]] {
    stride(from: 0, to: count, by: size).map { Array(self[$0..<Swift.min($0 + size, count)]) }
  }
}

/// Bursts and rates under a clock of the test's.
@Suite struct TokenBucketTests {
  @Test func aBurstThenARate() {
    let rate = TokenBucket.Rate(burst: 3, perSecond: 2)
    let start = ContinuousClock.now
    var bucket = TokenBucket(rate, at: start)
    for _ in 0..<3 { #expect(bucket.take(rate, at: start) == nil) }
    #expect(bucket.take(rate, at: start) == .milliseconds(500))
    #expect(bucket.take(rate, at: start + .milliseconds(500)) == nil)
    #expect(bucket.take(rate, at: start + .milliseconds(400)) != nil)
    bucket.fill(rate, at: start + .seconds(100))
    #expect(bucket.tokens == 3)
  }

  @Test func oneAccountCannotStarveAnother() {
    let gate = RateGate()
    let now = ContinuousClock.now
    func scope(_ connection: Int64) -> EgressScope {
      EgressScope(site: 1, connection: connection, pluginID: "p", requestKey: "k")
    }
    var taken = 0
    while gate.take(scope(1), at: now) == nil { taken += 1 }
    #expect(taken == Int(RateGate.perAccount.burst))
    #expect(gate.take(scope(2), at: now) == nil)
  }
}
