/// Builds one JSON text by appending; commas are put by the writer.
///
/// The caller keeps the order: `beginObject`, then `key` and a value in turn, then `endObject`. Keys are written in the
/// order given and not compared, so a caller must not repeat one.
public struct JSONWriter: Sendable {
  /// What has been written so far.
  public private(set) var bytes: [UInt8]
  private var needsComma = false
  private var depth = 0

  /// Makes an empty writer with room for `capacity` bytes.
  public init(capacity: Int = 256) {
    bytes = []
    bytes.reserveCapacity(capacity)
  }

  /// Opens an object.
  public mutating func beginObject() { open(Byte.openBrace) }
  /// Closes the innermost object.
  public mutating func endObject() { close(Byte.closeBrace) }
  /// Opens an array.
  public mutating func beginArray() { open(Byte.openBracket) }
  /// Closes the innermost array.
  public mutating func endArray() { close(Byte.closeBracket) }

  /// Writes a key; its value must follow.
  public mutating func key(_ name: String) {
    separate()
    appendQuoted(name)
    bytes.append(Byte.colon)
    needsComma = false
  }

  /// Writes a string.
  public mutating func string(_ value: String) {
    separate()
    appendQuoted(value)
    needsComma = true
  }

  /// Writes an integer.
  public mutating func int(_ value: some FixedWidthInteger) {
    scalar(String(value))
  }

  /// Writes a number; JSON has no infinity and no NaN, which become `null`.
  public mutating func double(_ value: Double) {
    guard value.isFinite else { return null() }
    scalar(value.description)
  }

  /// Writes a truth value.
  public mutating func bool(_ value: Bool) {
    scalar(value ? "true" : "false")
  }

  /// Writes `null`.
  public mutating func null() {
    scalar("null")
  }

  /// Writes a checked value as it stands, but on one line: a frame on the wire must not hold a line feed.
  public mutating func raw(_ value: RawJSON) {
    separate()
    if value.bytes.contains(0x0A) {
      // Strings cannot hold a raw line feed, so each of them is white space between tokens.
      bytes.append(contentsOf: value.bytes.lazy.map { $0 == 0x0A ? 0x20 : $0 })
    } else {
      bytes.append(contentsOf: value.bytes)
    }
    needsComma = true
  }

  /// Appends a line feed after a whole value, which ends a frame on the wire.
  public mutating func endLine() {
    bytes.append(0x0A)
  }

  /// Ends the text and returns it; every object and array must be closed.
  public consuming func finish() -> RawJSON {
    precondition(depth == 0 && !bytes.isEmpty, "a JSON text was finished while open or empty")
    return RawJSON(checked: bytes, range: 0..<bytes.count)
  }

  private mutating func open(_ byte: UInt8) {
    separate()
    bytes.append(byte)
    depth += 1
    needsComma = false
  }

  private mutating func close(_ byte: UInt8) {
    bytes.append(byte)
    depth -= 1
    needsComma = true
  }

  private mutating func separate() {
    if needsComma { bytes.append(Byte.comma) }
  }

  private mutating func scalar(_ text: String) {
    separate()
    bytes.append(contentsOf: text.utf8)
    needsComma = true
  }

  private mutating func appendQuoted(_ text: String) {
    bytes.append(Byte.quote)
    var text = text
    text.withUTF8 { buffer in
      var start = 0
      for index in 0..<buffer.count {
        let byte = unsafe buffer[index]
        guard byte < 0x20 || byte == Byte.quote || byte == Byte.backslash else { continue }
        unsafe bytes.append(contentsOf: buffer[start..<index])
        Self.appendEscape(byte, to: &bytes)
        start = index + 1
      }
      unsafe bytes.append(contentsOf: buffer[start...])
    }
    bytes.append(Byte.quote)
  }

  private static func appendEscape(_ byte: UInt8, to bytes: inout [UInt8]) {
    bytes.append(Byte.backslash)
    switch byte {
    case Byte.quote, Byte.backslash: bytes.append(byte)
    case 0x08: bytes.append(UInt8(ascii: "b"))
    case 0x09: bytes.append(UInt8(ascii: "t"))
    case 0x0A: bytes.append(UInt8(ascii: "n"))
    case 0x0C: bytes.append(UInt8(ascii: "f"))
    case 0x0D: bytes.append(UInt8(ascii: "r"))
    default:
      bytes.append(contentsOf: "u00".utf8)
      bytes.append(byte < 0x10 ? Byte.zero : UInt8(ascii: "1"))
      let low = byte & 0x0F
      bytes.append(low < 10 ? Byte.zero + low : UInt8(ascii: "a") + low - 10)
    }
  }
}
