/// Fields one behind the other: their number in 4 bytes, then each behind its length in 4 bytes, so that no two lists of
/// fields have the same bytes. Numbers are 8 bytes, all most significant first. What is missing has the length FFFFFFFF.
struct ChainBytes {
  private var count: UInt32 = 0
  private var body: [UInt8] = []

  var encoded: [UInt8] { Self.bytes(count) + body }

  mutating func add(_ field: [UInt8]?) {
    count += 1
    guard let field else {
      body += Self.bytes(UInt32.max)
      return
    }
    body += Self.bytes(UInt32(clamping: field.count))
    body += field
  }

  mutating func add(_ field: String?) {
    add(field.map { Array($0.utf8) })
  }

  mutating func add(_ field: Int64?) {
    add(field.map { Self.bytes($0) })
  }

  private static func bytes(_ number: some FixedWidthInteger) -> [UInt8] {
    stride(from: number.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> $0) }
  }
}
