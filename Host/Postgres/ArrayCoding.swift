/// The binary form of one-dimensional arrays: header, then each element behind its length.
enum ArrayCoding {
  static func encode<Element: PostgresEncodable>(
    _ elements: [Element],
    of type: PostgresType,
    into buffer: inout [UInt8]
  ) {
    guard !elements.isEmpty else {
      buffer.appendBigEndian(Int32(0))
      buffer.appendBigEndian(Int32(0))
      buffer.appendBigEndian(type.rawValue)
      return
    }
    buffer.reserveCapacity(buffer.count + 20 + elements.count * 12)
    buffer.appendBigEndian(Int32(1))
    let flagOffset = buffer.count
    buffer.appendBigEndian(Int32(0))
    buffer.appendBigEndian(type.rawValue)
    buffer.appendBigEndian(Int32(clamping: elements.count))
    buffer.appendBigEndian(Int32(1))
    var hasNull = false
    for element in elements {
      let lengthOffset = buffer.count
      buffer.appendBigEndian(Int32(-1))
      if element.encode(into: &buffer) {
        // A value beyond 2 GiB cannot be bound at all; the session refuses the whole parameter.
        buffer.setBigEndian(Int32(clamping: buffer.count - lengthOffset - 4), at: lengthOffset)
      } else {
        hasNull = true
      }
    }
    if hasNull {
      buffer.setBigEndian(Int32(1), at: flagOffset)
    }
  }

  /// Reads an array of one dimension; nil for more dimensions or when one element cannot be read.
  static func decode<Element: PostgresDecodable>(_ cell: Cell) -> [Element]? {
    guard !cell.isNull, let dimensions = cell.integer(Int32.self, at: 0), let type = cell.integer(UInt32.self, at: 8)
    else { return nil }
    if dimensions == 0 { return [] }
    guard dimensions == 1, let count = cell.integer(Int32.self, at: 12), count >= 0 else { return nil }
    var offset = 20
    var elements: [Element] = []
    // Every element takes at least its four bytes of length, which bounds what a wrong count can reserve.
    guard Int(count) <= cell.count / 4 else { return nil }
    elements.reserveCapacity(Int(count))
    for _ in 0..<count {
      guard let length = cell.integer(Int32.self, at: offset) else { return nil }
      offset += 4
      let part: Cell
      if length < 0 {
        part = cell.nullPart(as: PostgresType(rawValue: type))
      } else {
        guard let value = cell.part(offset: offset, count: Int(length), as: PostgresType(rawValue: type)) else {
          return nil
        }
        part = value
        offset += Int(length)
      }
      guard let element = Element.decode(part) else { return nil }
      elements.append(element)
    }
    return elements
  }
}

extension [UInt8] {
  mutating func appendBigEndian(_ value: some FixedWidthInteger) {
    unsafe Swift.withUnsafeBytes(of: value.bigEndian) { unsafe self.append(contentsOf: $0) }
  }

  /// Writes over the bytes from the offset on, which must exist.
  mutating func setBigEndian(_ value: Int32, at offset: Int) {
    let bits = UInt32(bitPattern: value)
    self[offset] = UInt8(truncatingIfNeeded: bits >> 24)
    self[offset + 1] = UInt8(truncatingIfNeeded: bits >> 16)
    self[offset + 2] = UInt8(truncatingIfNeeded: bits >> 8)
    self[offset + 3] = UInt8(truncatingIfNeeded: bits)
  }
}
