/// Percent-encoding of everything that is not unreserved.
package enum PercentEncoding {
  package static func encode(_ text: String) -> String {
    if text.utf8.allSatisfy(ASCII.isUnreserved) { return text }
    var output: [UInt8] = []
    output.reserveCapacity(text.utf8.count * 3)
    for byte in text.utf8 {
      if ASCII.isUnreserved(byte) {
        output.append(byte)
      } else {
        output.append(UInt8(ascii: "%"))
        output.append(digits[Int(byte >> 4)])
        output.append(digits[Int(byte & 15)])
      }
    }
    return String(decoding: output, as: UTF8.self)
  }

  /// Whether an encoded query holds this key, however it is written there.
  static func hasKey(_ key: String, in query: String) -> Bool {
    query.split(separator: "&").contains { pair in
      decode(pair.prefix { $0 != "=" }).lowercased() == key.lowercased()
    }
  }

  /// The text behind an encoded form; broken escapes stay as they are.
  package static func decode(_ text: some StringProtocol) -> String {
    var output: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "%"), rest.count >= 2, ASCII.isHexDigit(rest[rest.startIndex]),
        ASCII.isHexDigit(rest[rest.startIndex + 1]),
        let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
      {
        output.append(value)
        rest = rest.dropFirst(2)
      } else {
        output.append(byte == UInt8(ascii: "+") ? 0x20 : byte)
      }
    }
    return String(decoding: output, as: UTF8.self)
  }

  /// `a=b&c=d` in the given order.
  static func pairs(_ fields: [HTTPCallParameters.Field]) -> String {
    fields.map { encode($0.name) + "=" + encode($0.value) }.joined(separator: "&")
  }

  private static let digits = Array("0123456789ABCDEF".utf8)
}
