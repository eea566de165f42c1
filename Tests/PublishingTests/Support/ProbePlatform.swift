import HTTPServer
import Logging
import ServiceTree
import Synchronization

/// A platform on a port of its own that keeps what it was sent and answers as the test says.
final class ProbePlatform: Sendable {
  struct Received: Sendable {
    let method: String
    let path: String
    let body: String
    let key: String?
  }

  struct Answer: Sendable {
    var status: Int
    var body: String
    var headers: [String: String] = [:]

    /// A complete refusal.
    static let rejected = Answer(status: 400, body: #"{"error":"no"}"#)
    /// A complete answer that says nothing of what happened.
    static let unknown = Answer(status: 500, body: "{}")

    static func refused(_ status: Int, headers: [String: String] = [:]) -> Answer {
      Answer(status: status, body: "{}", headers: headers)
    }

    static func ok(_ body: String) -> Answer { Answer(status: 200, body: body) }
  }

  private struct State {
    var received: [Received] = []
    var published: [String] = []
    var answers: [String: [Answer]] = [:]
    var tokens = ProbeTokens()
  }

  private let state = Mutex(State())
  private let arrivals: AsyncStream<Void>
  private let arrived: AsyncStream<Void>.Continuation
  private let shutdown = Shutdown()

  init() {
    (arrivals, arrived) = AsyncStream.makeStream()
  }

  /// Everything that came, oldest first.
  var received: [Received] { state.withLock { $0.received } }

  /// The bodies of everything that was published.
  var published: [String] { state.withLock { $0.published } }

  /// What the platform knows of tokens.
  var tokens: ProbeTokens { state.withLock { $0.tokens } }

  func change(_ body: (inout ProbeTokens) -> Void) { state.withLock { body(&$0.tokens) } }

  /// How often a method and path came, such as `POST /posts`.
  func count(_ call: String) -> Int { received.count { "\($0.method) \($0.path)" == call } }

  /// Gives the next answers to a method and path; without one the platform does what it is asked.
  ///
  /// - Parameter publishes: whether the platform publishes although it answers like this.
  func next(_ call: String, _ answers: Answer...) {
    state.withLock { $0.answers[call, default: []] += answers }
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
      try await server.run(
        started: { port.yield($0) },
        until: { [shutdown] in await shutdown.requested() }
      )
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
    for path in ["/posts", "/keyed", "/uploads", "/token", "/revoke"] {
      router.on(.post, path, body: .collected(limit: 1 << 20)) { request in self.answer(request) }
    }
    router.on(.delete, "/posts/{id}", body: .collected()) { request in self.answer(request) }
    for path in ["/posts", "/me"] { router.get(path) { request in self.answer(request) } }
    return router
  }

  private func answer(_ request: HTTPRequest) -> HTTPResponse {
    let body = String(decoding: request.body.bytes, as: UTF8.self)
    let call = "\(request.method.rawValue) \(request.target.path)"
    let answer = state.withLock { state -> Answer in
      state.received.append(
        Received(
          method: request.method.rawValue,
          path: request.target.path,
          body: body,
          key: request.headers["idempotency-key"]
        )
      )
      let planned = state.answers[call].flatMap { $0.isEmpty ? nil : $0[0] }
      if planned != nil { state.answers[call]?.removeFirst() }
      switch call {
      case "POST /posts", "POST /keyed":
        if let planned, (400..<500).contains(planned.status) { return planned }
        state.published.append(body)
        return planned ?? .ok(#"{"id":"\#(state.published.count)"}"#)
      case "POST /token":
        // A planned refusal changes nothing; with any other planned answer the true one is lost.
        if let planned, (400..<500).contains(planned.status) { return planned }
        let answer = state.tokens.refresh(body)
        return planned ?? answer
      case "POST /revoke":
        if let planned { return planned }
        state.tokens.revoke(body)
        return .ok("{}")
      default:
        return planned ?? .ok(#"{"n":\#(state.received.count)}"#)
      }
    }
    var response = HTTPResponse.json(answer.body, status: answer.status)
    for (name, value) in answer.headers { response.headers.set(name, value) }
    return response
  }
}
