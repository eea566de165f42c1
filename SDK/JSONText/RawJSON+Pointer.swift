extension RawJSON {
  /// Returns the value at a JSON pointer (RFC 6901), nil if there is none.
  ///
  /// The empty pointer is the whole value; array elements are named by their number.
  public func pointer(_ pointer: String) -> RawJSON? {
    guard !pointer.isEmpty else { return self }
    guard pointer.utf8.first == UInt8(ascii: "/") else { return nil }
    var current = self
    for part in pointer.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
      guard let next = current.step(Self.unescape(part)) else { return nil }
      current = next
    }
    return current
  }

  private func step(_ name: String) -> RawJSON? {
    switch kind {
    case .object:
      return JSONObjectView(self)[name]
    case .array:
      guard name == "0" || name.utf8.first != Byte.zero, name.utf8.allSatisfy(Byte.isDigit), let wanted = Int(name)
      else { return nil }
      for (index, element) in JSONArrayView(self).enumerated() where index == wanted { return element }
      return nil
    default:
      return nil
    }
  }

  /// Decodes one part of a pointer: `~1` stands for a slash, `~0` for a tilde.
  private static func unescape(_ part: Substring.UTF8View.SubSequence) -> String {
    var bytes: [UInt8] = []
    var tilde = false
    for byte in part {
      if tilde, byte == Byte.zero || byte == UInt8(ascii: "1") {
        bytes[bytes.count - 1] = byte == Byte.zero ? UInt8(ascii: "~") : UInt8(ascii: "/")
        tilde = false
      } else {
        bytes.append(byte)
        tilde = byte == UInt8(ascii: "~")
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
