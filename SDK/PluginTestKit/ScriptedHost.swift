public import PluginKit
import PluginTransport
import Synchronization

/// A host in the test's own process that answers an adapter's HTTP requests from a script.
///
/// Messages travel as the same bytes as between processes. Finished prepare and commit steps are kept in a journal;
/// `replaying` makes them answer from it, as a real host does after a crash.
public final class ScriptedHost<Adapter: Platform>: Sendable {
  /// Answers one request; throw a `PlatformError` where there is no complete answer.
  public typealias Script = @Sendable (PerformHTTPRequest) async throws(PlatformError) -> HTTPAnswer
  /// Answers one request for a stream; throw a `PlatformError` where there is no answer.
  public typealias StreamScript = @Sendable (PerformHTTPRequest) async throws(PlatformError) -> ScriptedStream

  private struct State {
    var calls = 0
    var requests: [PerformHTTPRequest] = []
    var journal: [String: HTTPAnswer] = [:]
    var replaying = false
    var fresh: Set<String> = []
    var log: [LogNotification] = []
  }

  /// State and script, shared with the connection's handlers.
  private final class Recorder: Sendable {
    let state = Mutex(State())
    let script: Script
    let streamScript: StreamScript?
    let streams = KitStreams()

    init(_ script: @escaping Script, _ streamScript: StreamScript?) {
      self.script = script
      self.streamScript = streamScript
    }

    /// Answers what belongs to streams; nil for other methods.
    func stream(_ method: String, _ params: RawJSON) async throws -> (any WireValue)? {
      switch method {
      case OpenHTTPStreamRequest.method: return try await open(try OpenHTTPStreamRequest(json: params).request)
      case CreditHTTPStreamRequest.method: try streams.credit(try CreditHTTPStreamRequest(json: params))
      case CloseHTTPStreamRequest.method: try streams.close(try CloseHTTPStreamRequest(json: params))
      default: return nil
      }
      return EmptyMessage()
    }

    private func open(_ request: PerformHTTPRequest) async throws(PlatformError) -> OpenHTTPStreamRequest.Answer {
      state.withLock { $0.requests.append(request) }
      guard let streamScript else {
        throw PlatformError(.methodNotFound, "the scripted host has no script for streams")
      }
      switch try await streamScript(request) {
      case .answer(let answer): return OpenHTTPStreamRequest.Answer(stream: nil, answer: answer)
      case .events(let events, let headers, let end, let usage):
        let wire = events.map { StreamNotification.Event(event: $0.name, data: $0.data, id: $0.id) }
        let id = streams.open(KitStreams.Content(events: wire, end: end, usage: usage), for: request.call)
        return OpenHTTPStreamRequest.Answer(stream: id, answer: HTTPAnswer(status: 200, headers: headers))
      }
    }

    func answer(_ request: PerformHTTPRequest) async throws(PlatformError) -> HTTPAnswer {
      let step = request.step ?? request.rule
      let kept: HTTPAnswer? = state.withLock { state in
        state.requests.append(request)
        return state.replaying && !state.fresh.contains(request.rule) ? state.journal[step] : nil
      }
      if var kept {
        kept.isReplayed = true
        return kept
      }
      let answer = try await script(request)
      state.withLock { $0.journal[step] = answer }
      return answer
    }
  }

  /// The host's end of the conversation, which comes into being after the handlers that need it.
  private final class HostSide: Sendable {
    private struct Reference: Sendable { weak var connection: Connection? }

    private let reference = Mutex(Reference())

    func attach(_ connection: Connection) { reference.withLock { $0.connection = connection } }

    func notify(_ message: StreamNotification) { reference.withLock { $0.connection }?.notify(message) }
  }

  private let recorder: Recorder
  private let connection: LocalConnection

  /// Joins an adapter to a host that answers by `script`, and by `streams` where it asks for events.
  public init(_ adapter: Adapter, streams: StreamScript? = nil, script: @escaping Script) {
    let recorder = Recorder(script, streams)
    let host = HostSide()
    let service = PlatformService(adapter)
    let handlers = Connection.Handlers(
      request: { method, params in
        do {
          if let answer = try await recorder.stream(method, params) { return .success(answer) }
        } catch let error as PlatformError {
          return .failure(error)
        } catch {
          return .failure(PlatformError(.invalidParams, "\(error)"))
        }
        guard method == PerformHTTPRequest.method else {
          return .failure(PlatformError(.methodNotFound, "the scripted host has no \(method)"))
        }
        do {
          return .success(try await recorder.answer(try PerformHTTPRequest(json: params)))
        } catch let error as PlatformError {
          return .failure(error)
        } catch {
          return .failure(PlatformError(.invalidParams, "\(error)"))
        }
      },
      replied: { _, result in
        guard let stream = (result as? OpenHTTPStreamRequest.Answer)?.stream else { return }
        recorder.streams.begin(stream) { host.notify($0) }
      },
      notification: { method, params in
        // Anything but a readable log line is of no interest to a test.
        guard method == LogNotification.method, let line = try? LogNotification(json: params) else { return }
        recorder.state.withLock { $0.log.append(line) }
      }
    )
    self.recorder = recorder
    connection = LocalConnection(host: handlers, plugin: service.handlers)
    host.attach(connection.host)
    service.attach(connection.plugin)
  }

  /// Every HTTP request so far, answered from the journal or not.
  public var requests: [PerformHTTPRequest] { recorder.state.withLock { $0.requests } }

  /// Every log line so far.
  public var log: [LogNotification] { recorder.state.withLock { $0.log } }

  /// What the journal's digests are made of: every request so far in canonical form, without the name of its call.
  public var digests: [String] {
    requests.map { request in
      var request = request
      request.call = ""
      return request.json.canonical().text
    }
  }

  /// Forgets requests and log, and from now on answers finished steps from the journal.
  ///
  /// - Parameter rules: Rules that are asked anew all the same, as reads are after a wait.
  public func replay(asking rules: Set<String> = []) {
    recorder.state.withLock { state in
      state.requests = []
      state.log = []
      state.replaying = true
      state.fresh = rules
    }
  }

  /// Opens the conversation; to be called once before anything else.
  public func start() async throws(PlatformError) -> InitializeRequest.Answer {
    let manifest = Adapter.manifest
    let plugin = PluginIdentity(id: manifest.id, version: manifest.version)
    return try await connection.host.call(InitializeRequest(hostVersion: "test", plugin: plugin))
  }

  /// Asks whose token the host holds.
  public func identify(_ account: Account) async throws(PlatformError) -> AccountIdentity {
    try await connection.host.call(IdentifyAccountRequest(meta: nextMeta(), account: account))
  }

  /// Asks what the account may publish.
  public func capabilities(_ account: Account) async throws(PlatformError) -> Capabilities {
    try await connection.host.call(DescribeAccountRequest(meta: nextMeta(), account: account))
  }

  /// Asks what the platform would say.
  public func validate(_ post: Post, _ account: Account) async throws(PlatformError) -> Validation {
    try await connection.host.call(ValidatePostRequest(meta: nextMeta(), account: account, post: post))
  }

  /// Asks for the text as it would appear.
  public func render(_ post: Post, _ account: Account) async throws(PlatformError) -> Rendering {
    try await connection.host.call(RenderPostRequest(meta: nextMeta(), account: account, post: post))
  }

  /// Publishes.
  public func publish(_ post: Post, _ account: Account, job: JobInfo) async throws(PlatformError) -> Publication {
    try await connection.host.call(PublishPostRequest(meta: nextMeta(), account: account, job: job, post: post))
  }

  /// Asks for a post whose end is not known.
  public func reconcile(
    _ post: Post,
    _ account: Account,
    job: JobInfo,
    evidence: [Evidence]
  ) async throws(PlatformError) -> Verdict {
    let meta = nextMeta()
    return try await connection.host.call(
      ReconcilePostRequest(meta: meta, account: account, job: job, post: post, evidence: evidence)
    )
  }

  /// Removes a post.
  public func delete(
    _ remoteID: String,
    _ account: Account,
    job: JobInfo
  ) async throws(PlatformError) -> DeletePostRequest.Answer {
    let meta = nextMeta()
    return try await connection.host.call(
      DeletePostRequest(meta: meta, account: account, job: job, remoteID: remoteID)
    )
  }

  /// Ends the conversation; open calls fail.
  public func close() {
    connection.close()
  }

  private func nextMeta() -> CallMeta {
    let number = recorder.state.withLock { state in
      state.calls += 1
      return state.calls
    }
    return CallMeta(call: "c\(number)")
  }
}
