public import JSONText

/// One further post of a thread as it would appear.
public struct RenderedSegment: WireValue, Equatable {
  /// The text; rendering it again gives the same text.
  public var text: String
  /// Its length.
  public var length: TextLength?

  /// Makes it.
  public init(text: String, length: TextLength? = nil) {
    self.text = text
    self.length = length
  }

  /// Reads the object.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    text = try object.string("text")
    length = try object.readOptional("length")
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("text", text)
      writer.field("length", length)
    }
  }
}
