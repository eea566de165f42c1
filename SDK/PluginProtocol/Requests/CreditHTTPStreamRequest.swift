public import JSONText

/// Tells the host that there is room for more events of a stream. A stream begins with room for 64 events and 256 KiB.
public struct CreditHTTPStreamRequest: RequestMessage, Equatable {
  /// `{}`.
  public typealias Answer = EmptyMessage
  /// Name on the wire.
  public static let method = "host/http.credit"

  /// The call that opened the stream.
  public var call: String
  /// The stream.
  public var stream: String
  /// Events to add.
  public var events: Int64
  /// Bytes to add.
  public var bytes: Int64

  /// Makes the request.
  public init(call: String, stream: String, events: Int64, bytes: Int64) {
    self.call = call
    self.stream = stream
    self.events = events
    self.bytes = bytes
  }

  /// Reads the params.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    call = try object.string("call")
    stream = try object.string("stream")
    events = try object.optionalInt64("events") ?? 0
    bytes = try object.optionalInt64("bytes") ?? 0
  }

  /// Writes the params.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("call", call)
      writer.field("stream", stream)
      writer.field("events", events)
      writer.field("bytes", bytes)
    }
  }
}
