package import FoundationEssentials

/// A fast writer of compact JSON; it puts the commas, the caller keeps the order and the nesting.
///
/// ```swift
/// var writer = JSONWriter()
/// writer.object { writer in
///   writer.field("id", 7)
///   writer.field("tags") { $0.array { for tag in tags { $0.value(tag) } } }
/// }
/// ```
package struct JSONWriter: Sendable {
  /// The text so far, UTF-8.
  package private(set) var bytes: [UInt8]
  private var needsComma = false

  package init(capacity: Int = 512) {
    bytes = []
    bytes.reserveCapacity(capacity)
  }

  /// The text so far as a string.
  package var text: String { String(decoding: bytes, as: UTF8.self) }

  // MARK: Structure

  /// Writes an object whose members `body` writes with `field`.
  package mutating func object<Failure: Error>(_ body: (inout JSONWriter) throws(Failure) -> Void) throws(Failure) {
    separate()
    bytes.append(UInt8(ascii: "{"))
    needsComma = false
    try body(&self)
    bytes.append(UInt8(ascii: "}"))
    needsComma = true
  }

  /// Writes an array whose elements `body` writes with `value`, `object` or `array`.
  package mutating func array<Failure: Error>(_ body: (inout JSONWriter) throws(Failure) -> Void) throws(Failure) {
    separate()
    bytes.append(UInt8(ascii: "["))
    needsComma = false
    try body(&self)
    bytes.append(UInt8(ascii: "]"))
    needsComma = true
  }

  /// Writes a name; exactly one value must follow.
  package mutating func name(_ name: String) {
    separate()
    writeString(name)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  /// Writes a member whose value `body` writes.
  package mutating func field<Failure: Error>(
    _ name: String,
    _ body: (inout JSONWriter) throws(Failure) -> Void
  ) throws(Failure) {
    self.name(name)
    try body(&self)
  }

  // MARK: Values

  package mutating func null() {
    separate()
    append("null")
  }

  package mutating func value(_ value: Bool) {
    separate()
    append(value ? "true" : "false")
  }

  package mutating func value(_ value: Int64) {
    separate()
    append(value)
  }

  package mutating func value(_ value: Int) { self.value(Int64(value)) }

  /// Writes a number; NaN and infinities, which JSON does not have, become `null`.
  package mutating func value(_ value: Double) {
    separate()
    if value.isFinite { bytes.append(contentsOf: value.description.utf8) } else { append("null") }
  }

  package mutating func value(_ value: String) {
    separate()
    writeString(value)
  }

  /// Writes a time as RFC 3339 in UTC with milliseconds.
  package mutating func value(_ value: Date) { self.value(RFC3339.format(value)) }

  /// Writes a UUID in lower case.
  package mutating func value(_ value: UUID) { self.value(value.uuidString.lowercased()) }

  /// Writes a value of any shape; `sortedKeys` orders members by the bytes of their names.
  package mutating func value(_ value: JSONValue, sortedKeys: Bool = true) {
    switch value {
    case .null: null()
    case .bool(let value): self.value(value)
    case .int(let value): self.value(value)
    case .double(let value): self.value(value)
    case .string(let value): self.value(value)
    case .array(let elements):
      array { writer in
        for element in elements { writer.value(element, sortedKeys: sortedKeys) }
      }
    case .object(let members):
      object { writer in
        if sortedKeys {
          for (name, member) in members.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
            writer.name(name)
            writer.value(member, sortedKeys: true)
          }
        } else {
          for (name, member) in members {
            writer.name(name)
            writer.value(member, sortedKeys: false)
          }
        }
      }
    }
  }

  /// Copies a text that is one valid JSON value already, such as a `jsonb` column.
  package mutating func raw(_ json: some Sequence<UInt8>) {
    separate()
    bytes.append(contentsOf: json)
  }

  /// Copies a text that is one valid JSON value already.
  package mutating func raw(_ json: String) { raw(json.utf8) }

  // MARK: Members in one call; a nil value writes `null`

  package mutating func field(_ name: String, _ value: Bool?) {
    self.name(name)
    if let value { self.value(value) } else { null() }
  }

  package mutating func field(_ name: String, _ value: Int64?) {
    self.name(name)
    if let value { self.value(value) } else { null() }
  }

  package mutating func field(_ name: String, _ value: Int?) { field(name, value.map(Int64.init)) }

  package mutating func field(_ name: String, _ value: Double?) {
    self.name(name)
    if let value { self.value(value) } else { null() }
  }

  package mutating func field(_ name: String, _ value: String?) {
    self.name(name)
    if let value { self.value(value) } else { null() }
  }

  package mutating func field(_ name: String, _ value: Date?) {
    self.name(name)
    if let value { self.value(value) } else { null() }
  }

  package mutating func field(_ name: String, _ value: UUID?) {
    self.name(name)
    if let value { self.value(value) } else { null() }
  }

  package mutating func field(_ name: String, _ value: JSONValue?) {
    self.name(name)
    self.value(value ?? .null)
  }

  package mutating func field(_ name: String, _ values: [String]) {
    self.name(name)
    array { writer in
      for value in values { writer.value(value) }
    }
  }

  package mutating func field(_ name: String, _ values: [Int64]) {
    self.name(name)
    array { writer in
      for value in values { writer.value(value) }
    }
  }

  /// Writes a member whose value is a text that is one valid JSON value already; nil writes `null`.
  package mutating func field(_ name: String, raw json: String?) {
    self.name(name)
    if let json { raw(json.utf8) } else { null() }
  }

  // MARK: Bytes

  private mutating func separate() {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
    needsComma = true
  }

  private mutating func append(_ text: StaticString) {
    unsafe bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  private mutating func append(_ value: Int64) {
    if (0...9).contains(value) {
      bytes.append(UInt8(ascii: "0") + UInt8(value))
    } else {
      bytes.append(contentsOf: value.description.utf8)
    }
  }

  private mutating func writeString(_ value: String) {
    bytes.append(UInt8(ascii: "\""))
    var value = value
    let start = bytes.count
    value.withUTF8 { buffer in
      unsafe bytes.append(contentsOf: buffer)
    }
    // Most strings need no escape: copy first, look after.
    if let first = bytes[start...].firstIndex(where: Self.needsEscape) {
      let tail = Array(bytes[first...])
      bytes.removeLast(tail.count)
      for byte in tail { writeEscaped(byte) }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private static func needsEscape(_ byte: UInt8) -> Bool {
    byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
  }

  private mutating func writeEscaped(_ byte: UInt8) {
    switch byte {
    case UInt8(ascii: "\""): append("\\\"")
    case UInt8(ascii: "\\"): append("\\\\")
    case 0x08: append("\\b")
    case 0x09: append("\\t")
    case 0x0A: append("\\n")
    case 0x0C: append("\\f")
    case 0x0D: append("\\r")
    case 0x00..<0x20:
      append("\\u00")
      bytes.append(UInt8(ascii: "0") + (byte >> 4))
      let low = byte & 0x0F
      bytes.append(low < 10 ? UInt8(ascii: "0") + low : UInt8(ascii: "a") + low - 10)
    default: bytes.append(byte)
    }
  }
}

extension JSONValue {
  /// The value as compact JSON in UTF-8; with `sortedKeys` the same value always gives the same bytes.
  package func serialized(sortedKeys: Bool = true) -> [UInt8] {
    var writer = JSONWriter()
    writer.value(self, sortedKeys: sortedKeys)
    return writer.bytes
  }

  /// The value as compact JSON text.
  package func text(sortedKeys: Bool = true) -> String {
    String(decoding: serialized(sortedKeys: sortedKeys), as: UTF8.self)
  }
}
