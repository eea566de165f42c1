import Cryptography
import Egress
import FoundationEssentials
import HTTPClient
import JSONText
import PluginManifest
import Synchronization

/// What happened, in order, over all parts of a test.
final class EventLog: Sendable {
  private let lines = Mutex<[String]>([])

  func add(_ line: String) { lines.withLock { $0.append(line) } }
  var all: [String] { lines.withLock { $0 } }
}

/// A journal that remembers in memory and decides as the test says.
actor MemoryJournal: EffectJournal {
  private let log: EventLog
  private let decide: @Sendable (EffectIntent) throws -> EffectDecision
  private let storedRead: StoredAnswer?
  private(set) var intents: [EffectIntent] = []
  private(set) var outcomes: [EffectOutcome] = []
  private(set) var reads: [ReadRecord] = []

  init(
    log: EventLog = EventLog(),
    storedRead: StoredAnswer? = nil,
    decide: @escaping @Sendable (EffectIntent) throws -> EffectDecision = { _ in
      .send(EffectTicket(number: 1, sendBefore: nil))
    }
  ) {
    self.log = log
    self.storedRead = storedRead
    self.decide = decide
  }

  func begin(_ intent: EffectIntent) async throws -> EffectDecision {
    intents.append(intent)
    log.add("begin \(intent.step)")
    // Gives a request that does not wait for the journal every chance to overtake it.
    for _ in 0..<200 { await Task.yield() }
    log.add("started \(intent.step)")
    return try decide(intent)
  }

  func finish(_ ticket: EffectTicket, _ outcome: EffectOutcome) async {
    log.add("finish \(outcome.outcome.rawValue)")
    outcomes.append(outcome)
  }

  func replayRead(step: String, digest: String) async -> StoredAnswer? { storedRead }

  func recordRead(_ record: ReadRecord) async { reads.append(record) }
}

/// A wall clock that the test moves.
final class TestTime: Sendable {
  private let date = Mutex(Date(timeIntervalSince1970: 1_700_000_000))

  var now: Date { date.withLock { $0 } }
  func advance(_ seconds: Double) { date.withLock { $0 += seconds } }
}

/// Secrets by name.
struct FixedSecrets: SecretSource {
  static let token = "tok-4f9c/Aa+Zz=\u{E9}b7"
  static let signing = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

  var error: EgressError?

  func secret(_ name: String, for scope: EgressScope) async throws -> Secret {
    if let error { throw error }
    return Secret(name == "signing" ? Self.signing : Self.token)
  }
}

/// Files by handle.
struct FixedMedia: MediaSource {
  var files: [String: MediaFile] = [:]

  func media(_ handle: String) async throws -> MediaFile? { files[handle] }
}

/// A gate, a server behind it and a manifest that allows a few things.
struct Fixture: Sendable {
  let egress: Egress
  let manifest: PluginManifest
  let server: LoopbackServer
  let scope: EgressScope

  init(
    requestKey: String = "0192f0c1-key",
    allow: String? = nil,
    endpoint: String? = nil,
    time: TestTime = TestTime(),
    _ react: @escaping @Sendable (LoopbackServer.Request) -> LoopbackServer.Reaction = { _ in .answer(200, body: "{}") }
  ) throws {
    let server = try LoopbackServer(react)
    let policy = try AddressPolicy(
      allow: allow ?? "127.0.0.1:\(server.port)",
      overrides: "https://api.example.com=http://127.0.0.1:\(server.port)"
    )
    self.server = server
    egress = Egress(client: try HTTPClient(), policy: policy, now: { time.now })
    manifest = try PluginManifest.parse(Array(Self.manifestText.utf8))
    scope = EgressScope(
      site: 1,
      connection: 7,
      pluginID: "sample",
      requestKey: requestKey,
      accountOrigin: "http://127.0.0.1:\(server.port)",
      accountEndpoint: endpoint ?? "http://127.0.0.1:\(server.port)/hook?from=me"
    )
  }

  func perform(
    _ params: String,
    method: String = "post/publish",
    journal: any EffectJournal = MemoryJournal(),
    secrets: any SecretSource = FixedSecrets(),
    media: any MediaSource = FixedMedia(),
    deadline: Duration = .seconds(300)
  ) async throws -> HTTPAnswer {
    await egress.perform(
      try RawJSON(text: params),
      method: method,
      manifest: manifest,
      scope: scope,
      secrets: secrets,
      journal: journal,
      media: media,
      deadline: .now + deadline
    )
  }

  static let manifestText = #"""
    {
      "schema": "rostrum-plugin/1", "id": "sample", "name": "Sample", "aliases": [], "kind": "platform",
      "version": "1.0.0", "description": "A sample.", "license": "Apache-2.0",
      "protocol": {"min": "1.0", "max": "1.0"}, "executable": "plugin-sample",
      "methods": ["account/capabilities", "account/identify", "post/delete", "post/publish", "post/reconcile",
                  "post/render", "post/validate"],
      "secrets": {"token": {"label": "Token", "source": "entered"},
                  "signing": {"label": "Key", "source": "generated", "format": "whsec"}},
      "account": {"fields": [{"name": "origin", "label": "Server", "type": "origin"},
                             {"name": "endpoint", "label": "Address", "type": "url"}]},
      "egress": [
        {"rule": "me", "class": "read", "method": "GET", "origin": "https://api.example.com", "path": "/me/{id}",
         "query": ["q", "tag"], "headers": ["x-version"], "calls": ["account/*", "post/*"],
         "slots": {"header.authorization": {"secret": "token", "format": "Bearer {}"}},
         "exposeHeaders": ["x-limit-remaining", "x-echo"], "maxBody": 2000, "timeoutMs": 5000},
        {"rule": "create", "class": "commit", "method": "POST", "origin": "https://api.example.com",
         "path": "/posts", "calls": ["post/publish"], "body": "json",
         "slots": {"header.authorization": {"secret": "token", "format": "Bearer {}"}},
         "outcome": [{"status": [403], "pointer": "/detail", "equals": "duplicate", "class": "unknown"},
                     {"status": [201], "pointer": "/data/id", "exists": false, "class": "unknown"}],
         "remoteId": "/data/id", "exposeHeaders": ["x-echo", "x-limit-remaining"],
         "maxBody": 2000, "timeoutMs": 5000},
        {"rule": "form", "class": "commit", "idempotent": {"windowMs": 3600000, "slot": "header.idempotency-key"},
         "method": "POST", "origin": "account.origin", "path": "/form", "calls": ["post/publish"], "body": "form",
         "slots": {"form.token": {"secret": "token"}, "query.k": {"secret": "token", "encoding": "base64"}},
         "maxBody": 2000, "timeoutMs": 5000},
        {"rule": "nested", "class": "prepare", "method": "PUT", "origin": "https://api.example.com",
         "path": "/nested", "calls": ["post/publish"], "body": "json",
         "slots": {"json./auth/key": {"secret": "token"}}, "maxBody": 2000, "timeoutMs": 5000},
        {"rule": "upload", "class": "prepare", "repeatable": true, "method": "POST",
         "origin": "https://api.example.com", "path": "/upload", "calls": ["post/publish"], "body": "multipart",
         "maxBody": 2000, "timeoutMs": 5000},
        {"rule": "chunk", "class": "prepare", "method": "PUT", "origin": "https://api.example.com",
         "path": "/chunk", "headers": ["content-range"], "calls": ["post/publish"], "body": "media",
         "maxBody": 2000, "timeoutMs": 5000},
        {"rule": "hook", "class": "commit", "idempotent": {"windowMs": 3600000}, "method": "POST",
         "origin": "account.endpoint", "calls": ["post/publish"], "body": "json",
         "signer": {"kind": "standardWebhooks", "secret": "signing"}, "maxBody": 2000, "timeoutMs": 5000}
      ],
      "reconcile": {"absence": "never", "settleMs": 0},
      "rateLimitHeaders": [{"limit": "x-limit", "remaining": "x-limit-remaining",
                            "reset": {"header": "x-limit-reset", "unit": "unixSeconds"}},
                           {"scope": "perApp", "remaining": "x-app-remaining",
                            "reset": {"header": "x-app-reset", "unit": "seconds"}}],
      "retryAfter": {"pointer": "/error/wait", "unit": "minutes"},
      "limits": {"inFlight": 256, "memoryMiB": 96, "startMs": 5000, "callMs": 120000}
    }
    """#
}

extension HTTPAnswer {
  /// The result's text, or nil.
  var resultText: String? {
    if case .result(let result) = reply { result.text } else { nil }
  }

  /// The error, or nil.
  var failure: EgressError? {
    if case .error(let error) = reply { error } else { nil }
  }
}
