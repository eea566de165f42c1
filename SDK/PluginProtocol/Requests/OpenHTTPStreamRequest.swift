public import JSONText

/// Asks the host for one HTTP request whose answer is a stream of events.
public struct OpenHTTPStreamRequest: RequestMessage, Equatable {
  /// Comes with the header of the platform's answer.
  public struct Answer: WireValue, Equatable {
    /// Names the stream in `$/stream`; nil if the platform did not answer with events, and `answer` is all there is.
    public var stream: String?
    /// Status and headers, and without a stream the body.
    public var answer: HTTPAnswer

    /// Makes an answer.
    public init(stream: String?, answer: HTTPAnswer) {
      self.stream = stream
      self.answer = answer
    }

    /// Reads the object.
    public init(json: RawJSON) throws(JSONTextError) {
      stream = try json.object().optionalString("stream")
      answer = try HTTPAnswer(json: json)
    }

    /// Writes the object.
    public func write(to writer: inout JSONWriter) {
      writer.object { writer in
        writer.field("stream", stream)
        answer.writeMembers(to: &writer)
      }
    }
  }

  /// Name on the wire.
  public static let method = "host/http.open"

  /// The request; its rule must be one with `stream`.
  public var request: PerformHTTPRequest

  /// Makes the request.
  public init(_ request: PerformHTTPRequest) {
    self.request = request
  }

  /// Reads the params.
  public init(json: RawJSON) throws(JSONTextError) {
    request = try PerformHTTPRequest(json: json)
    guard try json.object().string("parse") == "sse" else { throw JSONTextError(.outOfRange, at: 0, field: "parse") }
  }

  /// Writes the params.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      request.writeMembers(to: &writer)
      writer.field("parse", "sse")
    }
  }
}
