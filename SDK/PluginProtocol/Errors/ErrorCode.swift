/// Number of a JSON-RPC error; open, so that an unknown one survives the way through.
public struct ErrorCode: RawRepresentable, Sendable, Hashable {
  /// The number on the wire.
  public let rawValue: Int64

  /// Makes a code from its number.
  public init(rawValue: Int64) {
    self.rawValue = rawValue
  }
}
