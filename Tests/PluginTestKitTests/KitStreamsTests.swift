import JSONText
import PluginKit
import PluginProtocol
import Synchronization
import Testing

@testable import PluginTestKit

/// Streams of the test hosts, as an adapter sees them.
@Suite struct KitStreamsTests {
  /// Publishes what a stream said.
  private struct WritingPlatform: Platform {
    static let manifest = PlatformManifest(id: "writer", version: "1.0.0", summary: "Reads streams.")
    /// Leaves the stream after so many events.
    var patience = Int.max

    func identify(_ context: AccountContext) async throws -> AccountIdentity { AccountIdentity(id: "1", name: "A") }
    func capabilities(_ context: AccountContext) async throws -> Capabilities { throw CancellationError() }
    func validate(_ post: Post, _ context: PureContext) throws -> Validation { Validation(findings: []) }
    func render(_ post: Post, _ context: PureContext) throws -> Rendering { Rendering(text: post.text) }

    func publish(_ post: Post, _ job: JobContext) async throws -> Publication.Published {
      let answer = try await job.stream(rule: "write", step: "write", body: .json(.emptyObject))
      guard case .events(let events) = answer else { return Publication.Published(remoteID: "whole", url: nil) }
      var (text, seen) = ("", 0)
      for try await element in events {
        switch element {
        case .event(let event): text += event.data
        case .end(let reason, let usage):
          return Publication.Published(remoteID: "\(text) \(reason) \(usage?.text ?? "-")", url: nil)
        }
        seen += 1
        if seen >= patience { break }
      }
      return Publication.Published(remoteID: "left after \(seen)", url: nil)
    }

    func reconcile(_ post: Post, evidence: [Evidence], _ job: JobContext) async throws -> Verdict { .absent }
    func delete(_ remoteID: String, _ job: JobContext) async throws {}
  }

  private let account = Account(id: "1", name: "Ann")
  private let job = JobInfo(key: "k-1", now: "2026-01-02T03:04:05.678Z", seed: "00ff")

  private func published(
    _ platform: WritingPlatform = WritingPlatform(),
    _ script: @escaping ScriptedHost<WritingPlatform>.StreamScript
  ) async throws -> String? {
    let host = ScriptedHost(platform, streams: script) { _ throws(PlatformError) in HTTPAnswer(status: 500) }
    _ = try await host.start()
    guard case .published(let result) = try await host.publish(Post(text: "a"), account, job: job) else { return nil }
    #expect(host.requests.map(\.rule) == ["write"])
    return result.remoteID
  }

  @Test func aScriptedStreamIsReadToItsEnd() async throws {
    // More than a stream has room for at its beginning, so the adapter has to make room.
    let events = (0..<300).map { HTTPEvents.Event(data: "\($0 % 10)") }
    let whole = events.map(\.data).joined()
    #expect(
      try await published { _ throws(PlatformError) in .events(events, usage: .string("u")) }
        == "\(whole) complete \"u\""
    )
    #expect(try await published { _ throws(PlatformError) in .events([], end: "timeout") } == " timeout -")
    let long = String(repeating: "é", count: 50_000)
    #expect(
      try await published { _ throws(PlatformError) in .events([HTTPEvents.Event(data: long)]) } == "\(long) complete -"
    )
  }

  @Test func aScriptMayRefuseOrAnswerWhole() async throws {
    #expect(try await published { _ throws(PlatformError) in .answer(HTTPAnswer(status: 402)) } == "whole")
    await #expect {
      try await published { _ throws(PlatformError) in throw PlatformError(.upstreamUnreachable, "no") }
    } throws: { ($0 as? PlatformError)?.kind == .upstreamUnreachable }
    let host = ScriptedHost(WritingPlatform()) { _ throws(PlatformError) in HTTPAnswer(status: 200) }
    _ = try await host.start()
    await #expect { try await host.publish(Post(text: "a"), account, job: job) } throws: {
      ($0 as? PlatformError)?.kind == .methodNotFound
    }
  }

  @Test func anAdapterMayLeaveEarly() async throws {
    let events = (0..<300).map { HTTPEvents.Event(data: "\($0)") }
    let left = try await published(WritingPlatform(patience: 3)) { _ throws(PlatformError) in .events(events) }
    #expect(left == "left after 3")
  }

  // MARK: The host of the conformance suite

  /// Answers with what the test says.
  private struct FixedPlatform: ScriptedPlatform {
    let given: HTTPAnswer

    func reset() async {}
    func answer(
      _ request: PerformHTTPRequest,
      rule: ManifestRule,
      account: Account,
      method: String
    ) async throws(ProtocolError) -> HTTPAnswer { given }
  }

  private func kitHost(_ answer: HTTPAnswer) throws -> KitHost {
    let manifest = #"""
      {"id": "a", "version": "1.0.0", "methods": [], "egress": [
        {"rule": "write", "class": "read", "method": "POST", "origin": "https://a.example", "path": "/w",
         "calls": ["post/publish"], "body": "json", "reason": "r", "exposeHeaders": ["x-cost"],
         "stream": {"parse": "sse", "usage": "/used"}},
        {"rule": "look", "class": "read", "method": "GET", "origin": "https://a.example", "path": "/l",
         "calls": ["post/publish"]}]}
      """#
    return KitHost(
      manifest: try AdapterManifest(Array(manifest.utf8)),
      account: account,
      platform: FixedPlatform(given: answer)
    )
  }

  private func open(_ host: KitHost, rule: String = "write") async -> Result<any WireValue, ProtocolError> {
    let call = host.beginCall("post/publish")
    let body: HTTPBody = rule == "write" ? .json(.emptyObject) : .none
    let request = PerformHTTPRequest(call: call, rule: rule, body: body)
    return await host.answer(OpenHTTPStreamRequest.method, OpenHTTPStreamRequest(request).json, process: nil)
  }

  private static let body =
    "id: 1\nevent: delta\ndata: one\ndata: two\n\n: comment\n\ndata: {\"used\":7}\r\n\r\ndata: cut"

  @Test func theSuitesHostMakesEventsOfAnAnswer() async throws {
    let headers = ["content-type": "text/event-stream; charset=utf-8", "x-cost": "1", "x-other": "2"]
    let host = try kitHost(HTTPAnswer(status: 200, headers: headers, text: Self.body))
    let result = try await open(host).get()
    let answer = try #require(result as? OpenHTTPStreamRequest.Answer)
    #expect(answer.stream == "s1")
    #expect(answer.answer.headers == ["x-cost": "1"] && answer.answer.text == nil)
    let messages = Mutex<[StreamNotification]>([])
    host.replied(result) { message in messages.withLock { $0.append(message) } }
    let seen = messages.withLock { $0 }
    #expect(
      seen == [
        StreamNotification(
          stream: "s1",
          seq: 1,
          events: [.init(event: "delta", data: "one\ntwo", id: "1"), .init(data: #"{"used":7}"#)]
        ),
        StreamNotification(
          stream: "s1",
          seq: 2,
          end: .init(reason: "complete", events: 2, bytes: 17, usage: try RawJSON(text: "7"))
        ),
      ]
    )
    #expect(host.problems == [])
  }

  @Test func theSuitesHostHoldsStreamsToTheManifest() async throws {
    let plain = try kitHost(HTTPAnswer(status: 429, headers: ["content-type": "text/event-stream"], text: "no"))
    let refused = try #require(try await open(plain).get() as? OpenHTTPStreamRequest.Answer)
    #expect(refused.stream == nil && refused.answer.status == 429 && refused.answer.headers == [:])
    guard case .failure(let error) = await open(plain, rule: "look") else {
      Issue.record("a rule without a stream was opened")
      return
    }
    #expect(error.kind == .egressDenied)
    let request = PerformHTTPRequest(call: plain.beginCall("post/publish"), rule: "write", body: .json(.emptyObject))
    guard case .failure = await plain.answer(PerformHTTPRequest.method, request.json, process: nil) else {
      Issue.record("a rule of a stream was answered whole")
      return
    }
    #expect(plain.problems.count == 2)
    let credit = CreditHTTPStreamRequest(call: "c-1", stream: "s9", events: 1, bytes: 1)
    guard case .failure = await plain.answer(CreditHTTPStreamRequest.method, credit.json, process: nil) else {
      Issue.record("a stream that never was got room")
      return
    }
  }

  @Test func roomIsKeptTo() async throws {
    let streams = KitStreams()
    let messages = Mutex<[StreamNotification]>([])
    let events = (0..<100).map { StreamNotification.Event(data: "\($0)") }
    func sent() -> Int { messages.withLock { $0.reduce(0) { $0 + $1.events.count } } }
    let id = streams.open(KitStreams.Content(events: events), for: "c")
    #expect(sent() == 0)
    streams.begin(id) { message in messages.withLock { $0.append(message) } }
    #expect(sent() == 64)
    try streams.credit(CreditHTTPStreamRequest(call: "c", stream: id, events: 6, bytes: 0))
    #expect(sent() == 70)
    #expect(throws: ProtocolError.self) {
      try streams.credit(CreditHTTPStreamRequest(call: "other", stream: id, events: 6, bytes: 0))
    }
    streams.endCall("c")
    let all = messages.withLock { $0 }
    #expect(all.last?.end?.reason == "cancelled" && all.last?.end?.events == 70)
    #expect(all.map(\.seq) == Array(1...Int64(all.count)))
    // It has ended; more room is no mistake of the adapter.
    try streams.credit(CreditHTTPStreamRequest(call: "c", stream: id, events: 6, bytes: 0))
    try streams.close(CloseHTTPStreamRequest(call: "c", stream: id))
  }
}
