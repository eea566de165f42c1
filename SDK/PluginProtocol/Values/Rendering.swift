public import JSONText

/// A post's text as it would appear.
public struct Rendering: WireValue, Equatable {
  /// The text; rendering it again gives the same text.
  public var text: String
  /// Its length.
  public var length: TextLength?
  /// The further posts of a thread, in order.
  public var segments: [RenderedSegment]
  /// What was changed or is wrong.
  public var findings: [Finding]

  /// Makes a rendering.
  public init(
    text: String,
    length: TextLength? = nil,
    segments: [RenderedSegment] = [],
    findings: [Finding] = []
  ) {
    self.text = text
    self.length = length
    self.segments = segments
    self.findings = findings
  }

  /// Reads the object.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    text = try object.string("text")
    length = try object.readOptional("length")
    segments = try object.readArray("segments")
    findings = try object.readArray("findings")
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("text", text)
      writer.field("length", length)
      if !segments.isEmpty { writer.field("segments", segments) }
      writer.field("findings", findings)
    }
  }
}
