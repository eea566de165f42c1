public import JSONText

/// Asks the host to end a stream; its last `$/stream` message still comes.
public struct CloseHTTPStreamRequest: RequestMessage, Equatable {
  /// `{}`, also for a stream that has ended.
  public typealias Answer = EmptyMessage
  /// Name on the wire.
  public static let method = "host/http.close"

  /// The call that opened the stream.
  public var call: String
  /// The stream.
  public var stream: String

  /// Makes the request.
  public init(call: String, stream: String) {
    self.call = call
    self.stream = stream
  }

  /// Reads the params.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    call = try object.string("call")
    stream = try object.string("stream")
  }

  /// Writes the params.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("call", call)
      writer.field("stream", stream)
    }
  }
}
