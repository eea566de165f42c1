import Foundation
import JSONText
import PluginKit
import PluginProtocol
import PluginTestKit
import PluginTransport
import Testing

/// Frames with random faults, read by everything in the SDK that reads. Nothing may trap.
///
/// A million of them with `ROSTRUM_LONG` set; run that form under the address sanitizer.
@Suite struct MutatedFrameTests {
  private static let count = ProcessInfo.processInfo.environment["ROSTRUM_LONG"] == nil ? 20_000 : 1_000_000

  /// Takes frames and forgets them.
  private struct Nowhere: FrameSink {
    func send(_ frame: [UInt8]) throws(FrameSinkError) {}
  }

  /// An adapter that answers at once.
  private struct Still: Platform {
    static let manifest = PlatformManifest(id: "still", version: "1.0.0", summary: "Does nothing.")

    func identify(_ context: AccountContext) async throws -> AccountIdentity { AccountIdentity(id: "1", name: "a") }
    func capabilities(_ context: AccountContext) async throws -> Capabilities {
      Capabilities(text: .init(limit: 1, unit: "characters"))
    }
    func validate(_ post: Post, _ context: PureContext) throws -> Validation {
      _ = try context.capabilities()
      return Validation(findings: [])
    }
    func render(_ post: Post, _ context: PureContext) throws -> Rendering { Rendering(text: post.text) }
    func publish(_ post: Post, _ job: JobContext) async throws -> Publication.Published {
      var random = job.random
      return Publication.Published(remoteID: "\(random.next())", url: nil)
    }
    func reconcile(_ post: Post, evidence: [Evidence], _ job: JobContext) async throws -> Verdict { .absent }
    func delete(_ remoteID: String, _ job: JobContext) async throws {}
  }

  /// Good frames of every kind, with every member.
  private static let samples: [[UInt8]] = SchemaTests.samples.flatMap { sample in
    var frames = [Frame.request(id: 5, method: sample.method, params: sample.params.json)]
    frames.append(Frame.notification(method: sample.method, params: sample.params.json))
    frames += sample.results.map { Frame.response(id: 5, result: $0.json) }
    return frames + [Frame.failure(id: 5, error: ProtocolError(.rateLimited, "a", retryAfterMs: 1))]
  }

  private static let requests = Dictionary(
    (MessageRegistry.hostRequests + MessageRegistry.pluginRequests).map { ($0.method, $0) }
  ) { first, _ in first }

  @Test func readersAndParsersTakeAnything() {
    var mutator = FrameMutator(seed: "readers")
    var reader = FrameReader()
    var frames = 0
    for _ in 0..<Self.count {
      reader.consume(mutator.mutate(Self.samples)) { event in
        guard case .frame(let frame) = event else { return }
        frames += 1
        Self.read(frame)
      }
    }
    // Most faults leave no JSON; some must, or the parsers behind were never asked.
    #expect(frames > Self.count / 50)
  }

  private static func read(_ frame: RawJSON) {
    _ = frame.canonical().text
    for pointer in ["/params/post/media/0/bytes", "/result/json", "/params/~0~1/0", "/id"] {
      _ = try? frame.pointer(pointer)?.int64()
      _ = try? frame.pointer(pointer)?.double()
    }
    guard let envelope = try? Envelope(frame) else { return }
    switch envelope {
    case .request(_, let method, let params), .notification(let method, let params):
      if let type = requests[method] { _ = try? type.init(json: params) }
      for type in MessageRegistry.hostNotifications + MessageRegistry.pluginNotifications where type.method == method {
        _ = try? type.init(json: params)
      }
    case .response(_, let result):
      for type in requests.values { readAnswer(of: type, result) }
    case .failure(_, let error): _ = error.json
    }
  }

  private static func readAnswer<Request: RequestMessage>(of type: Request.Type, _ result: RawJSON) {
    if let answer = try? Request.Answer(json: result) { _ = answer.json }
  }

  @Test func aPluginTakesAnything() async {
    var mutator = FrameMutator(seed: "plugin")
    for start in stride(from: 0, to: Self.count, by: 1_000) {
      let service = PlatformService(Still())
      let connection = Connection(sink: Nowhere(), handlers: service.handlers)
      service.attach(connection)
      var reader = FrameReader()
      let plugin = PluginIdentity(id: "still", version: "1.0.0")
      let first = Frame.request(
        id: 1,
        method: InitializeRequest.method,
        params: InitializeRequest(hostVersion: "1", plugin: plugin)
      )
      reader.consume(first) { connection.receive($0) }
      for _ in start..<min(start + 1_000, Self.count) {
        reader.consume(mutator.mutate(Self.samples)) { connection.receive($0) }
      }
      await connection.waitUntilRunning(atMost: 0)
      connection.close()
    }
  }

  @Test func equalSeedsMakeEqualFrames() {
    var (one, two) = (FrameMutator(seed: "a"), FrameMutator(seed: "a"))
    for _ in 0..<100 { #expect(one.mutate(Self.samples) == two.mutate(Self.samples)) }
  }
}
