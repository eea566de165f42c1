/// A statement whose interpolated values are always bound as parameters, never spliced into its text.
///
/// ```swift
/// let statement: SQL = "SELECT title FROM posts WHERE id = \(id)"
/// ```
/// Only ``SQL/StringInterpolation/appendInterpolation(trusted:)``, `fragment:` and `identifier:` add text.
package struct SQL: Sendable, ExpressibleByStringInterpolation {
  /// The texts around the parameters, one more than there are parameters.
  private(set) var literals: [String]
  private(set) var types: [UInt32]
  /// The length of each value in bytes, -1 for NULL.
  private(set) var lengths: [Int]
  /// The binary forms of all values, one behind the other.
  private(set) var values: [UInt8]

  package init(stringLiteral value: String) {
    literals = [value]
    types = []
    lengths = []
    values = []
  }

  package init(stringInterpolation: StringInterpolation) {
    self = stringInterpolation.sql
  }

  /// The text with `$1`, `$2`, … in the places of the parameters.
  package var text: String {
    var text = literals[0]
    for index in 1..<literals.count {
      text += "$\(index)"
      text += literals[index]
    }
    return text
  }

  package var parameterCount: Int { types.count }

  fileprivate mutating func append(text: String) {
    literals[literals.count - 1] += text
  }

  fileprivate mutating func append<Value: PostgresEncodable>(_ value: Value) {
    let start = values.count
    let isPresent = value.encode(into: &values)
    types.append(Value.postgresType.rawValue)
    lengths.append(isPresent ? values.count - start : -1)
    literals.append("")
  }

  fileprivate mutating func append(_ other: SQL) {
    append(text: other.literals[0])
    literals += other.literals.dropFirst()
    types += other.types
    lengths += other.lengths
    values += other.values
  }

  /// Joins statements or fragments with a fixed text between them.
  package static func joined(_ parts: [SQL], separator: StaticString) -> SQL {
    var result: SQL = ""
    for (index, part) in parts.enumerated() {
      if index > 0 { result.append(text: separator.description) }
      result.append(part)
    }
    return result
  }

  /// The statement with another one behind it.
  package static func + (left: SQL, right: SQL) -> SQL {
    var result = left
    result.append(right)
    return result
  }

  package struct StringInterpolation: StringInterpolationProtocol, Sendable {
    fileprivate var sql: SQL = ""

    package init(literalCapacity: Int, interpolationCount: Int) {}

    package mutating func appendLiteral(_ literal: String) {
      sql.append(text: literal)
    }

    /// Binds the value as the next parameter.
    package mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value) {
      sql.append(value)
    }

    /// Binds the value, or NULL, as the next parameter.
    package mutating func appendInterpolation<Value: PostgresScalar>(_ value: Value?) {
      sql.append(value)
    }

    /// Adds text that is written in the source code.
    package mutating func appendInterpolation(trusted text: StaticString) {
      sql.append(text: text.description)
    }

    /// Adds another statement's text and parameters.
    package mutating func appendInterpolation(fragment: SQL) {
      sql.append(fragment)
    }

    /// Adds a name in double quotes, so that it can only be an identifier.
    package mutating func appendInterpolation(identifier: String) {
      sql.append(text: "\"" + identifier.replacing("\"", with: "\"\"") + "\"")
    }
  }
}

extension SQL: CustomStringConvertible {
  /// The text without the values of the parameters.
  package var description: String { text }
}
