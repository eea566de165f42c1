public import JSONText

/// Something about a post that the author should know.
public struct Finding: WireValue, Equatable {
  /// How bad it is.
  public enum Severity: String, Sendable {
    /// The platform will refuse the post.
    case error
    /// The post goes out, but not quite as written.
    case warning
  }

  /// The field of the post, such as `text` or `media[0].alt`.
  public var field: String
  /// How bad it is.
  public var severity: Severity
  /// Short constant name, such as `tooLong`.
  public var code: String
  /// One sentence for people.
  public var message: String
  /// What was found.
  public var actual: String?
  /// What is allowed.
  public var allowed: String?

  /// Makes a finding.
  public init(
    _ severity: Severity,
    field: String,
    code: String,
    _ message: String,
    actual: String? = nil,
    allowed: String? = nil
  ) {
    self.field = field
    self.severity = severity
    self.code = code
    self.message = message
    self.actual = actual
    self.allowed = allowed
  }

  /// Reads the object; an unknown severity counts as an error.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    field = try object.string("field")
    severity = Severity(rawValue: try object.string("severity")) ?? .error
    code = try object.string("code")
    message = try object.string("message")
    actual = try object.optionalString("actual")
    allowed = try object.optionalString("allowed")
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("field", field)
      writer.field("severity", severity.rawValue)
      writer.field("code", code)
      writer.field("message", message)
      writer.field("actual", actual)
      writer.field("allowed", allowed)
    }
  }
}
