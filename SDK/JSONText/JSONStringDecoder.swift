/// Decodes the inside of strings that the scanner has accepted.
enum JSONStringDecoder {
  /// Returns the four-digit hexadecimal number at `start`, if there is one.
  static func hex4(_ bytes: Span<UInt8>, at start: Int) -> UInt32? {
    guard bytes.count - start >= 4 else { return nil }
    var value: UInt32 = 0
    for offset in 0..<4 {
      let byte = bytes[start + offset]
      let digit: UInt8
      switch byte {
      case Byte.zero...Byte.nine: digit = byte - Byte.zero
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
      default: return nil
      }
      value = value << 4 | UInt32(digit)
    }
    return value
  }

  /// Returns the UTF-8 bytes that the string between the quotes stands for.
  static func decode(_ bytes: Span<UInt8>, _ range: Range<Int>) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(range.count)
    var index = range.lowerBound
    while index < range.upperBound {
      let byte = bytes[index]
      guard byte == Byte.backslash, index + 1 < range.upperBound else {
        result.append(byte)
        index += 1
        continue
      }
      let letter = bytes[index + 1]
      guard letter == UInt8(ascii: "u") else {
        result.append(simple(letter))
        index += 2
        continue
      }
      var scalar = hex4(bytes, at: index + 2) ?? 0xFFFD
      index += 6
      if 0xD800...0xDBFF ~= scalar, let low = hex4(bytes, at: index + 2), 0xDC00...0xDFFF ~= low {
        scalar = 0x10000 + (scalar - 0xD800) << 10 + (low - 0xDC00)
        index += 6
      }
      append(scalar, to: &result)
    }
    return result
  }

  private static func simple(_ letter: UInt8) -> UInt8 {
    switch letter {
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "f"): 0x0C
    case UInt8(ascii: "n"): 0x0A
    case UInt8(ascii: "r"): 0x0D
    case UInt8(ascii: "t"): 0x09
    default: letter
    }
  }

  private static func append(_ scalar: UInt32, to result: inout [UInt8]) {
    switch scalar {
    case 0..<0x80:
      result.append(UInt8(scalar))
    case 0x80..<0x800:
      result.append(0xC0 | UInt8(scalar >> 6))
      result.append(0x80 | UInt8(scalar & 0x3F))
    case 0x800..<0x10000:
      result.append(0xE0 | UInt8(scalar >> 12))
      result.append(0x80 | UInt8(scalar >> 6 & 0x3F))
      result.append(0x80 | UInt8(scalar & 0x3F))
    default:
      result.append(0xF0 | UInt8(scalar >> 18 & 0x07))
      result.append(0x80 | UInt8(scalar >> 12 & 0x3F))
      result.append(0x80 | UInt8(scalar >> 6 & 0x3F))
      result.append(0x80 | UInt8(scalar & 0x3F))
    }
  }
}
