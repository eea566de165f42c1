public import JSONText

/// One more post of a thread: it is published as an answer to the one before.
public struct PostSegment: WireValue, Equatable {
  /// The text.
  public var text: String
  /// Attached files in order.
  public var media: [MediaItem]

  /// Makes a segment.
  public init(text: String, media: [MediaItem] = []) {
    self.text = text
    self.media = media
  }

  /// Reads the object.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    text = try object.optionalString("text") ?? ""
    media = try object.readArray("media")
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("text", text)
      if !media.isEmpty { writer.field("media", media) }
    }
  }
}
