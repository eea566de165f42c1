import HTTPClient
import Testing

/// Makes a request that may go to any address.
func request(
  _ method: String,
  _ url: String,
  headers: [(String, String)] = [],
  body: RequestBody = .none,
  timeout: Duration = .seconds(20),
  maximumResponseBytes: Int = 1 << 20,
  replayPolicy: OutgoingRequest.ReplayPolicy = .once,
  beforeFirstByte: @escaping @Sendable () -> Bool = { true }
) -> OutgoingRequest {
  OutgoingRequest(
    method: method,
    url: url,
    headers: headers,
    body: body,
    timeout: timeout,
    maximumResponseBytes: maximumResponseBytes,
    replayPolicy: replayPolicy,
    addressPolicy: { _ in true },
    beforeFirstByte: beforeFirstByte
  )
}

/// What a test expected and did not get.
struct UnexpectedOutcome: Error {
  let outcome: Outcome
}

extension Outcome {
  var complete: Response {
    get throws {
      guard case .response(let response) = self else { throw UnexpectedOutcome(outcome: self) }
      return response
    }
  }

  var notSentReason: NotSent.Reason? {
    if case .notSent(let failure) = self { failure.reason } else { nil }
  }

  var unknownReason: Unknown.Reason? {
    if case .unknown(let failure) = self { failure.reason } else { nil }
  }
}

/// A server that answers every request with 200 and the request's body.
func makeEchoServer() throws -> RawServer {
  try RawServer { connection, _ in
    while let request = connection.readRequest() {
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(request.body.count)\r\n\r\n")
      connection.send(request.body)
    }
  }
}
