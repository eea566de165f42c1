package import Logging
internal import Synchronization

/// Sends requests to a router without sockets; routing, middleware, limits and the error boundary are the real ones.
package struct TestClient: Sendable {
  /// An answer with its body collected.
  package struct Answer: Sendable {
    package let status: Int
    package let headers: HTTPHeaders
    package let body: [UInt8]

    package var text: String { String(decoding: body, as: UTF8.self) }
  }

  private let pipeline: RequestPipeline
  /// Added to every request that has no field of the same name.
  package var headers: HTTPHeaders

  package init(_ router: Router, logger: Logger = .current, headers: HTTPHeaders = [:]) {
    pipeline = RequestPipeline(router: router, logger: logger)
    self.headers = headers
  }

  /// Sends one request; an event stream answers with its prelude.
  package func send(
    _ method: HTTPMethod,
    _ target: String,
    headers: HTTPHeaders = [:],
    body: [UInt8] = [],
    remoteAddress: String = "127.0.0.1"
  ) async -> Answer {
    let id = "test"
    switch pipeline.plan(method, target) {
    case .refuse(let problem): return await answer(pipeline.refusal(problem, requestID: id), method)
    case .options(let allowed): return await answer(pipeline.options(allowed, requestID: id), method)
    case .route(let route, let parameters, let target):
      guard body.count <= route.body.limit else {
        return await answer(pipeline.refusal(.bodyTooLarge(route.body.limit), requestID: id), method)
      }
      var all = headers
      for field in self.headers.fields where all[field.name] == nil { all.add(field.name, field.value) }
      let request = HTTPRequest(
        id: id,
        method: method,
        target: target,
        headers: all,
        body: RequestBody(body),
        remoteAddress: remoteAddress,
        parameters: parameters,
        route: route.template
      )
      return await answer(await pipeline.run(route.handler, request), method)
    }
  }

  package func get(_ target: String, headers: HTTPHeaders = [:]) async -> Answer {
    await send(.get, target, headers: headers)
  }

  package func post(_ target: String, headers: HTTPHeaders = [:], json: String) async -> Answer {
    var headers = headers
    headers.set("content-type", "application/json")
    return await send(.post, target, headers: headers, body: Array(json.utf8))
  }

  private func answer(_ response: HTTPResponse, _ method: HTTPMethod) async -> Answer {
    let body: [UInt8]
    switch response.body {
    case _ where method == .head: body = []
    case .bytes(let bytes): body = bytes
    case .file(let path):
      guard let file = await FileBody.open(path), let bytes = await file.contents() else {
        return await answer(pipeline.refusal(.notFound(), requestID: "test"), method)
      }
      body = bytes
    case .stream(let produce):
      let collector = Collector()
      do {
        try await produce(collector)
      } catch {
        return await answer(pipeline.answer(to: error, requestID: "test"), method)
      }
      body = collector.bytes
    case .events(let subscription): body = subscription.prelude.flatMap(\.encoded)
    }
    return Answer(status: response.status, headers: response.headers, body: body)
  }

  private final class Collector: ResponseWriter {
    private let collected = Mutex<[UInt8]>([])
    var bytes: [UInt8] { collected.withLock { $0 } }
    func write(_ bytes: [UInt8]) async throws { collected.withLock { $0.append(contentsOf: bytes) } }
  }
}
