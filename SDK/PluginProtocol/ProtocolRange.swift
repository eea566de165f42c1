public import JSONText

/// The protocol versions one side accepts.
public struct ProtocolRange: Sendable, Equatable, WireValue {
  /// Lowest accepted version.
  public let min: ProtocolVersion
  /// Highest accepted version.
  public let max: ProtocolVersion

  /// What this code accepts.
  public static let supported = ProtocolRange(min: ProtocolVersion(major: 1, minor: 0), max: .current)

  /// Makes a range; `min` must not be above `max`, or nothing is in it.
  public init(min: ProtocolVersion, max: ProtocolVersion) {
    self.min = min
    self.max = max
  }

  /// Returns the highest version both sides accept, nil if there is none.
  public func negotiate(with other: ProtocolRange) -> ProtocolVersion? {
    let highest = Swift.min(max, other.max)
    return highest >= Swift.max(min, other.min) ? highest : nil
  }

  /// Reads `{"min":"1.0","max":"1.0"}`.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    func version(_ key: String) throws(JSONTextError) -> ProtocolVersion {
      guard let version = ProtocolVersion(try object.string(key)) else {
        throw JSONTextError(.wrongType, at: 0, field: key)
      }
      return version
    }
    self.init(min: try version("min"), max: try version("max"))
  }

  /// Writes the range as an object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("min", min.description)
      writer.field("max", max.description)
    }
  }
}
