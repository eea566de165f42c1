public import JSONText

/// Asks the other side to give up a request; the answer must still come.
public struct CancelNotification: NotificationMessage, Equatable {
  /// Name on the wire.
  public static let method = "$/cancel"

  /// Id of the request.
  public var id: Int64

  /// Makes the notification.
  public init(id: Int64) {
    self.id = id
  }

  /// Reads the params.
  public init(json: RawJSON) throws(JSONTextError) {
    id = try json.object().int64("id")
  }

  /// Writes the params.
  public func write(to writer: inout JSONWriter) {
    writer.object { $0.field("id", id) }
  }
}
