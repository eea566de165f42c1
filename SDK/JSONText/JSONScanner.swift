/// Checks a text against the JSON grammar in one pass, without building values.
///
/// Stricter than RFC 8259 where two readers could disagree: no byte order mark, no duplicate keys, no lone surrogates,
/// a bounded depth and a bounded exponent. Time is linear in the length of the text.
struct JSONScanner: ~Copyable {
  /// A key of an object that is still open.
  private struct Key {
    let start: Int
    let end: Int
    let escaped: Bool
  }

  /// Up to this many keys are compared one by one; larger objects use a set.
  private static let linearKeys = 16
  /// Larger exponents are refused, so that a number always has a canonical form of bounded size.
  private static let maximumExponent = 99_999

  private let maximumDepth: Int
  private var position = 0
  private var depth = 0
  private var keys: [Key] = []

  init(maximumDepth: Int) {
    self.maximumDepth = maximumDepth
  }

  /// Checks the whole text and returns the range of its one value, without the white space around it.
  mutating func scan(_ bytes: Span<UInt8>) throws(JSONTextError) -> Range<Int> {
    skipWhitespace(bytes)
    let start = position
    try value(bytes)
    let end = position
    skipWhitespace(bytes)
    guard position == bytes.count else { throw JSONTextError(.trailingText, at: position) }
    return start..<end
  }

  private mutating func skipWhitespace(_ bytes: Span<UInt8>) {
    while position < bytes.count, Byte.isWhitespace(bytes[position]) { position += 1 }
  }

  private mutating func value(_ bytes: Span<UInt8>) throws(JSONTextError) {
    guard position < bytes.count else { throw JSONTextError(.unexpectedEnd, at: position) }
    switch bytes[position] {
    case Byte.openBrace: try object(bytes)
    case Byte.openBracket: try array(bytes)
    case Byte.quote: _ = try string(bytes)
    case Byte.minus, Byte.zero...Byte.nine: try number(bytes)
    case UInt8(ascii: "t"): try literal(bytes, "true")
    case UInt8(ascii: "f"): try literal(bytes, "false")
    case UInt8(ascii: "n"): try literal(bytes, "null")
    default: throw JSONTextError(.unexpectedCharacter, at: position)
    }
  }

  private mutating func enter() throws(JSONTextError) {
    depth += 1
    guard depth <= maximumDepth else { throw JSONTextError(.tooDeep, at: position) }
    position += 1
  }

  private mutating func array(_ bytes: Span<UInt8>) throws(JSONTextError) {
    try enter()
    skipWhitespace(bytes)
    if position < bytes.count, bytes[position] == Byte.closeBracket {
      position += 1
      depth -= 1
      return
    }
    while true {
      skipWhitespace(bytes)
      try value(bytes)
      skipWhitespace(bytes)
      guard position < bytes.count else { throw JSONTextError(.unexpectedEnd, at: position) }
      let next = bytes[position]
      guard next == Byte.comma || next == Byte.closeBracket else {
        throw JSONTextError(.unexpectedCharacter, at: position)
      }
      position += 1
      if next == Byte.closeBracket { break }
    }
    depth -= 1
  }

  private mutating func object(_ bytes: Span<UInt8>) throws(JSONTextError) {
    try enter()
    skipWhitespace(bytes)
    if position < bytes.count, bytes[position] == Byte.closeBrace {
      position += 1
      depth -= 1
      return
    }
    let base = keys.count
    var many: Set<[UInt8]> = []
    while true {
      skipWhitespace(bytes)
      guard position < bytes.count else { throw JSONTextError(.unexpectedEnd, at: position) }
      guard bytes[position] == Byte.quote else { throw JSONTextError(.unexpectedCharacter, at: position) }
      let start = position + 1
      let escaped = try string(bytes)
      try remember(Key(start: start, end: position - 1, escaped: escaped), base: base, many: &many, bytes)
      skipWhitespace(bytes)
      guard position < bytes.count else { throw JSONTextError(.unexpectedEnd, at: position) }
      guard bytes[position] == Byte.colon else { throw JSONTextError(.unexpectedCharacter, at: position) }
      position += 1
      skipWhitespace(bytes)
      try value(bytes)
      skipWhitespace(bytes)
      guard position < bytes.count else { throw JSONTextError(.unexpectedEnd, at: position) }
      let next = bytes[position]
      guard next == Byte.comma || next == Byte.closeBrace else {
        throw JSONTextError(.unexpectedCharacter, at: position)
      }
      position += 1
      if next == Byte.closeBrace { break }
    }
    keys.removeLast(keys.count - base)
    depth -= 1
  }

  private mutating func remember(
    _ key: Key,
    base: Int,
    many: inout Set<[UInt8]>,
    _ bytes: Span<UInt8>
  ) throws(JSONTextError) {
    let count = keys.count - base
    if count < Self.linearKeys {
      for index in base..<keys.count where Self.equal(keys[index], key, bytes) {
        throw JSONTextError(.duplicateKey, at: key.start)
      }
      keys.append(key)
      return
    }
    if many.isEmpty {
      for index in base..<keys.count { many.insert(Self.decoded(keys[index], bytes)) }
    }
    guard many.insert(Self.decoded(key, bytes)).inserted else {
      throw JSONTextError(.duplicateKey, at: key.start)
    }
  }

  private static func equal(_ left: Key, _ right: Key, _ bytes: Span<UInt8>) -> Bool {
    if left.escaped || right.escaped { return decoded(left, bytes) == decoded(right, bytes) }
    guard left.end - left.start == right.end - right.start else { return false }
    for offset in 0..<(left.end - left.start) where bytes[left.start + offset] != bytes[right.start + offset] {
      return false
    }
    return true
  }

  private static func decoded(_ key: Key, _ bytes: Span<UInt8>) -> [UInt8] {
    JSONStringDecoder.decode(bytes, key.start..<key.end)
  }

  private mutating func literal(_ bytes: Span<UInt8>, _ expected: String) throws(JSONTextError) {
    let start = position
    for byte in expected.utf8 {
      guard position < bytes.count, bytes[position] == byte else { throw JSONTextError(.badLiteral, at: start) }
      position += 1
    }
  }

  private mutating func number(_ bytes: Span<UInt8>) throws(JSONTextError) {
    let start = position
    if bytes[position] == Byte.minus { position += 1 }
    guard position < bytes.count else { throw JSONTextError(.badNumber, at: start) }
    if bytes[position] == Byte.zero {
      position += 1
      if position < bytes.count, Byte.isDigit(bytes[position]) { throw JSONTextError(.badNumber, at: start) }
    } else {
      guard digits(bytes) else { throw JSONTextError(.badNumber, at: start) }
    }
    if position < bytes.count, bytes[position] == Byte.dot {
      position += 1
      guard digits(bytes) else { throw JSONTextError(.badNumber, at: start) }
    }
    guard position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") else { return }
    position += 1
    if position < bytes.count, bytes[position] == Byte.minus || bytes[position] == UInt8(ascii: "+") { position += 1 }
    let exponentStart = position
    var exponent = 0
    while position < bytes.count, Byte.isDigit(bytes[position]) {
      exponent = exponent * 10 + Int(bytes[position] - Byte.zero)
      guard exponent <= Self.maximumExponent else { throw JSONTextError(.badNumber, at: start) }
      position += 1
    }
    guard position > exponentStart else { throw JSONTextError(.badNumber, at: start) }
  }

  private mutating func digits(_ bytes: Span<UInt8>) -> Bool {
    let start = position
    while position < bytes.count, Byte.isDigit(bytes[position]) { position += 1 }
    return position > start
  }

  /// Checks a string from its opening quote; true if it holds an escape.
  private mutating func string(_ bytes: Span<UInt8>) throws(JSONTextError) -> Bool {
    var escaped = false
    position += 1
    while position < bytes.count {
      let byte = bytes[position]
      if byte == Byte.quote {
        position += 1
        return escaped
      }
      if byte == Byte.backslash {
        escaped = true
        try escape(bytes)
      } else if byte < 0x20 {
        throw JSONTextError(.controlCharacter, at: position)
      } else if byte < 0x80 {
        position += 1
      } else {
        let length = UTF8Sequence.length(bytes, at: position)
        guard length > 0 else { throw JSONTextError(.badUTF8, at: position) }
        position += length
      }
    }
    throw JSONTextError(.unexpectedEnd, at: position)
  }

  private mutating func escape(_ bytes: Span<UInt8>) throws(JSONTextError) {
    let start = position
    guard position + 1 < bytes.count else { throw JSONTextError(.unexpectedEnd, at: position) }
    switch bytes[position + 1] {
    case Byte.quote, Byte.backslash, UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"),
      UInt8(ascii: "r"), UInt8(ascii: "t"):
      position += 2
    case UInt8(ascii: "u"):
      guard let unit = JSONStringDecoder.hex4(bytes, at: position + 2) else {
        throw JSONTextError(.badEscape, at: start)
      }
      position += 6
      guard 0xD800...0xDFFF ~= unit else { return }
      guard unit < 0xDC00, position + 1 < bytes.count, bytes[position] == Byte.backslash,
        bytes[position + 1] == UInt8(ascii: "u"),
        let low = JSONStringDecoder.hex4(bytes, at: position + 2), 0xDC00...0xDFFF ~= low
      else { throw JSONTextError(.loneSurrogate, at: start) }
      position += 6
    default:
      throw JSONTextError(.badEscape, at: start)
    }
  }
}
