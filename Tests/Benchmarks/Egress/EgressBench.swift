import Cryptography
import Egress
import FoundationEssentials
import Glibc
import HTTPClient
import JSONText
import PluginManifest

/// What the gate costs beside the HTTP client alone, and what a large upload does to the memory of the host.
struct EgressBench {
  struct Report: Sendable {
    /// Microseconds at the middle.
    let direct: Double
    let gate: Double
    /// Middle of the differences of neighbours.
    let overhead: Double
  }

  struct Upload: Sendable {
    let seconds: Double
    /// Mebibytes by which the process grew at most.
    let growth: Double
  }

  private let client: HTTPClient
  private let egress: Egress
  private let manifest: PluginManifest
  private let url: String

  /// - Parameter url: A server on this machine that answers any request with a small JSON object.
  init(url: String) throws {
    let target = try TargetURL(url)
    client = try HTTPClient()
    egress = Egress(
      client: try HTTPClient(),
      policy: try AddressPolicy(allow: "\(target.host):\(target.port)", overrides: "https://api.example.com=\(url)")
    )
    manifest = try PluginManifest.parse(Array(Self.manifest.utf8))
    self.url = url
  }

  /// Makes the same request by both ways in turn, so that the machine's moods fall on both.
  func compare(requests: Int) async throws -> Report {
    var direct: [Double] = []
    var gate: [Double] = []
    for round in 0..<(requests + 200) {
      let first = try await measure { try await askDirectly() }
      let second = try await measure { try await askTheGate(round) }
      // The first requests open connections and fill caches.
      if round >= 200 {
        direct.append(first)
        gate.append(second)
      }
    }
    let differences = zip(gate, direct).map { $0 - $1 }.sorted()
    return Report(
      direct: direct.sorted()[direct.count / 2],
      gate: gate.sorted()[gate.count / 2],
      overhead: differences[differences.count / 2]
    )
  }

  /// Sends one file through a media handle and watches the memory of this process.
  func upload(bytes: Int) async throws -> Upload {
    let path = FileManager.default.temporaryDirectory.path + "/bench-upload-\(UUID().uuidString)"
    let descriptor = unsafe open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
    guard descriptor >= 0, ftruncate(descriptor, off_t(bytes)) == 0 else { throw BenchError("no room for \(path)") }
    close(descriptor)
    defer { unsafe unlink(path) }
    for round in 0..<64 { try await askTheGate(round) }
    let before = try Self.memory("VmRSS")
    try Self.resetPeak()
    let seconds = try await measure {
      try await ask(
        #"{"call":"c1","rule":"upload","step":"u","media":{"handle":"m-1"}}"#,
        media: OneFile(
          file: MediaFile(path: path, byteCount: Int64(bytes), type: "video/mp4", sha256: "00", filename: "v")
        )
      )
    }
    return Upload(seconds: seconds / 1_000_000, growth: (try Self.memory("VmHWM") - before) / 1_024)
  }

  // MARK: Ways

  private func askDirectly() async throws {
    let outcome = await client.perform(
      OutgoingRequest(
        method: "POST",
        url: "\(url)/posts/1",
        headers: [("authorization", "Bearer \(Self.token)"), ("content-type", "application/json")],
        body: .bytes(Array(Self.body.utf8)),
        addressPolicy: { _ in true }
      )
    )
    guard case .response(let response) = outcome, response.status == 200 else { throw BenchError("no answer") }
  }

  private func askTheGate(_ round: Int) async throws {
    try await ask(
      #"{"call":"c1","rule":"post","step":"s\#(round)","path":{"id":"1"},"json":\#(Self.body)}"#,
      media: NoMedia()
    )
  }

  private func ask(_ params: String, media: any MediaSource) async throws {
    let answer = await egress.perform(
      try RawJSON(text: params),
      method: "post/publish",
      manifest: manifest,
      // A delivery of its own each time, as in life: the bounds of one account are not what is measured.
      scope: EgressScope(
        site: 1,
        connection: Int64.random(in: 1...1_000_000),
        pluginID: "bench\(Int.random(in: 0...99))",
        requestKey: UUID().uuidString
      ),
      secrets: OneSecret(),
      journal: BenchJournal(),
      media: media,
      deadline: .now + .seconds(600)
    )
    guard case .result(let result) = answer.reply, result.pointer("/status")?.text == "200" else {
      throw BenchError("\(answer.reply)")
    }
  }

  private func measure(_ body: () async throws -> Void) async throws -> Double {
    let start = ContinuousClock.now
    try await body()
    let (seconds, attoseconds) = (ContinuousClock.now - start).components
    return Double(seconds) * 1e6 + Double(attoseconds) / 1e12
  }

  // MARK: Memory

  /// A line of `/proc/self/status` in KiB.
  private static func memory(_ name: String) throws -> Double {
    guard let data = FileManager.default.contents(atPath: "/proc/self/status") else {
      throw BenchError("no /proc/self/status")
    }
    for line in String(decoding: data, as: UTF8.self).split(separator: "\n") where line.hasPrefix(name + ":") {
      if let number = Double(line.filter { $0.isNumber }) { return number }
    }
    throw BenchError("no \(name)")
  }

  /// Lets the peak start again at what is used now.
  private static func resetPeak() throws {
    let descriptor = unsafe open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw BenchError("no /proc/self/clear_refs") }
    defer { close(descriptor) }
    guard unsafe write(descriptor, "5", 1) == 1 else { throw BenchError("the peak cannot be reset") }
  }

  // MARK: Parts

  private static let token = "bench-token-0123456789"
  private static let body = #"{"text":"\#(String(repeating: "x", count: 250))","tags":["a","b"]}"#

  private struct OneSecret: SecretSource {
    func secret(_ name: String, for scope: EgressScope) async throws -> Secret { Secret(EgressBench.token) }
  }

  private struct OneFile: MediaSource {
    let file: MediaFile

    func media(_ handle: String) async throws -> MediaFile? { file }
  }

  /// Lets everything out: the durable journal has a line of its own among the benchmarks.
  private struct BenchJournal: EffectJournal {
    func begin(_ intent: EffectIntent) async throws -> EffectDecision {
      .send(EffectTicket(number: 1, sendBefore: nil))
    }

    func finish(_ ticket: EffectTicket, _ outcome: EffectOutcome) async {}

    func replayRead(step: String, digest: String) async -> StoredAnswer? { nil }

    func recordRead(_ record: ReadRecord) async {}
  }

  private static let manifest = #"""
    {
      "schema": "rostrum-plugin/1", "id": "bench", "name": "Bench", "aliases": [], "kind": "platform",
      "version": "1.0.0", "description": "For benchmarks.", "license": "Apache-2.0",
      "protocol": {"min": "1.0", "max": "1.0"}, "executable": "plugin-bench",
      "methods": ["account/capabilities", "account/identify", "post/publish", "post/render", "post/validate"],
      "secrets": {"token": {"label": "Token", "source": "entered"}}, "account": {"fields": []},
      "egress": [
        {"rule": "post", "class": "commit", "method": "POST", "origin": "https://api.example.com",
         "path": "/posts/{id}", "calls": ["post/publish"], "body": "json", "remoteId": "/id",
         "slots": {"header.authorization": {"secret": "token", "format": "Bearer {}"}}, "exposeHeaders": ["date"],
         "maxBody": 65536, "timeoutMs": 20000},
        {"rule": "upload", "class": "prepare", "method": "POST", "origin": "https://api.example.com",
         "path": "/upload", "calls": ["post/publish"], "body": "media",
         "slots": {"header.authorization": {"secret": "token", "format": "Bearer {}"}},
         "maxBody": 65536, "timeoutMs": 600000}
      ],
      "reconcile": {"absence": "never", "settleMs": 0},
      "limits": {"inFlight": 64, "memoryMiB": 96, "startMs": 5000, "callMs": 600000}
    }
    """#
}
