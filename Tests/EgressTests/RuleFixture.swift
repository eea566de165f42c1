import Cryptography
import Egress
import FoundationEssentials
import HTTPClient
import JSONText
import PluginManifest
import Synchronization

/// A gate and a server for rules that a test writes itself.
struct RuleFixture: Sendable {
  let egress: Egress
  let manifest: PluginManifest
  let server: LoopbackServer
  let scope: EgressScope
  let secrets: NamedSecrets
  let journal: KeepingJournal

  /// - Parameters:
  ///   - rules: The list `egress` of a manifest; the secrets `token`, `key`, `user` and `other` are declared.
  ///   - stands: Origins that the server stands in for, beside `https://api.example.com`.
  init(
    _ rules: String,
    secrets: [String: String] = ["token": "tok-4f9c-secret-0001", "other": "other-secret-0002"],
    stands: [String] = [],
    origin: String? = nil,
    time: TestTime = TestTime(),
    _ react: @escaping @Sendable (LoopbackServer.Request) -> LoopbackServer.Reaction = { _ in .answer(200, body: "{}") }
  ) throws {
    let server = try LoopbackServer(react)
    let local = "http://127.0.0.1:\(server.port)"
    let overrides = (["https://api.example.com"] + stands).map { "\($0)=\(local)" }.joined(separator: ",")
    self.server = server
    egress = Egress(
      client: try HTTPClient(),
      policy: try AddressPolicy(allow: "127.0.0.1:\(server.port)", overrides: overrides),
      now: { time.now }
    )
    manifest = try Self.manifest(rules)
    scope = EgressScope(
      site: 1,
      connection: 7,
      pluginID: "sample",
      requestKey: "0192f0c1-key",
      accountOrigin: origin ?? local
    )
    self.secrets = NamedSecrets(values: secrets)
    journal = KeepingJournal()
  }

  static func manifest(_ rules: String) throws -> PluginManifest {
    let text = #"""
      {
        "schema": "rostrum-plugin/1", "id": "sample", "name": "Sample", "aliases": [], "kind": "platform",
        "version": "1.0.0", "description": "A sample.", "license": "Apache-2.0",
        "protocol": {"min": "1.0", "max": "1.0"}, "executable": "plugin-sample",
        "methods": ["account/capabilities", "account/identify", "post/publish", "post/reconcile", "post/render",
                    "post/validate"],
        "secrets": {"token": {"label": "Token", "source": "entered"}, "key": {"label": "Key", "source": "entered"},
                    "user": {"label": "User", "source": "entered"}, "other": {"label": "Other", "source": "entered"}},
        "account": {"fields": [{"name": "origin", "label": "Server", "type": "origin"}]},
        "egress": \#(rules),
        "reconcile": {"absence": "never", "settleMs": 0},
        "limits": {"inFlight": 256, "memoryMiB": 96, "startMs": 5000, "callMs": 120000}
      }
      """#
    return try PluginManifest.parse(Array(text.utf8))
  }

  func perform(
    _ params: String,
    method: String = "post/publish",
    deadline: Duration = .seconds(300),
    budget: CallBudget? = nil
  ) async throws -> HTTPAnswer {
    await egress.perform(
      try RawJSON(text: params),
      method: method,
      manifest: manifest,
      scope: scope,
      secrets: secrets,
      journal: journal,
      media: NoMedia(),
      deadline: .now + deadline,
      budget: budget
    )
  }

  /// The JSON of the answer, or nil.
  func json(_ params: String, method: String = "post/publish") async throws -> RawJSON? {
    guard case .result(let result) = try await perform(params, method: method).reply else { return nil }
    return result
  }

  func desk(_ messages: Messages) -> EgressDesk {
    EgressDesk(
      egress: egress,
      call: EgressDesk.Call(
        method: "post/publish",
        manifest: manifest,
        scope: scope,
        secrets: secrets,
        journal: journal,
        deadline: .now + .seconds(300)
      ),
      notify: { messages.add($0) }
    )
  }
}

/// Secrets that an account has or has not.
struct NamedSecrets: SecretSource {
  let values: [String: String]

  func secret(_ name: String, for scope: EgressScope) async throws -> Secret {
    guard let value = values[name] else { throw EgressError(.authExpired, "the account has no \(name)") }
    return Secret(value)
  }

  func all(for scope: EgressScope) async throws -> [Secret] { values.values.map { Secret($0) } }
}

/// A journal that lets everything out and keeps what was captured.
actor KeepingJournal: EffectJournal {
  private(set) var outcomes: [EffectOutcome] = []
  private(set) var reads: [ReadRecord] = []
  private(set) var digests: [String] = []
  private(set) var captures: [CaptureHandle: CapturedValue] = [:]
  private var last: Int64 = 0

  func begin(_ intent: EffectIntent) async throws -> EffectDecision {
    digests.append(intent.digest)
    last += 1
    return .send(EffectTicket(number: last, sendBefore: nil))
  }

  func finish(_ ticket: EffectTicket, _ outcome: EffectOutcome) async {
    outcomes.append(outcome)
    for capture in outcome.captures { captures[capture.handle] = capture }
  }

  func replayRead(step: String, digest: String) async -> StoredAnswer? { nil }

  func recordRead(_ record: ReadRecord) async {
    reads.append(record)
    for capture in record.captures { captures[capture.handle] = capture }
  }

  func captured(_ handle: CaptureHandle) async throws -> CapturedValue? { captures[handle] }

  func text(_ handle: String) -> String? {
    CaptureHandle(handle).flatMap { captures[$0] }?.value.revealText()
  }
}

/// Notifications to the plugin, and a way to wait for the last one.
final class Messages: Sendable {
  private let stream: AsyncStream<RawJSON>
  private let continuation: AsyncStream<RawJSON>.Continuation
  private let kept = Mutex<[RawJSON]>([])

  init() {
    (stream, continuation) = AsyncStream.makeStream()
  }

  func add(_ message: RawJSON) {
    kept.withLock { $0.append(message) }
    continuation.yield(message)
  }

  var all: [RawJSON] { kept.withLock { $0 } }

  /// Waits until a message passes `test`.
  func first(where test: (RawJSON) -> Bool) async -> RawJSON? {
    for await message in stream where test(message) { return message }
    return nil
  }

  /// Waits for the end of the stream.
  func end() async -> RawJSON? { await first { $0.pointer("/end") != nil }?.pointer("/end") }

  /// The data of all events, pieces joined.
  var data: [String] {
    var texts: [String] = []
    var open = ""
    for message in all {
      for event in (try? message.pointer("/events")?.array()).map({ Array($0) }) ?? [] {
        open += (try? event.pointer("/data")?.string()) ?? ""
        if event.pointer("/more") == nil {
          texts.append(open)
          open = ""
        }
      }
    }
    return texts
  }
}
