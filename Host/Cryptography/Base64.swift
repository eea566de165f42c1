/// Base64 (RFC 4648): the standard alphabet with padding, and the URL alphabet without.
package enum Base64 {
  /// Returns the standard form with padding.
  package static func encode(_ bytes: [UInt8]) -> String {
    encode(bytes, alphabet: standardAlphabet, padded: true)
  }

  /// Returns the URL form without padding.
  package static func encodeURL(_ bytes: [UInt8]) -> String {
    encode(bytes, alphabet: urlAlphabet, padded: false)
  }

  /// Decodes the standard form; nil unless padding, length and the unused bits are exactly right.
  package static func decode(_ text: String) -> [UInt8]? {
    var characters = Array(text.utf8)
    guard characters.count.isMultiple(of: 4) else { return nil }
    for _ in 0..<2 where characters.last == UInt8(ascii: "=") { characters.removeLast() }
    return decode(characters, values: standardValues)
  }

  /// Decodes the URL form without padding; nil unless length and the unused bits are exactly right.
  package static func decodeURL(_ text: String) -> [UInt8]? {
    decode(Array(text.utf8), values: urlValues)
  }

  private static let standardAlphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  private static let urlAlphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
  private static let standardValues = values(of: standardAlphabet)
  private static let urlValues = values(of: urlAlphabet)
  private static let invalid: UInt8 = 255

  private static func values(of alphabet: [UInt8]) -> [UInt8] {
    var values = [UInt8](repeating: invalid, count: 256)
    for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
    return values
  }

  private static func encode(_ bytes: [UInt8], alphabet: [UInt8], padded: Bool) -> String {
    var output: [UInt8] = []
    output.reserveCapacity((bytes.count + 2) / 3 * 4)
    var index = 0
    while index < bytes.count {
      let left = bytes.count - index
      var group = UInt32(bytes[index]) << 16
      if left > 1 { group |= UInt32(bytes[index + 1]) << 8 }
      if left > 2 { group |= UInt32(bytes[index + 2]) }
      output.append(alphabet[Int(group >> 18)])
      output.append(alphabet[Int(group >> 12 & 63)])
      if left > 1 { output.append(alphabet[Int(group >> 6 & 63)]) } else if padded { output.append(UInt8(ascii: "=")) }
      if left > 2 { output.append(alphabet[Int(group & 63)]) } else if padded { output.append(UInt8(ascii: "=")) }
      index += 3
    }
    return String(decoding: output, as: UTF8.self)
  }

  private static func decode(_ characters: [UInt8], values: [UInt8]) -> [UInt8]? {
    guard characters.count % 4 != 1 else { return nil }
    var output: [UInt8] = []
    output.reserveCapacity(characters.count / 4 * 3 + 2)
    var group: UInt32 = 0
    var bits = 0
    for character in characters {
      let value = values[Int(character)]
      guard value != invalid else { return nil }
      group = group << 6 | UInt32(value)
      bits += 6
      if bits >= 8 {
        bits -= 8
        output.append(UInt8(truncatingIfNeeded: group >> UInt32(bits)))
        group &= (1 << UInt32(bits)) - 1
      }
    }
    // Bits left over must be zero, so that every byte string has one text form only.
    return group == 0 ? output : nil
  }
}
