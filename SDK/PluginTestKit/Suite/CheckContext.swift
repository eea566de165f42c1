import JSONText
import PluginProtocol
import PluginTransport

/// What checks work with.
struct CheckContext: Sendable {
  let suite: ConformanceSuite
  let ledger = OutputLedger()

  var manifest: AdapterManifest { suite.manifest }
  var launch: AdapterLaunch { suite.launch }
  var isLong: Bool { suite.isLong }

  /// A time of the protocol, as long as this run takes it to be.
  func limit(_ time: Duration) -> Duration { time * suite.patience }

  /// The author's cases.
  func cases() throws -> ConformanceCases {
    guard let cases = suite.cases else { throw CheckSkip("there is no conformance.json") }
    return cases
  }

  /// The first post that must go out.
  func post() throws -> Post {
    guard let post = try cases().accepted.first?.post else { throw CheckSkip("conformance.json has no posts") }
    return post
  }

  /// The account of the cases, with its capabilities as the adapter tells them.
  func account() async throws -> Account {
    var account = suite.cases?.account ?? Account(id: "1", name: "Conformance")
    guard account.capabilities == nil, suite.cases != nil, manifest.methods.contains("account/capabilities") else {
      return account
    }
    let session = try await session(host: host(account: account))
    let bare = account
    let capabilities = try await session.call { DescribeAccountRequest(meta: $0, account: bare) }
    account.capabilities = capabilities.json
    return account
  }

  /// A host with a platform of its own.
  func host(account: Account, plan: @escaping KitHost.Plan = { _, _, _ in nil }) -> KitHost {
    KitHost(manifest: manifest, account: account, platform: suite.makePlatform(), plan: plan)
  }

  /// A host for the account of the cases.
  func host(plan: @escaping KitHost.Plan = { _, _, _ in nil }) async throws -> KitHost {
    host(account: try await account(), plan: plan)
  }

  /// An initialized process.
  func session(host: KitHost, errorsAreBlocked: Bool = false) async throws -> AdapterSession {
    let session = try AdapterSession(launch, host: host, errorsAreBlocked: errorsAreBlocked, ledger: ledger)
    try await session.initialize()
    return session
  }

  /// Brings a post out over any number of processes.
  func deliver(_ post: Post, host: KitHost) async throws -> Delivery.End {
    try await Delivery(launch: launch, host: host, post: post, ledger: ledger, tap: { _, _ in }).run()
  }

  // MARK: By hand

  /// A process that is spoken to frame by frame; `initialized` unless told otherwise.
  func raw(initialized: Bool = true, arguments: [String] = [], counted: Bool = true) async throws -> AdapterProcess {
    var launch = launch
    launch.arguments += arguments
    let process = try AdapterProcess(launch, handlers: nil, ledger: counted ? ledger : nil)
    guard initialized else { return process }
    process.send(initializeFrame())
    _ = try await answer(1, from: process, to: "initialize")
    return process
  }

  func initializeFrame(id: Int64 = 1) -> [UInt8] {
    let plugin = PluginIdentity(id: manifest.id, version: manifest.version)
    let request = InitializeRequest(hostVersion: "conformance", plugin: plugin)
    return Frame.request(id: id, method: InitializeRequest.method, params: request)
  }

  static func health(_ id: Int64) -> [UInt8] {
    Frame.request(id: id, method: CheckHealthRequest.method, params: CheckHealthRequest())
  }

  /// A frame of any text.
  static func line(_ text: String) -> [UInt8] { Array((text + "\n").utf8) }

  /// Waits for the answer with this id.
  func answer(
    _ id: Int64,
    from process: AdapterProcess,
    to what: String,
    within limit: Duration = .seconds(10)
  ) async throws -> Envelope {
    let found: Envelope?? = await process.first(within: self.limit(limit)) { output -> Envelope?? in
      for frame in output.frames {
        switch try? Envelope(frame) {
        case .response(id, let result)?: return .some(.response(id: id, result: result))
        case .failure(id, let error)?: return .some(.failure(id: id, error: error))
        default: continue
        }
      }
      return output.ended ? .some(nil) : nil
    }
    guard let found else { throw CheckFailure("no answer to \(what) came within \(limit)") }
    guard let envelope = found else {
      throw CheckFailure("the adapter ended instead of answering \(what) (\(Self.end(of: process)))")
    }
    return envelope
  }

  /// The error that a call must get.
  func failure(_ id: Int64, from process: AdapterProcess, to what: String) async throws -> ProtocolError {
    guard case .failure(_, let error) = try await answer(id, from: process, to: what) else {
      throw CheckFailure("\(what) was answered instead of refused")
    }
    return error
  }

  /// Throws unless the process still answers.
  func requireAlive(_ process: AdapterProcess, after what: String) async throws {
    process.send(Self.health(900_001))
    do { _ = try await answer(900_001, from: process, to: "health/check") } catch let failure as CheckFailure {
      throw CheckFailure("after \(what): \(failure)")
    }
  }

  private static func end(of process: AdapterProcess) -> String {
    let errors = process.errorText.split(separator: "\n").last.map { ", stderr: \($0)" } ?? ""
    return (process.current.exit.map(\.description) ?? "closed its stdout") + errors
  }
}
