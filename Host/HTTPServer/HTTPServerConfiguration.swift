/// Where a server listens and what it bears.
package struct HTTPServerConfiguration: Sendable {
  /// A numeric IPv4 or IPv6 address; empty means all of both.
  package var host: String
  /// The port; 0 lets the system choose.
  package var port: UInt16

  /// Open connections; more wait in the system's queue.
  package var maximumConnections = 4096
  /// Requests being handled at once, without event streams; more are answered with 503.
  package var maximumRequests = 1024
  /// Event streams at once; more are answered with 503.
  package var maximumEventStreams = 2048
  /// Bytes of request line and header fields; more are answered with 431.
  package var maximumHeaderBytes = 12 << 10
  /// Bytes of a refused body that are read and thrown away so that the client gets to read the refusal.
  package var maximumDiscardedBytes = 16 << 20

  /// From the start of a request to the end of its header fields.
  package var headerTimeout: Duration = .seconds(15)
  /// How long a kept-alive connection may wait for its next request.
  package var idleTimeout: Duration = .seconds(75)
  /// The time in which `minimumProgress` bytes of a body must come, and in which a client must take a streamed answer on.
  package var progressWindow: Duration = .seconds(30)
  /// Bytes of a body each window must bring.
  package var minimumProgress = 4096
  /// How long a handler may work after the whole body came; then the client gets a 503.
  package var requestTimeout: Duration = .seconds(60)
  /// How long an event stream may be silent before it gets a comment line; departures are noticed by it.
  package var eventCommentInterval: Duration = .seconds(15)
  /// How often deadlines are looked at.
  package var sweepInterval: Duration = .seconds(1)
  /// How long requests in flight may go on when the server stops.
  package var stopDeadline: Duration = .seconds(20)

  /// Addresses of reverse proxies whose `X-Forwarded-For` is believed.
  package var trustedProxies: Set<String> = []
  /// Fields added to every answer that does not have them.
  package var defaultHeaders: HTTPHeaders = ["x-content-type-options": "nosniff"]
  /// Called once per request when it is over, on the server's thread: it must not block.
  package var accessLog: (@Sendable (AccessRecord) -> Void)?

  package init(host: String = "127.0.0.1", port: UInt16 = 0) {
    self.host = host
    self.port = port
  }
}

/// What is known of a request when it is over; it holds no query and no header fields, which may hold secrets.
package struct AccessRecord: Sendable {
  package enum Ending: String, Sendable {
    case completed, clientGone, failed, stopped
  }

  package let requestID: String
  package let method: HTTPMethod
  package let path: String
  /// The template of the route; empty when none was found.
  package let route: String
  /// 0 when no answer was begun.
  package let status: Int
  package let bytesReceived: Int
  package let bytesSent: Int
  package let duration: Duration
  package let remoteAddress: String
  package let ending: Ending
}

/// A server that cannot start.
package struct HTTPServerError: Error, Sendable, CustomStringConvertible {
  package let description: String
}
