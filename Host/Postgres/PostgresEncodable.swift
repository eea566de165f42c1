/// A value that can be bound to a parameter of a statement.
package protocol PostgresEncodable: Sendable {
  static var postgresType: PostgresType { get }

  /// Appends the binary form, or appends nothing and returns false for NULL.
  func encode(into buffer: inout [UInt8]) -> Bool
}

/// A value that can be read from a column.
package protocol PostgresDecodable: Sendable {
  /// Reads the value, or returns nil when the cell holds another type, NULL, or a value out of range.
  static func decode(_ cell: Cell) -> Self?
}

/// A type whose Swift arrays have a form in PostgreSQL.
package protocol PostgresArrayElement: Sendable {
  static var postgresArrayType: PostgresType { get }
  static func encodeArray(_ elements: [Self], into buffer: inout [UInt8])
  static func decodeArray(_ cell: Cell) -> [Self]?
}

/// A single value: it can be bound, read, and lie in an array.
package protocol PostgresScalar: PostgresEncodable, PostgresDecodable, PostgresArrayElement {}

extension PostgresScalar {
  package static func encodeArray(_ elements: [Self], into buffer: inout [UInt8]) {
    ArrayCoding.encode(elements, of: Self.postgresType, into: &buffer)
  }

  package static func decodeArray(_ cell: Cell) -> [Self]? {
    ArrayCoding.decode(cell)
  }
}

extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
  package static var postgresType: PostgresType { Wrapped.postgresType }

  package func encode(into buffer: inout [UInt8]) -> Bool {
    guard let self else { return false }
    return self.encode(into: &buffer)
  }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
  package static func decode(_ cell: Cell) -> Self? {
    if cell.isNull { return .some(nil) }
    guard let value = Wrapped.decode(cell) else { return nil }
    return .some(value)
  }
}

extension Optional: PostgresArrayElement where Wrapped: PostgresScalar {
  package static var postgresArrayType: PostgresType { Wrapped.postgresArrayType }

  package static func encodeArray(_ elements: [Self], into buffer: inout [UInt8]) {
    ArrayCoding.encode(elements, of: Wrapped.postgresType, into: &buffer)
  }

  package static func decodeArray(_ cell: Cell) -> [Self]? {
    ArrayCoding.decode(cell)
  }
}

extension Array: PostgresEncodable where Element: PostgresArrayElement {
  package static var postgresType: PostgresType { Element.postgresArrayType }

  package func encode(into buffer: inout [UInt8]) -> Bool {
    Element.encodeArray(self, into: &buffer)
    return true
  }
}

extension Array: PostgresDecodable where Element: PostgresArrayElement {
  package static func decode(_ cell: Cell) -> Self? {
    Element.decodeArray(cell)
  }
}
