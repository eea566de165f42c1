/// A name and a value.
public struct HTTPField: Sendable, Equatable {
  /// The name.
  public var name: String
  /// The value.
  public var value: String

  /// Makes a field.
  public init(_ name: String, _ value: String) {
    self.name = name
    self.value = value
  }
}
