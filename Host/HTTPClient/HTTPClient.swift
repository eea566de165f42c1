internal import Synchronization

/// Sends HTTP/1.1 requests and says for each one whether it left, so that nothing is ever sent twice by accident.
///
/// One thread owns the library and every connection. `perform` may be called from anywhere, any number of times at
/// once. Release or `close(within:)` ends the thread.
package final class HTTPClient: Sendable {
  private let loop: TransferLoop

  /// Starts the client's thread.
  package init(configuration: Configuration = Configuration()) throws(HTTPClientError) {
    loop = try TransferLoop(configuration: configuration)
    try loop.start()
  }

  deinit {
    loop.stop(at: .now)
  }

  /// Sends `request` and returns what became of it.
  ///
  /// Cancelling the task has no effect: what has been started runs to its own timeout, so that its outcome is known.
  package func perform(_ request: OutgoingRequest) async -> Outcome {
    if let problem = RequestCheck.problem(in: request) {
      return .notSent(Outcome.NotSent(reason: .invalidRequest, detail: problem))
    }
    return await withCheckedContinuation { continuation in
      loop.submit(Submission(request: request, continuation: continuation))
    }
  }

  /// Refuses new requests, waits for open ones up to `deadline`, ends the rest and returns when the thread is done.
  package func close(within deadline: Duration) async {
    loop.stop(at: .now + deadline)
    await loop.finished()
  }
}

/// The client could not start.
package enum HTTPClientError: Error, Sendable, CustomStringConvertible {
  case startFailed(String)

  package var description: String {
    switch self {
    case .startFailed(let what): "the HTTP client could not start: \(what)"
    }
  }
}

extension HTTPClient {
  /// Limits that hold for all requests of a client.
  package struct Configuration: Sendable {
    /// The `User-Agent` of requests that bring none.
    package var userAgent = "rostrum"
    /// Idle connections kept for reuse.
    package var maximumIdleConnections = 1_024
    /// Requests on the wire at once; more wait in order, outside their own timeouts.
    package var maximumConcurrentRequests = 1_024
    /// Bytes of all header lines of an answer.
    package var maximumHeaderBytes = 32 << 10
    /// Bytes read and thrown away behind `maximumResponseBytes` before the request is given up as unknown.
    package var maximumDiscardedBytes = 8 << 20
    /// How many times larger than its compressed form an answer may be, once it is over 256 KiB.
    package var maximumExpansion: Int64 = 100
    /// A PEM file of certificate authorities in place of the system's.
    package var certificateAuthorities: String?

    package init() {}
  }
}
