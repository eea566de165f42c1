public import JSONText

/// Tells the plugin that its input will end; answered at once.
public struct ShutdownRequest: RequestMessage, Equatable {
  /// The answer holds nothing.
  public typealias Answer = EmptyMessage
  /// Name on the wire.
  public static let method = "shutdown"

  /// Makes the request.
  public init() {}
  /// Accepts any object.
  public init(json: RawJSON) throws(JSONTextError) { _ = try json.object() }
  /// Writes `{}`.
  public func write(to writer: inout JSONWriter) { writer.raw(.emptyObject) }
}
