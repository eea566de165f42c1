/// A JSON value written as a Swift literal; its text always has sorted keys.
///
/// `["text": "hello", "ids": ["1", "2"]]` is what an adapter writes for a request body.
public enum JSONLiteral: Sendable, Equatable {
  case null
  case bool(Bool)
  case int(Int64)
  case double(Double)
  case string(String)
  case array([JSONLiteral])
  case object([String: JSONLiteral])
  case raw(RawJSON)

  /// The text of the value, with the keys of every object sorted by their bytes.
  public var json: RawJSON {
    var writer = JSONWriter()
    write(to: &writer)
    return writer.finish()
  }

  /// Writes the value.
  public func write(to writer: inout JSONWriter) {
    switch self {
    case .null: writer.null()
    case .bool(let value): writer.bool(value)
    case .int(let value): writer.int(value)
    case .double(let value): writer.double(value)
    case .string(let value): writer.string(value)
    case .raw(let value): writer.raw(value)
    case .array(let elements):
      writer.beginArray()
      for element in elements { element.write(to: &writer) }
      writer.endArray()
    case .object(let members):
      writer.beginObject()
      for (key, value) in members.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
        writer.key(key)
        value.write(to: &writer)
      }
      writer.endObject()
    }
  }

  /// An array of strings.
  public static func strings(_ values: [String]) -> JSONLiteral {
    .array(values.map { .string($0) })
  }
}

extension JSONLiteral: ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  /// Makes a string from a literal.
  public init(stringLiteral value: String) { self = .string(value) }
  /// Makes an integer from a literal.
  public init(integerLiteral value: Int64) { self = .int(value) }
  /// Makes a number from a literal.
  public init(floatLiteral value: Double) { self = .double(value) }
  /// Makes a truth value from a literal.
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  /// Makes `null` from a literal.
  public init(nilLiteral: ()) { self = .null }
  /// Makes an array from a literal.
  public init(arrayLiteral elements: JSONLiteral...) { self = .array(elements) }
  /// Makes an object from a literal; the last value of a repeated key counts.
  public init(dictionaryLiteral elements: (String, JSONLiteral)...) {
    self = .object(Dictionary(elements) { $1 })
  }
}
