public import JSONText

/// Asks whether the plugin is alive; answered at once, without I/O.
public struct CheckHealthRequest: RequestMessage, Equatable {
  /// The answer holds nothing.
  public typealias Answer = EmptyMessage
  /// Name on the wire.
  public static let method = "health/check"

  /// Makes the request.
  public init() {}
  /// Accepts any object.
  public init(json: RawJSON) throws(JSONTextError) { _ = try json.object() }
  /// Writes `{}`.
  public func write(to writer: inout JSONWriter) { writer.raw(.emptyObject) }
}
