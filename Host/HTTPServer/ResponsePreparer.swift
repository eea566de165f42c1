internal import Logging

/// Brings a handler's answer into the library's form.
struct ResponsePreparer {
  let core: ServerCore
  let connection: Connection
  let handle: ConnectionHandle
  let head: RequestHead
  /// Counts the bytes a streamed answer has sent.
  let onBytes: @Sendable (Int) -> Void

  /// Opens what the answer needs; the pipe is where a streamed answer goes.
  func prepare(_ response: HTTPResponse) async -> (PreparedResponse?, StreamPipe?) {
    switch response.body {
    case .file(let path):
      guard let file = await FileBody.open(path) else {
        return (bytes(core.pipeline.refusal(.notFound(), requestID: head.id)), nil)
      }
      return (finished(.file(file, status: response.status), response), nil)
    case .stream where head.method != .head:
      let pipe = StreamPipe(handle: handle, connection: connection, window: core.settings.progressWindow)
      let stream = PreparedResponse.stream(pipe, status: response.status, blockSize: 16 << 10, onBytes: onBytes)
      return (finished(stream, response), pipe)
    case .events(let subscription) where head.method != .head:
      guard core.mayBeginEventStream() else {
        let problem = HTTPProblem.unavailable("Too many event streams are open; try again later", retryAfter: 30)
        return (bytes(core.pipeline.refusal(problem, requestID: head.id)), nil)
      }
      let client = EventClient(
        subscription,
        handle: handle,
        connection: connection,
        silence: core.settings.eventSilence
      )
      let stream = PreparedResponse.stream(client, status: response.status, blockSize: 1024, onBytes: onBytes)
      return (finished(stream, response), nil)
    default: return (bytes(response), nil)
    }
  }

  /// An answer whose body is in memory; streams, which only HEAD brings here, become empty.
  func bytes(_ response: HTTPResponse) -> PreparedResponse? {
    if case .bytes(let bytes) = response.body {
      return finished(.bytes(bytes, status: response.status), response)
    }
    return finished(.bytes([], status: response.status), response)
  }

  private func finished(_ prepared: PreparedResponse?, _ response: HTTPResponse) -> PreparedResponse? {
    guard let prepared else { return nil }
    for field in response.headers.fields where field.name != "content-length" && field.name != "transfer-encoding" {
      guard !prepared.add(field.name, field.value) else { continue }
      core.logger.error("A header field cannot be sent", ["request": head.id, "name": .string(field.name)])
      let problem = HTTPProblem.internalError(requestID: head.id)
      return .bytes(
        { if case .bytes(let bytes) = problem.response().body { bytes } else { [] } }(),
        status: problem.status
      )
    }
    if core.isStopping { _ = prepared.add("connection", "close") }
    return prepared
  }
}
