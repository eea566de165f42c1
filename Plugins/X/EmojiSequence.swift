/// Finds emoji, which count as one whatever they are joined from.
enum EmojiSequence {
  private static let joiner: UInt32 = 0x200D
  private static let emojiStyle: UInt32 = 0xFE0F
  private static let textStyle: UInt32 = 0xFE0E
  private static let keycap: UInt32 = 0x20E3

  /// Returns the number of code points of the emoji that begins at `start`, 0 if none does.
  static func length(_ scalars: [Unicode.Scalar], at start: Int) -> Int {
    let first = scalars[start].value
    if isKeycapBase(first) { return keycapLength(scalars, at: start) }
    if isRegionalIndicator(first) {
      return start + 1 < scalars.count && isRegionalIndicator(scalars[start + 1].value) ? 2 : 0
    }
    var end = element(scalars, at: start)
    guard end > start else { return 0 }
    while end + 1 < scalars.count, scalars[end].value == joiner {
      let next = element(scalars, at: end + 1)
      guard next > end + 1 else { break }
      end = next
    }
    return end - start
  }

  /// Returns the index after one part of a sequence, `start` if there is none.
  private static func element(_ scalars: [Unicode.Scalar], at start: Int) -> Int {
    let scalar = scalars[start]
    let next = start + 1 < scalars.count ? scalars[start + 1].value : 0
    guard scalar.properties.isEmoji, !isKeycapBase(scalar.value), next != textStyle else { return start }
    // These two are ordinary letters unless a selector asks for the picture.
    if scalar.value == 0xA9 || scalar.value == 0xAE, next != emojiStyle { return start }
    var end = start + 1
    if scalar.value == 0x1F3F4, (0xE0020...0xE007E).contains(next) { return tagEnd(scalars, from: end) }
    if next == emojiStyle { end += 1 }
    if scalar.properties.isEmojiModifierBase, end < scalars.count, scalars[end].properties.isEmojiModifier { end += 1 }
    return end
  }

  /// Flags of regions are a black flag with tags behind it.
  private static func tagEnd(_ scalars: [Unicode.Scalar], from start: Int) -> Int {
    var end = start
    while end < scalars.count, (0xE0020...0xE007E).contains(scalars[end].value) { end += 1 }
    return end < scalars.count && scalars[end].value == 0xE007F ? end + 1 : start
  }

  private static func keycapLength(_ scalars: [Unicode.Scalar], at start: Int) -> Int {
    var index = start + 1
    if index < scalars.count, scalars[index].value == emojiStyle { index += 1 }
    return index < scalars.count && scalars[index].value == keycap ? index + 1 - start : 0
  }

  private static func isKeycapBase(_ value: UInt32) -> Bool {
    (0x30...0x39).contains(value) || value == 0x23 || value == 0x2A
  }

  private static func isRegionalIndicator(_ value: UInt32) -> Bool {
    (0x1F1E6...0x1F1FF).contains(value)
  }
}
