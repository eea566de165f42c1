public import JSONText

/// A line for the host's log.
public struct LogNotification: NotificationMessage, Equatable {
  /// Name on the wire.
  public static let method = "host/log"

  /// `debug`, `info`, `notice`, `warning`, `error` or `fault`.
  public var level: String
  /// A constant sentence.
  public var message: String
  /// What varies.
  public var fields: [HTTPField]

  /// Makes the notification.
  public init(level: String, message: String, fields: [HTTPField] = []) {
    self.level = level
    self.message = message
    self.fields = fields
  }

  /// Reads the params; values of fields that are not strings are taken as their JSON text.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    level = try object.string("level")
    message = try object.string("message")
    fields = []
    for (name, value) in try object.optionalObject("fields")?.all ?? [] {
      fields.append(HTTPField(name, value.kind == .string ? try value.string() : value.text))
    }
  }

  /// Writes the params.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("level", level)
      writer.field("message", message)
      guard !fields.isEmpty else { return }
      writer.object("fields") { writer in for field in fields { writer.field(field.name, field.value) } }
    }
  }
}
