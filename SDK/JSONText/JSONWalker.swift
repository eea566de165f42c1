/// Finds the ends of values in text that the scanner has accepted.
enum JSONWalker {
  static func skipWhitespace(_ bytes: Span<UInt8>, _ index: Int) -> Int {
    var index = index
    while index < bytes.count, Byte.isWhitespace(bytes[index]) { index += 1 }
    return index
  }

  /// Returns the index after the string whose opening quote is at `start`, and whether it holds an escape.
  static func endOfString(_ bytes: Span<UInt8>, _ start: Int) -> (end: Int, escaped: Bool) {
    var index = start + 1
    var escaped = false
    while index < bytes.count {
      switch bytes[index] {
      case Byte.quote: return (index + 1, escaped)
      case Byte.backslash:
        escaped = true
        index += 2
      default: index += 1
      }
    }
    return (bytes.count, escaped)
  }

  /// Returns the index after the value that begins at `start`.
  static func endOfValue(_ bytes: Span<UInt8>, _ start: Int) -> Int {
    switch bytes[start] {
    case Byte.quote: return endOfString(bytes, start).end
    case Byte.openBrace, Byte.openBracket: return endOfContainer(bytes, start)
    default:
      var index = start + 1
      while index < bytes.count {
        let byte = bytes[index]
        if byte == Byte.comma || byte == Byte.closeBrace || byte == Byte.closeBracket || Byte.isWhitespace(byte) {
          break
        }
        index += 1
      }
      return index
    }
  }

  private static func endOfContainer(_ bytes: Span<UInt8>, _ start: Int) -> Int {
    var index = start
    var depth = 0
    while index < bytes.count {
      switch bytes[index] {
      case Byte.quote:
        index = endOfString(bytes, index).end
        continue
      case Byte.openBrace, Byte.openBracket: depth += 1
      case Byte.closeBrace, Byte.closeBracket:
        depth -= 1
        if depth == 0 { return index + 1 }
      default: break
      }
      index += 1
    }
    return bytes.count
  }
}
