public import JSONText

/// One file of a post; its bytes stay with the host.
public struct MediaItem: WireValue, Equatable {
  /// Names the file in requests to the host; valid within the job.
  public var handle: String
  /// Media type, such as `image/png`.
  public var type: String
  /// Size in bytes.
  public var bytes: Int64
  /// Width in pixels.
  public var width: Int64?
  /// Height in pixels.
  public var height: Int64?
  /// SHA-256 of the bytes, hexadecimal.
  public var sha256: String?
  /// Alternative text.
  public var alt: String?
  /// Name for the platform.
  public var filename: String?

  /// Makes an item.
  public init(
    handle: String,
    type: String,
    bytes: Int64,
    width: Int64? = nil,
    height: Int64? = nil,
    sha256: String? = nil,
    alt: String? = nil,
    filename: String? = nil
  ) {
    self.handle = handle
    self.type = type
    self.bytes = bytes
    self.width = width
    self.height = height
    self.sha256 = sha256
    self.alt = alt
    self.filename = filename
  }

  /// Reads the object.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    handle = try object.string("handle")
    type = try object.string("type")
    bytes = try object.int64("bytes")
    width = try object.optionalInt64("width")
    height = try object.optionalInt64("height")
    sha256 = try object.optionalString("sha256")
    alt = try object.optionalString("alt")
    filename = try object.optionalString("filename")
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("handle", handle)
      writer.field("type", type)
      writer.field("bytes", bytes)
      writer.field("width", width)
      writer.field("height", height)
      writer.field("sha256", sha256)
      writer.field("alt", alt)
      writer.field("filename", filename)
    }
  }
}
