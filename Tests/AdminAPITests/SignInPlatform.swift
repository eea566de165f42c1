import HTTPServer
import JSONDocument
import Logging
import ServiceTree
import Synchronization

/// The token endpoint of a platform on a port of its own: it keeps what it was sent and answers as the test says.
final class SignInPlatform: Sendable {
  struct Received: Sendable {
    let call: String
    let form: [String: String]
    let authorization: String?
  }

  private struct State {
    var received: [Received] = []
    var answers: [String: [(status: Int, body: String)]] = [:]
  }

  /// What an exchange brings unless a test says something else.
  static let grant = #"""
    {"token_type":"bearer","expires_in":7200,"access_token":"canary-access","refresh_token":"canary-refresh",
     "scope":"post.write offline"}
    """#

  private let state = Mutex(State())
  private let shutdown = Shutdown()

  var received: [Received] { state.withLock { $0.received } }

  /// Gives the next answers to a method and path, such as `POST /token`.
  func next(_ call: String, _ status: Int, _ body: String) {
    state.withLock { $0.answers[call, default: []].append((status, body)) }
  }

  /// Serves while the body runs.
  func serve(_ body: (_ port: UInt16) async throws -> Void) async throws {
    var settings = HTTPServerConfiguration(host: "127.0.0.1", port: 0)
    settings.stopDeadline = .seconds(1)
    let (ports, port) = AsyncStream<UInt16>.makeStream()
    let server = HTTPServer(settings, router: router(), logger: Logger(sink: MemorySink(), minimumLevel: .fault))
    let running = Task {
      // A server that can not start must fail the test, not hang it.
      defer { port.finish() }
      try await server.run(started: { port.yield($0) }, until: { [shutdown] in await shutdown.requested() })
    }
    let result: Result<Void, any Error>
    do {
      for await number in ports {
        try await body(number)
        break
      }
      result = .success(())
    } catch {
      result = .failure(error)
    }
    shutdown.request()
    try await running.value
    try result.get()
  }

  private func router() -> Router {
    var router = Router()
    for path in ["/token", "/elsewhere"] {
      router.on(.post, path, body: .collected(limit: 1 << 16)) { request in try self.answer(request) }
    }
    router.get("/accounts") { request in try self.answer(request) }
    return router
  }

  private func answer(_ request: HTTPRequest) throws -> HTTPResponse {
    let call = "\(request.method.rawValue) \(request.target.path)"
    let text =
      request.method == .post ? String(decoding: request.body.bytes, as: UTF8.self) : String(request.target.query)
    let pairs = try QueryParameters(text).list
    let planned = state.withLock { state -> (status: Int, body: String)? in
      state.received.append(
        Received(
          call: call,
          form: Dictionary(pairs) { first, _ in first },
          authorization: request.headers["authorization"]
        )
      )
      guard let first = state.answers[call]?.first else { return nil }
      state.answers[call]?.removeFirst()
      return first
    }
    guard let planned else { return .json(Self.grant) }
    var response = HTTPResponse.json(planned.body, status: planned.status)
    if planned.status == 302 { response.headers.set("location", "/elsewhere") }
    if planned.status == 429 { response.headers.set("retry-after", "30") }
    return response
  }
}
