/// One JSON value as checked text.
///
/// A value of this type is always well-formed JSON in UTF-8: the only ways to make one check it or build it. Parts of a
/// value share the bytes of the whole, so taking a part copies nothing (and keeps the whole alive).
public struct RawJSON: Sendable, Equatable, CustomStringConvertible {
  /// Depth of nesting that is accepted unless a caller says otherwise.
  public static let defaultMaximumDepth = 64

  /// JSON's own types.
  public enum Kind: Sendable {
    case null, bool, number, string, array, object
  }

  let storage: [UInt8]
  let range: Range<Int>

  /// Wraps text that is known to be well-formed.
  init(checked storage: [UInt8], range: Range<Int>) {
    self.storage = storage
    self.range = range
  }

  /// Checks `bytes` and takes them over; white space around the value is dropped.
  ///
  /// - Throws: `JSONTextError` for anything that is not exactly one strict JSON value.
  public init(_ bytes: [UInt8], maximumDepth: Int = RawJSON.defaultMaximumDepth) throws(JSONTextError) {
    var scanner = JSONScanner(maximumDepth: maximumDepth)
    self.init(checked: bytes, range: try scanner.scan(bytes.span))
  }

  /// Checks a text; the same rules as for bytes.
  public init(text: String, maximumDepth: Int = RawJSON.defaultMaximumDepth) throws(JSONTextError) {
    try self.init(Array(text.utf8), maximumDepth: maximumDepth)
  }

  /// The value's own bytes, without the white space around it.
  public var bytes: ArraySlice<UInt8> { storage[range] }
  /// Number of bytes.
  public var count: Int { range.count }
  /// The value as text.
  public var text: String { String(decoding: bytes, as: UTF8.self) }
  /// The value as text.
  public var description: String { text }

  /// The type of the value, from its first byte.
  public var kind: Kind {
    switch storage[range.lowerBound] {
    case Byte.openBrace: .object
    case Byte.openBracket: .array
    case Byte.quote: .string
    case UInt8(ascii: "n"): .null
    case UInt8(ascii: "t"), UInt8(ascii: "f"): .bool
    default: .number
    }
  }

  /// Whether the value is `null`.
  public var isNull: Bool { kind == .null }

  /// Equal text means equal; two texts of the same value may differ (see `canonical()`).
  public static func == (left: RawJSON, right: RawJSON) -> Bool {
    left.bytes == right.bytes
  }

  /// The string, with escapes decoded.
  public func string() throws(JSONTextError) -> String {
    guard kind == .string else { throw JSONTextError(.wrongType, at: range.lowerBound) }
    let inside = (range.lowerBound + 1)..<(range.upperBound - 1)
    guard storage[inside].contains(Byte.backslash) else {
      return String(decoding: storage[inside], as: UTF8.self)
    }
    return String(decoding: JSONStringDecoder.decode(storage.span, inside), as: UTF8.self)
  }

  /// The number, if it is written as an integer (no fraction, no exponent) and fits.
  public func int64() throws(JSONTextError) -> Int64 {
    guard kind == .number else { throw JSONTextError(.wrongType, at: range.lowerBound) }
    var index = range.lowerBound
    let negative = storage[index] == Byte.minus
    if negative { index += 1 }
    var value: Int64 = 0
    while index < range.upperBound {
      let byte = storage[index]
      guard Byte.isDigit(byte) else { throw JSONTextError(.wrongType, at: range.lowerBound) }
      let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
      // Counted downwards, because the smallest Int64 has no positive twin.
      let (next, underflow) = scaled.subtractingReportingOverflow(Int64(byte - Byte.zero))
      guard !overflow, !underflow else { throw JSONTextError(.outOfRange, at: range.lowerBound) }
      value = next
      index += 1
    }
    if negative { return value }
    guard value != .min else { throw JSONTextError(.outOfRange, at: range.lowerBound) }
    return -value
  }

  /// The nearest double; a number too large for a double is an error.
  public func double() throws(JSONTextError) -> Double {
    guard kind == .number else { throw JSONTextError(.wrongType, at: range.lowerBound) }
    guard let value = Double(text), value.isFinite else { throw JSONTextError(.outOfRange, at: range.lowerBound) }
    return value
  }

  /// The truth value.
  public func bool() throws(JSONTextError) -> Bool {
    guard kind == .bool else { throw JSONTextError(.wrongType, at: range.lowerBound) }
    return storage[range.lowerBound] == UInt8(ascii: "t")
  }

  /// A view of the members; made in one pass over the object.
  public func object() throws(JSONTextError) -> JSONObjectView {
    guard kind == .object else { throw JSONTextError(.wrongType, at: range.lowerBound) }
    return JSONObjectView(self)
  }

  /// A view of the elements, walked as they are asked for.
  public func array() throws(JSONTextError) -> JSONArrayView {
    guard kind == .array else { throw JSONTextError(.wrongType, at: range.lowerBound) }
    return JSONArrayView(self)
  }

  /// The part of this value that lies at `range` of the same bytes.
  func part(_ range: Range<Int>) -> RawJSON {
    RawJSON(checked: storage, range: range)
  }
}
