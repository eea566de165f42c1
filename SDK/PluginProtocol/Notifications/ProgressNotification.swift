public import JSONText

/// Says how far a call has come.
public struct ProgressNotification: NotificationMessage, Equatable {
  /// Name on the wire.
  public static let method = "host/progress"

  /// The call this is about.
  public var call: String
  /// From 0 to 1.
  public var fraction: Double?
  /// A few words for people.
  public var note: String?

  /// Makes the notification.
  public init(call: String, fraction: Double? = nil, note: String? = nil) {
    self.call = call
    self.fraction = fraction
    self.note = note
  }

  /// Reads the params.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    call = try object.string("call")
    fraction = try object.optionalDouble("fraction")
    note = try object.optionalString("note")
  }

  /// Writes the params.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("call", call)
      writer.field("fraction", fraction)
      writer.field("note", note)
    }
  }
}
