extension RawJSON {
  /// Returns the one text that all texts of the same value share; used for digests.
  ///
  /// Keys are sorted by their UTF-8 bytes at every level, white space is dropped, strings use the shortest escapes, and
  /// numbers are normalised exactly (`1.50e1` and `15` are the same, and no digit is ever rounded away).
  public func canonical() -> RawJSON {
    var writer = JSONWriter(capacity: count)
    appendCanonical(to: &writer)
    return writer.finish()
  }

  private func appendCanonical(to writer: inout JSONWriter) {
    switch kind {
    case .null, .bool: writer.raw(self)
    case .number: writer.raw(canonicalNumber())
    case .string: writer.string(decodedString)
    case .array:
      writer.beginArray()
      for element in JSONArrayView(self) { element.appendCanonical(to: &writer) }
      writer.endArray()
    case .object:
      writer.beginObject()
      let members = JSONObjectView(self).all.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      for member in members {
        writer.key(member.key)
        member.value.appendCanonical(to: &writer)
      }
      writer.endObject()
    }
  }

  private var decodedString: String {
    let inside = (range.lowerBound + 1)..<(range.upperBound - 1)
    return String(decoding: JSONStringDecoder.decode(storage.span, inside), as: UTF8.self)
  }

  /// The number as digits without leading or trailing zeros, and a power of ten where it is not a plain integer.
  private func canonicalNumber() -> RawJSON {
    var digits: [UInt8] = []
    var exponent = 0
    var afterPoint = false
    var index = range.lowerBound
    let negative = storage[index] == Byte.minus
    if negative { index += 1 }
    scan: while index < range.upperBound {
      let byte = storage[index]
      switch byte {
      case Byte.dot: afterPoint = true
      case UInt8(ascii: "e"), UInt8(ascii: "E"):
        let text = storage[(index + 1)..<range.upperBound]
        // The scanner bounds the exponent, so the number is there and the sum below is safe.
        exponent += Int(String(decoding: text, as: UTF8.self)) ?? 0
        break scan
      default:
        digits.append(byte)
        if afterPoint { exponent -= 1 }
      }
      index += 1
    }
    let leading = digits.prefix { $0 == Byte.zero }.count
    digits.removeFirst(leading)
    while digits.last == Byte.zero {
      digits.removeLast()
      exponent += 1
    }
    if digits.isEmpty { return RawJSON(checked: [Byte.zero], range: 0..<1) }
    if exponent >= 0, exponent <= 21 {
      digits.append(contentsOf: repeatElement(Byte.zero, count: exponent))
    } else {
      digits.append(UInt8(ascii: "e"))
      digits.append(contentsOf: String(exponent).utf8)
    }
    if negative { digits.insert(Byte.minus, at: 0) }
    return RawJSON(checked: digits, range: 0..<digits.count)
  }
}
