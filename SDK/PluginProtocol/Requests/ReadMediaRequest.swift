public import JSONText

/// Asks for some bytes of a media file; for probing, not for uploading.
public struct ReadMediaRequest: RequestMessage, Equatable {
  /// What the host answers.
  public struct Answer: WireValue, Equatable {
    /// The bytes in Base64.
    public var base64: String

    /// Makes an answer.
    public init(base64: String) {
      self.base64 = base64
    }

    /// Reads the object.
    public init(json: RawJSON) throws(JSONTextError) {
      base64 = try json.object().string("base64")
    }

    /// Writes the object.
    public func write(to writer: inout JSONWriter) {
      writer.object { $0.field("base64", base64) }
    }
  }

  /// Name on the wire.
  public static let method = "host/media.read"
  /// Most bytes of one read.
  public static let maximumLength: Int64 = 196_608

  /// The call this is made for.
  public var call: String
  /// The file.
  public var handle: String
  /// First byte.
  public var offset: Int64
  /// Number of bytes, at most `maximumLength`.
  public var length: Int64

  /// Makes the request.
  public init(call: String, handle: String, offset: Int64, length: Int64) {
    self.call = call
    self.handle = handle
    self.offset = offset
    self.length = length
  }

  /// Reads the params.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    call = try object.string("call")
    handle = try object.string("handle")
    offset = try object.int64("offset")
    length = try object.int64("length")
    guard offset >= 0 else { throw JSONTextError(.outOfRange, at: 0, field: "offset") }
    guard (1...Self.maximumLength).contains(length) else { throw JSONTextError(.outOfRange, at: 0, field: "length") }
  }

  /// Writes the params.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("call", call)
      writer.field("handle", handle)
      writer.field("offset", offset)
      writer.field("length", length)
    }
  }
}
