/// Makes codes and tokens: 160 bits of letters and digits each.
struct OAuthTexts: Sendable {
  private var random: SplitMix64
  private static let alphabet = Array("abcdefghjkmnpqrstuvwxyzACDEF2345".unicodeScalars)

  init(seed: UInt64) {
    random = SplitMix64(seed: seed)
  }

  mutating func make(_ prefix: String) -> String {
    var text = prefix
    for _ in 0..<32 { text.unicodeScalars.append(Self.alphabet[Int(random.next() & 31)]) }
    return text
  }
}
