/// Puts faults into good bytes.
package struct ByteMutator: Sendable {
  private let splinters: [[UInt8]]

  /// Faults of JSON, of UTF-8 and of numbers.
  package static let json = ByteMutator(splinters: [
    "9223372036854775808", "-9223372036854775809", "99999999999999999999", "-1", "0", "1e400", "0.1", "\"", "\\",
    "\\u0000", "\\ud800", "{", "}", "[", "]", ":", ",", "null", "true", "\0", "\u{7F}", "\u{301}", "\u{FEFF}", "\n",
    "\"id\":1,\"id\":2", String(repeating: "[", count: 2_000),
  ])

  package init(splinters: [String]) {
    self.splinters = splinters.map { Array($0.utf8) }
  }

  /// Up to `faults` faults; none leaves the bytes as they are. `other` is what pieces are taken from.
  package func mutate(
    _ bytes: [UInt8],
    with other: [UInt8] = [],
    faults: ClosedRange<Int> = 0...3,
    _ random: inout FuzzRandom
  ) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: faults, using: &random) {
      let place = random.index(bytes.count + 1)
      switch random.index(7) {
      case 0 where place < bytes.count: bytes[place] = UInt8.random(in: 0...255, using: &random)
      case 1 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 2: bytes.insert(contentsOf: random.one(of: splinters), at: place)
      case 3: bytes.removeSubrange(place..<min(bytes.count, place + random.index(20)))
      case 4: bytes.insert(contentsOf: bytes[place...].prefix(40), at: place)
      case 5: bytes = bytes[..<place] + other.suffix(60)
      default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
      }
    }
    return bytes
  }
}
