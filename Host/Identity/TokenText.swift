import Cryptography

/// The form of API tokens: `rst_`, 43 random characters, and 6 that follow from those, so that a token which was not
/// copied whole is told apart from one that is not valid, and scanners for leaked secrets find tokens only.
enum TokenText {
  /// The first characters of every token.
  static let prefix = "rst_"
  private static let randomCount = 43
  private static let checkCount = 6
  private static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

  static func make() -> String {
    let text = prefix + Base64.encodeURL(RandomBytes.make(32))
    return text + check(text)
  }

  /// Whether a text can be a token at all. Those made before there were check characters have none.
  static func isWhole(_ text: String) -> Bool {
    guard text.hasPrefix(prefix) else { return false }
    let bare = prefix.utf8.count + randomCount
    if text.utf8.count == bare { return true }
    guard text.utf8.count == bare + checkCount, text.utf8.allSatisfy({ $0 < 0x80 }) else { return false }
    return check(String(text.dropLast(checkCount))) == text.suffix(checkCount)
  }

  /// CRC-32 of the text in base 62, most significant character first.
  private static func check(_ text: String) -> String {
    var number = ~text.utf8.reduce(UInt32.max) { crc, byte in
      (0..<8).reduce(crc ^ UInt32(byte)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
    }
    var characters: [UInt8] = []
    for _ in 0..<checkCount {
      characters.append(alphabet[Int(number % 62)])
      number /= 62
    }
    return String(decoding: characters.reversed(), as: UTF8.self)
  }
}
