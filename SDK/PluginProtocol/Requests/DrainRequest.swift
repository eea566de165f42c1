public import JSONText

/// Asks the plugin to finish what it has and to take nothing new; answered when the last call ended.
public struct DrainRequest: RequestMessage, Equatable {
  /// The answer holds nothing.
  public typealias Answer = EmptyMessage
  /// Name on the wire.
  public static let method = "drain"

  /// Makes the request.
  public init() {}
  /// Accepts any object.
  public init(json: RawJSON) throws(JSONTextError) { _ = try json.object() }
  /// Writes `{}`.
  public func write(to writer: inout JSONWriter) { writer.raw(.emptyObject) }
}
