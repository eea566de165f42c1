/// An IPv4 or IPv6 address as bytes in network order.
package struct IPAddress: Sendable, Equatable, Hashable {
  /// 4 or 16 bytes.
  package let bytes: [UInt8]

  /// Nil unless there are 4 or 16 bytes.
  package init?(bytes: [UInt8]) {
    guard bytes.count == 4 || bytes.count == 16 else { return nil }
    self.bytes = bytes
  }

  /// Reads a dotted quad (no leading zeros) or an IPv6 address without brackets and zone.
  package init?(_ text: some StringProtocol) {
    if text.contains(":") {
      guard let bytes = Self.version6(text) else { return nil }
      self.bytes = bytes
    } else {
      guard let bytes = Self.version4(text) else { return nil }
      self.bytes = bytes
    }
  }

  /// The IPv4 address inside an IPv4-mapped IPv6 address, or the address itself.
  package var unmapped: IPAddress {
    guard bytes.count == 16, bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 255, bytes[11] == 255,
      let inner = IPAddress(bytes: Array(bytes[12...]))
    else { return self }
    return inner
  }

  private static func version4(_ text: some StringProtocol) -> [UInt8]? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var bytes: [UInt8] = []
    for part in parts {
      guard let number = DecimalNumber.parse(part, atMost: 255) else { return nil }
      bytes.append(UInt8(number))
    }
    return bytes
  }

  private static func version6(_ text: some StringProtocol) -> [UInt8]? {
    guard text.utf8.count <= 45 else { return nil }
    var text = String(text)
    var tail: [UInt8] = []
    if text.contains("."), let colon = text.lastIndex(of: ":") {
      guard let quad = version4(text[text.index(after: colon)...]) else { return nil }
      tail = quad
      text = String(text[...colon])
      // The colon before the quad belongs to it, unless it is part of a gap.
      if !text.hasSuffix("::") { text.removeLast() }
    }
    let halves = gap(in: text)
    guard let left = groups(halves.left), let right = halves.right.map({ groups($0) }) ?? .some([]) else { return nil }
    let known = left.count + right.count + tail.count
    if halves.right == nil {
      return known == 16 ? left + tail : nil
    }
    guard known <= 14 else { return nil }
    return left + [UInt8](repeating: 0, count: 16 - known) + right + tail
  }

  /// Splits at the first `::`; a nil right side means that there is none.
  private static func gap(in text: String) -> (left: Substring, right: Substring?) {
    var index = text.startIndex
    while let colon = text[index...].firstIndex(of: ":") {
      let next = text.index(after: colon)
      if next < text.endIndex, text[next] == ":" { return (text[..<colon], text[text.index(after: next)...]) }
      index = next
    }
    return (text[...], nil)
  }

  private static func groups(_ text: Substring) -> [UInt8]? {
    if text.isEmpty { return [] }
    var bytes: [UInt8] = []
    for group in text.split(separator: ":", omittingEmptySubsequences: false) {
      guard (1...4).contains(group.utf8.count), group.utf8.allSatisfy(ASCII.isHexDigit),
        let value = UInt16(group, radix: 16)
      else { return nil }
      bytes.append(UInt8(value >> 8))
      bytes.append(UInt8(value & 255))
    }
    return bytes
  }
}

/// A block of addresses: those whose first `length` bits equal the base.
package struct AddressBlock: Sendable, Equatable {
  package let base: IPAddress
  package let length: Int

  /// Reads `address/length`; nil if the length does not fit or bits behind it are set.
  package init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let base = IPAddress(parts[0]),
      let length = DecimalNumber.parse(parts[1], atMost: base.bytes.count * 8)
    else { return nil }
    self.init(base: base, length: length)
  }

  /// A block of one address.
  package init(_ address: IPAddress) {
    base = address
    length = address.bytes.count * 8
  }

  private init?(base: IPAddress, length: Int) {
    for bit in length..<(base.bytes.count * 8) where base.bytes[bit / 8] & (128 >> UInt8(bit % 8)) != 0 { return nil }
    self.base = base
    self.length = length
  }

  package func contains(_ address: IPAddress) -> Bool {
    guard address.bytes.count == base.bytes.count else { return false }
    let whole = length / 8
    for index in 0..<whole where address.bytes[index] != base.bytes[index] { return false }
    let rest = length % 8
    guard rest > 0 else { return true }
    let mask = UInt8(truncatingIfNeeded: 0xFF00 >> rest)
    return address.bytes[whole] & mask == base.bytes[whole] & mask
  }
}

/// Whole numbers as configuration and URLs write them: digits without sign, spaces or leading zeros.
enum DecimalNumber {
  static func parse(_ text: some StringProtocol, atMost limit: Int) -> Int? {
    let bytes = text.utf8
    guard (1...9).contains(bytes.count), bytes.count == 1 || bytes.first != UInt8(ascii: "0") else { return nil }
    var number = 0
    for byte in bytes {
      guard ASCII.isDigit(byte) else { return nil }
      number = number * 10 + Int(byte - UInt8(ascii: "0"))
    }
    return number <= limit ? number : nil
  }
}

/// Classes of bytes in URLs and headers.
enum ASCII {
  static func isDigit(_ byte: UInt8) -> Bool {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
  }

  static func isLetter(_ byte: UInt8) -> Bool {
    let lower = byte | 0x20
    return lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "z")
  }

  static func isHexDigit(_ byte: UInt8) -> Bool {
    let lower = byte | 0x20
    return isDigit(byte) || (lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "f"))
  }

  /// Characters that RFC 3986 never encodes.
  static func isUnreserved(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): true
    default: isLetter(byte) || isDigit(byte)
    }
  }

  /// Characters of an HTTP field name.
  static func isToken(_ byte: UInt8) -> Bool {
    isLetter(byte) || isDigit(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
  }
}
