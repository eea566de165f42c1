import PluginTransport
import Synchronization
import Testing

@testable import PluginKit

/// Streams as an adapter reads them.
@Suite struct HTTPEventsTests {
  /// A host that answers `host/http.open` and remembers what it was asked.
  private final class StreamHost: Sendable {
    private let asked = Mutex<[String]>([])
    private let pair = Mutex<LocalConnection?>(nil)
    let streams = StreamTable()

    init(opening: OpenHTTPStreamRequest.Answer, before: [StreamNotification] = []) {
      let local = LocalConnection(
        host: Connection.Handlers(request: { [weak self] method, params in
          guard let self else { return .failure(ProtocolError(.internal, "gone")) }
          self.asked.withLock { $0.append("\(method) \(params.pointer("/events")?.text ?? "")") }
          guard method == OpenHTTPStreamRequest.method else { return .success(EmptyMessage()) }
          // Events may come before the answer that names their stream.
          for message in before { self.send(message) }
          return .success(opening)
        }),
        plugin: Connection.Handlers(
          request: { _, _ in .failure(ProtocolError(.methodNotFound, "none")) },
          notification: { [streams] _, params in
            // The test's own messages can be read.
            if let message = try? StreamNotification(json: params) { streams.take(message) }
          }
        )
      )
      pair.withLock { $0 = local }
    }

    var requests: [String] { asked.withLock { $0 } }

    var services: HostServices? {
      pair.withLock { $0 }.map { HostServices(call: "c1", connection: $0.plugin, streams: streams) }
    }

    func send(_ message: StreamNotification) {
      pair.withLock { $0 }?.host.notify(message)
    }
  }

  private struct Context: HostContext {
    let host: HostServices
  }

  private static let opened = OpenHTTPStreamRequest.Answer(stream: "s1", answer: HTTPAnswer(status: 200))

  private func open(_ host: StreamHost) async throws -> HTTPStreamAnswer {
    try await Context(host: try #require(host.services)).stream(rule: "generate", step: "g", body: .json(.emptyObject))
  }

  private func events(_ host: StreamHost) async throws -> HTTPEvents {
    guard case .events(let events) = try await open(host) else { throw PlatformError(.internal, "no stream") }
    return events
  }

  @Test func eventsAndTheEndComeInOrder() async throws {
    let host = StreamHost(
      opening: Self.opened,
      before: [
        StreamNotification(
          stream: "s1",
          seq: 1,
          events: [.init(event: "a", data: "1", id: "x"), .init(data: "lo", more: true)]
        ),
        StreamNotification(stream: "s1", seq: 2, events: [.init(data: "ng")]),
        StreamNotification(
          stream: "s1",
          seq: 3,
          end: .init(reason: "complete", events: 2, bytes: 9, usage: .string("u"))
        ),
      ]
    )
    var elements: [HTTPEvents.Element] = []
    for try await element in try await events(host) { elements.append(element) }
    #expect(
      elements == [
        .event(.init(name: "a", data: "1", id: "x")), .event(.init(name: "message", data: "long", id: nil)),
        .end(reason: "complete", usage: .string("u")),
      ]
    )
    #expect(host.requests == ["host/http.open "])
  }

  @Test func aReaderMakesRoom() async throws {
    let host = StreamHost(opening: Self.opened)
    let events = try await events(host)
    for number in 1...8 {
      let batch = (0..<8).map { StreamNotification.Event(data: "\(number).\($0)") }
      host.send(StreamNotification(stream: "s1", seq: Int64(number), events: batch))
    }
    host.send(StreamNotification(stream: "s1", seq: 9, end: .init(reason: "complete", events: 64, bytes: 1)))
    var count = 0
    for try await _ in events { count += 1 }
    #expect(count == 65)
    #expect(host.requests.dropFirst() == ["host/http.credit 32", "host/http.credit 32"])
  }

  @Test func whoLeavesEarlyClosesTheStream() async throws {
    let host = StreamHost(opening: Self.opened)
    host.send(StreamNotification(stream: "s1", seq: 1, events: [.init(data: "1")]))
    for try await _ in try await events(host) { break }
    while host.requests.count < 2 { await Task.yield() }
    #expect(host.requests.last == "host/http.close ")
  }

  @Test func aGapIsAnError() async throws {
    let host = StreamHost(opening: Self.opened)
    let events = try await events(host)
    host.send(StreamNotification(stream: "s1", seq: 2, events: [.init(data: "1")]))
    await #expect { for try await _ in events {} } throws: { ($0 as? PlatformError)?.kind == .protocolViolation }
  }

  @Test func anotherAnswerIsNoStream() async throws {
    let host = StreamHost(opening: .init(stream: nil, answer: HTTPAnswer(status: 429, json: .emptyObject)))
    guard case .answer(let answer) = try await open(host) else {
      Issue.record("a stream")
      return
    }
    #expect(answer.status == 429)
  }

  @Test func messagesGoThroughTheirText() throws {
    let request = OpenHTTPStreamRequest(
      PerformHTTPRequest(call: "c1", rule: "r", step: "s", body: .json(.emptyObject), captures: ["u": "capture:s/u"])
    )
    #expect(try OpenHTTPStreamRequest(json: request.json) == request)
    let credit = CreditHTTPStreamRequest(call: "c1", stream: "s1", events: 1, bytes: 2)
    #expect(try CreditHTTPStreamRequest(json: credit.json) == credit)
    let close = CloseHTTPStreamRequest(call: "c1", stream: "s1")
    #expect(try CloseHTTPStreamRequest(json: close.json) == close)
    let answer = OpenHTTPStreamRequest.Answer(
      stream: "s1",
      answer: HTTPAnswer(status: 200, captured: ["a": "capture:s/a"])
    )
    #expect(try OpenHTTPStreamRequest.Answer(json: answer.json) == answer)
  }
}
