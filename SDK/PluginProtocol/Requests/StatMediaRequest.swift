public import JSONText

/// Asks for the facts of a media file.
public struct StatMediaRequest: RequestMessage, Equatable {
  /// What the host answers.
  public typealias Answer = MediaItem
  /// Name on the wire.
  public static let method = "host/media.stat"

  /// The call this is made for.
  public var call: String
  /// The file.
  public var handle: String

  /// Makes the request.
  public init(call: String, handle: String) {
    self.call = call
    self.handle = handle
  }

  /// Reads the params.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    call = try object.string("call")
    handle = try object.string("handle")
  }

  /// Writes the params.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("call", call)
      writer.field("handle", handle)
    }
  }
}
