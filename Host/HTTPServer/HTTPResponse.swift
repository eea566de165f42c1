/// One answer.
package struct HTTPResponse: Sendable {
  package var status: Int
  package var headers: HTTPHeaders
  package var body: Body

  package enum Body: Sendable {
    case bytes([UInt8])
    /// A whole regular file, sent by the kernel; a file that is not there becomes a 404.
    case file(path: String)
    /// Chunks as they come; the function runs until it returns or the client leaves.
    case stream(@Sendable (any ResponseWriter) async throws -> Void)
    case events(EventSubscription)
  }

  package init(status: Int = 200, headers: HTTPHeaders = [:], body: Body = .bytes([])) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// An answer without a body.
  package static func empty(_ status: Int = 204) -> HTTPResponse { HTTPResponse(status: status) }

  package static func bytes(_ bytes: [UInt8], contentType: String, status: Int = 200) -> HTTPResponse {
    HTTPResponse(status: status, headers: ["content-type": contentType], body: .bytes(bytes))
  }

  /// An answer of JSON in UTF-8.
  package static func json(_ bytes: [UInt8], status: Int = 200) -> HTTPResponse {
    .bytes(bytes, contentType: "application/json; charset=utf-8", status: status)
  }

  /// An answer of JSON text.
  package static func json(_ text: String, status: Int = 200) -> HTTPResponse {
    .json(Array(text.utf8), status: status)
  }

  package static func text(_ text: String, status: Int = 200) -> HTTPResponse {
    .bytes(Array(text.utf8), contentType: "text/plain; charset=utf-8", status: status)
  }

  /// A redirection; `location` must be encoded already.
  package static func redirect(_ location: String, status: Int = 303) -> HTTPResponse {
    HTTPResponse(status: status, headers: ["location": location])
  }

  /// A whole regular file; the path is the server's, never the client's.
  package static func file(path: String, contentType: String) -> HTTPResponse {
    HTTPResponse(headers: ["content-type": contentType], body: .file(path: path))
  }

  /// Chunks as `produce` writes them; a write waits while the client is slower.
  package static func stream(
    contentType: String,
    _ produce: @escaping @Sendable (any ResponseWriter) async throws -> Void
  ) -> HTTPResponse {
    HTTPResponse(headers: ["content-type": contentType], body: .stream(produce))
  }

  /// Server-sent events of a channel.
  ///
  /// - Parameters:
  ///   - lastEventID: The client's `Last-Event-ID`. Events after it that the channel still holds come first; when it is
  ///     not held any more the client gets one `gap` event and should load its state anew. Nil starts with what comes.
  ///   - prelude: Events sent before all others.
  package static func events(
    _ channel: EventChannel,
    after lastEventID: String? = nil,
    prelude: [ServerSentEvent] = []
  ) -> HTTPResponse {
    var first = prelude
    let position: EventPosition
    if let lastEventID, let found = channel.position(after: lastEventID) {
      position = found
    } else {
      position = channel.end
      if lastEventID != nil { first.append(.gap) }
    }
    return .events(channel, from: position, prelude: first)
  }

  /// Server-sent events of a channel from a position taken earlier, for example before older events were loaded.
  package static func events(
    _ channel: EventChannel,
    from position: EventPosition,
    prelude: [ServerSentEvent] = []
  ) -> HTTPResponse {
    HTTPResponse(
      headers: ["content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no"],
      body: .events(EventSubscription(channel: channel, position: position, prelude: prelude))
    )
  }
}

/// A client's wish to follow a channel.
package struct EventSubscription: Sendable {
  package let channel: EventChannel
  package let position: EventPosition
  package let prelude: [ServerSentEvent]
}

/// Takes the chunks of a streamed answer.
package protocol ResponseWriter: Sendable {
  /// Sends bytes; waits while the client is slower, throws ``ClientGone`` when it left.
  func write(_ bytes: [UInt8]) async throws
}

extension ResponseWriter {
  /// Sends text in UTF-8.
  package func write(_ text: String) async throws { try await write(Array(text.utf8)) }
}
