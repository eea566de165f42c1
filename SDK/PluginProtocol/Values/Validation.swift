public import JSONText

/// What is wrong with a post, and how long its text is.
public struct Validation: WireValue, Equatable {
  /// What was found, in the order of the fields.
  public var findings: [Finding]
  /// Length of the text as it would appear.
  public var length: TextLength?

  /// Makes a validation.
  public init(findings: [Finding], length: TextLength? = nil) {
    self.findings = findings
    self.length = length
  }

  /// Reads the object.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    findings = try object.readArray("findings")
    length = try object.readOptional("length")
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("findings", findings)
      writer.field("length", length)
    }
  }
}
