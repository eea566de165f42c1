/// Version of the plugin protocol; independent of the versions of host, kit and plugins.
public struct ProtocolVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// Breaking changes raise it.
  public let major: Int
  /// Optional additions raise it.
  public let minor: Int

  /// The newest version this code speaks.
  public static let current = ProtocolVersion(major: 1, minor: 0)

  /// Makes a version from its two numbers.
  public init(major: Int, minor: Int) {
    self.major = major
    self.minor = minor
  }

  /// Reads `major.minor`; nil for anything else.
  public init?(_ text: String) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, let major = Self.number(parts[0]), let minor = Self.number(parts[1]) else { return nil }
    self.init(major: major, minor: minor)
  }

  private static func number(_ part: Substring) -> Int? {
    guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
    return Int(part)
  }

  /// The version as `major.minor`.
  public var description: String { "\(major).\(minor)" }

  /// Orders by major, then minor.
  public static func < (left: ProtocolVersion, right: ProtocolVersion) -> Bool {
    (left.major, left.minor) < (right.major, right.minor)
  }
}
