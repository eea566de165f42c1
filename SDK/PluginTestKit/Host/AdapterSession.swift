import Glibc
import JSONText
import PluginProtocol
import PluginTransport
import Synchronization

/// One process of an adapter, and the host it speaks to.
final class AdapterSession: Sendable {
  /// The process comes into being after the handlers that need it.
  private final class Box: Sendable {
    private let value = Mutex<AdapterProcess?>(nil)
    var process: AdapterProcess? { value.withLock { $0 } }
    func set(_ process: AdapterProcess?) { value.withLock { $0 = process } }
  }

  let host: KitHost
  let process: AdapterProcess
  private let box: Box

  /// Starts a process; `initialize` comes next.
  init(
    _ launch: AdapterLaunch,
    host: KitHost,
    errorsAreBlocked: Bool = false,
    ledger: OutputLedger? = nil,
    tap: @escaping AdapterProcess.Tap = { _, _ in }
  ) throws(AdapterProcessError) {
    let box = Box()
    let handlers = Connection.Handlers(
      request: { method, params in await host.answer(method, params, process: box.process) },
      replied: { _, result in
        host.replied(result) { [weak process = box.process] in process?.connection?.notify($0) }
      }
    )
    process = try AdapterProcess(
      launch,
      handlers: handlers,
      errorsAreBlocked: errorsAreBlocked,
      ledger: ledger,
      tap: tap
    )
    self.host = host
    self.box = box
    box.set(process)
  }

  deinit {
    // The connection's handlers hold the box, and the box the process.
    box.set(nil)
    process.kill(SIGKILL)
  }

  /// What the job of every case is.
  static let job = JobInfo(key: "0b9c6f0e-5d34-4c29-9f43-0a8f1c1d2e3f", now: "2026-01-02T03:04:05Z", seed: "rostrum")

  @discardableResult
  func initialize(within limit: Duration = .seconds(10)) async throws(ProtocolError) -> InitializeRequest.Answer {
    let plugin = PluginIdentity(id: host.manifest.id, version: host.manifest.version)
    let answer = try await process.call(
      InitializeRequest(hostVersion: "conformance", plugin: plugin),
      within: limit
    )
    process.connection?.notify(InitializedNotification())
    return answer
  }

  /// Makes a call that names itself; `make` gets the name.
  func call<Request: RequestMessage>(
    within limit: Duration = .seconds(20),
    _ make: (CallMeta) -> Request
  ) async throws(ProtocolError) -> Request.Answer {
    let call = host.beginCall(Request.method)
    defer { host.endCall(call) }
    return try await process.call(make(CallMeta(call: call)), within: limit)
  }

  /// Makes a call that is answered without requests, and returns the result as it came.
  func rawResult<Request: RequestMessage>(_ make: (CallMeta) -> Request) async throws(ProtocolError) -> RawJSON {
    guard let connection = process.connection else { throw ProtocolError(.internal, "the process has no connection") }
    let call = host.beginCall(Request.method)
    defer { host.endCall(call) }
    return try await connection.call(method: Request.method, params: make(CallMeta(call: "c")))
  }

  func publish(_ post: Post) async throws(ProtocolError) -> Publication {
    try await call { PublishPostRequest(meta: $0, account: host.account, job: Self.job, post: post) }
  }

  func reconcile(_ post: Post) async throws(ProtocolError) -> Verdict {
    let evidence = host.evidence
    return try await call {
      ReconcilePostRequest(meta: $0, account: host.account, job: Self.job, post: post, evidence: evidence)
    }
  }

  func delete(_ remoteID: String) async throws(ProtocolError) -> Bool {
    try await call { DeletePostRequest(meta: $0, account: host.account, job: Self.job, remoteID: remoteID) }.deleted
  }

  func validate(_ post: Post) async throws(ProtocolError) -> Validation {
    try await call { ValidatePostRequest(meta: $0, account: host.account, post: post) }
  }

  func render(_ post: Post) async throws(ProtocolError) -> Rendering {
    try await call { RenderPostRequest(meta: $0, account: host.account, post: post) }
  }
}
