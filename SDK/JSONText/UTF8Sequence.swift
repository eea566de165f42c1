/// Length of well-formed UTF-8 sequences (Unicode table 3-7).
enum UTF8Sequence {
  /// Returns the length of the well-formed multi-byte sequence at `start`, or 0 if there is none.
  static func length(_ bytes: Span<UInt8>, at start: Int) -> Int {
    let lead = bytes[start]
    let length: Int
    var lowest: UInt8 = 0x80
    var highest: UInt8 = 0xBF
    switch lead {
    case 0xC2...0xDF: length = 2
    case 0xE0: (length, lowest) = (3, 0xA0)
    case 0xED: (length, highest) = (3, 0x9F)
    case 0xE1...0xEF: length = 3
    case 0xF0: (length, lowest) = (4, 0x90)
    case 0xF1...0xF3: length = 4
    case 0xF4: (length, highest) = (4, 0x8F)
    default: return 0
    }
    guard bytes.count - start >= length else { return 0 }
    guard bytes[start + 1] >= lowest, bytes[start + 1] <= highest else { return 0 }
    for offset in 2..<max(length, 2) where bytes[start + offset] & 0xC0 != 0x80 { return 0 }
    return length
  }
}
