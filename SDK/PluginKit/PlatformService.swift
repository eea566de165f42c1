import JSONText
import PluginProtocol
package import PluginTransport
import Synchronization

/// Answers the host's messages with an adapter.
///
/// Knows nothing of processes and pipes: the same service answers a pipe in a plugin and a local connection in a test.
package final class PlatformService<Adapter: Platform>: Sendable {
  private struct State {
    var connection: Connection?
    var version: ProtocolVersion?
    var draining = false
  }

  private let adapter: Adapter
  private let state = Mutex(State())
  private let streams = StreamTable()

  package init(_ adapter: Adapter) {
    self.adapter = adapter
  }

  /// Says where host requests go; to be called before the first message.
  package func attach(_ connection: Connection) {
    state.withLock { $0.connection = connection }
  }

  /// The handlers of the plugin's side of a connection.
  package var handlers: Connection.Handlers {
    Connection.Handlers(
      immediate: { [self] method, params in immediate(method, params) },
      request: { [self] method, params in await answer(method, params) },
      notification: { [self] method, params in notified(method, params) },
      violation: { [self] error in
        // The host must see this, or a call that waits for a lost answer could not be explained.
        let line = LogNotification(level: LogLevel.warning.rawValue, message: "\(error)")
        state.withLock { $0.connection }?.notify(line)
      }
    )
  }

  private func notified(_ method: String, _ params: RawJSON) {
    guard method == StreamNotification.method else { return }
    // What cannot be read shows as a gap in the stream's numbers.
    guard let message = try? StreamNotification(json: params) else { return }
    streams.take(message)
  }

  private func immediate(_ method: String, _ params: RawJSON) -> Result<any WireValue, ProtocolError>? {
    switch method {
    case InitializeRequest.method:
      do throws(ProtocolError) {
        return .success(try initialize(try Self.read(params)))
      } catch {
        return .failure(error)
      }
    case CheckHealthRequest.method, ShutdownRequest.method:
      return .success(EmptyMessage())
    case DrainRequest.method:
      let first = state.withLock { state in
        defer { state.draining = true }
        return !state.draining
      }
      return first ? nil : .failure(ProtocolError(.invalidRequest, "drain came twice"))
    default:
      let (version, draining) = state.withLock { ($0.version, $0.draining) }
      guard version != nil else {
        return .failure(ProtocolError(.invalidRequest, "\(method) came before initialize"))
      }
      guard Adapter.manifest.methods.contains(method) else {
        return .failure(ProtocolError(.methodNotFound, "there is no method \(method)"))
      }
      return draining ? .failure(ProtocolError(.draining, "the plugin takes nothing new")) : nil
    }
  }

  private func initialize(_ request: InitializeRequest) throws(ProtocolError) -> InitializeRequest.Answer {
    let manifest = Adapter.manifest
    guard let version = ProtocolRange.supported.negotiate(with: request.versions) else {
      let range = ProtocolRange.supported
      throw ProtocolError(.versionMismatch, "this plugin speaks protocol \(range.min) to \(range.max)")
    }
    guard request.plugin.id == manifest.id else {
      throw ProtocolError(.manifestMismatch, "this is plugin \(manifest.id) \(manifest.version)")
    }
    let first = state.withLock { state in
      defer { state.version = version }
      return state.version == nil
    }
    guard first else { throw ProtocolError(.invalidRequest, "initialize came twice") }
    return InitializeRequest.Answer(
      version: version,
      plugin: PluginIdentity(id: manifest.id, version: manifest.version, sdk: "swift/1.0.0"),
      methods: manifest.methods
    )
  }

  private func answer(_ method: String, _ params: RawJSON) async -> Result<any WireValue, ProtocolError> {
    guard let connection = state.withLock({ $0.connection }) else {
      return .failure(ProtocolError(.internal, "the plugin is not connected"))
    }
    do {
      return .success(try await dispatch(method, params, connection))
    } catch {
      return .failure(Self.protocolError(error))
    }
  }

  private func dispatch(_ method: String, _ params: RawJSON, _ connection: Connection) async throws -> any WireValue {
    switch method {
    case PublishPostRequest.method:
      return try await publish(try Self.read(params), connection)
    case ReconcilePostRequest.method:
      let request: ReconcilePostRequest = try Self.read(params)
      let job = try job(request.account, request.job, request.meta, connection)
      return try await adapter.reconcile(request.post, evidence: request.evidence, job)
    case DeletePostRequest.method:
      let request: DeletePostRequest = try Self.read(params)
      try await adapter.delete(
        request.remoteID,
        try job(request.account, request.job, request.meta, connection)
      )
      return DeletePostRequest.Answer(deleted: true)
    case ValidatePostRequest.method:
      let request: ValidatePostRequest = try Self.read(params)
      return try adapter.validate(request.post, PureContext(account: request.account))
    case RenderPostRequest.method:
      let request: RenderPostRequest = try Self.read(params)
      return try adapter.render(request.post, PureContext(account: request.account))
    case IdentifyAccountRequest.method:
      let request: IdentifyAccountRequest = try Self.read(params)
      return try await adapter.identify(account(request.account, request.meta, connection))
    case DescribeAccountRequest.method:
      let request: DescribeAccountRequest = try Self.read(params)
      return try await adapter.capabilities(account(request.account, request.meta, connection))
    case DrainRequest.method:
      // This very request is one of those being answered, so "all others ended" is a count of one.
      await connection.waitUntilRunning(atMost: 1)
      return EmptyMessage()
    default:
      throw ProtocolError(.methodNotFound, "there is no method \(method)")
    }
  }

  private func publish(_ request: PublishPostRequest, _ connection: Connection) async throws -> Publication {
    let job = try job(request.account, request.job, request.meta, connection)
    do {
      return .published(try await adapter.publish(request.post, job))
    } catch let wait as DurableWait {
      return .wait(wait.wait)
    } catch let partial as PartialPublication {
      return .partial(partial.partial)
    }
  }

  private func account(_ account: Account, _ meta: CallMeta, _ connection: Connection) -> AccountContext {
    AccountContext(account: account, host: HostServices(call: meta.call, connection: connection, streams: streams))
  }

  private func job(
    _ account: Account,
    _ info: JobInfo,
    _ meta: CallMeta,
    _ connection: Connection
  ) throws(ProtocolError) -> JobContext {
    let host = HostServices(call: meta.call, connection: connection, streams: streams)
    return try JobContext(account: account, info: info, attempt: meta.attempt, host: host)
  }

  private static func read<Message: WireValue>(_ params: RawJSON) throws(ProtocolError) -> Message {
    do throws(JSONTextError) { return try Message(json: params) } catch {
      throw ProtocolError(.invalidParams, "\(error)", field: error.field)
    }
  }

  /// What the host is told of an error of any type; texts of foreign errors may hold anything and stay here.
  private static func protocolError(_ error: any Error) -> ProtocolError {
    switch error {
    case let error as ProtocolError: error
    case let error as JSONTextError:
      ProtocolError(.platformChanged, "the platform's answer cannot be read: \(error)", field: nil)
    case is CancellationError: ProtocolError(.cancelled, "the call was canceled")
    case is DurableWait: ProtocolError(.internal, "only publish can wait")
    default: ProtocolError(.internal, "the plugin failed with \(type(of: error))")
    }
  }
}
