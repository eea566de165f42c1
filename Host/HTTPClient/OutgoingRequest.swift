/// One HTTP request for `HTTPClient`. Its headers and body may hold secrets, so its description shows neither.
package struct OutgoingRequest: Sendable {
  /// What may happen to a request whose first attempt died on a reused connection.
  package enum ReplayPolicy: Sendable {
    /// The bytes leave at most once. For everything with a side effect.
    case once
    /// The client may send the request again by itself. For reads.
    case repeatable
  }

  /// The method, such as `POST`.
  package var method: String
  /// An absolute `http` or `https` address without user information or fragment, already percent-encoded.
  package var url: String
  /// Header fields in order. Framing fields (`Content-Length`, `Transfer-Encoding`, `Connection`, `Expect`, `Host`…)
  /// belong to the client and are refused; for multipart bodies so is `Content-Type`.
  package var headers: [(String, String)]
  package var body: RequestBody
  /// The time from start to the last byte of the answer.
  package var timeout: Duration
  /// The time for name lookup, connection and TLS, part of `timeout`.
  package var connectTimeout: Duration
  /// Bytes of the (decompressed) answer kept; the rest is read and thrown away, see `Response.truncated`.
  package var maximumResponseBytes: Int
  package var replayPolicy: ReplayPolicy
  /// Decides whether an address may be connected or reused. Runs on the client's thread and must not block.
  package var addressPolicy: @Sendable (SocketAddress) -> Bool
  /// The last check before a byte of the request can leave. Runs on the client's thread and must not block.
  package var beforeFirstByte: @Sendable () -> Bool
  /// Takes the body as it arrives; nil collects it.
  package var receiver: (any ResponseReceiver)?
  /// The longest silence of an answer that a receiver takes, in whole seconds; time in which it takes nothing does not
  /// count. Nil for no bound but `timeout`.
  package var silence: Duration?

  package init(
    method: String,
    url: String,
    headers: [(String, String)] = [],
    body: RequestBody = .none,
    timeout: Duration = .seconds(60),
    connectTimeout: Duration = .seconds(10),
    maximumResponseBytes: Int = 1 << 20,
    replayPolicy: ReplayPolicy = .once,
    addressPolicy: @escaping @Sendable (SocketAddress) -> Bool,
    beforeFirstByte: @escaping @Sendable () -> Bool = { true },
    receiver: (any ResponseReceiver)? = nil,
    silence: Duration? = nil
  ) {
    self.method = method
    self.url = url
    self.headers = headers
    self.body = body
    self.timeout = timeout
    self.connectTimeout = connectTimeout
    self.maximumResponseBytes = maximumResponseBytes
    self.replayPolicy = replayPolicy
    self.addressPolicy = addressPolicy
    self.beforeFirstByte = beforeFirstByte
    self.receiver = receiver
    self.silence = silence
  }
}

extension OutgoingRequest: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  package var description: String { "\(method) request" }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: []) }
}
