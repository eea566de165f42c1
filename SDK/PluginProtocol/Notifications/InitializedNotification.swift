public import JSONText

/// The host accepts the plugin's answer to `initialize`.
public struct InitializedNotification: NotificationMessage, Equatable {
  /// Name on the wire.
  public static let method = "initialized"

  /// Makes the notification.
  public init() {}
  /// Accepts any object.
  public init(json: RawJSON) throws(JSONTextError) { _ = try json.object() }
  /// Writes `{}`.
  public func write(to writer: inout JSONWriter) { writer.raw(.emptyObject) }
}
