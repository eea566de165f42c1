/// NFC without Foundation: Swift compares strings by canonical equivalence, so a table of the composed characters,
/// keyed by string, finds the composed form of any pair.
enum CanonicalComposition {
  static func compose(_ text: String) -> String {
    // Everything below U+0300 is composed already and composes with nothing below it.
    guard text.unicodeScalars.contains(where: { $0.value >= 0x300 }) else { return text }
    var result = String.UnicodeScalarView()
    for character in text { result.append(contentsOf: compose(character)) }
    return String(result)
  }

  private static func compose(_ character: Character) -> [Unicode.Scalar] {
    var scalars = Array(character.unicodeScalars)
    guard scalars.count > 1 || scalars.contains(where: isSingleton) else { return scalars }
    scalars = reorder(scalars.map { singletons[$0] ?? $0 })
    var result: [Unicode.Scalar] = []
    var starter: Int?
    var blockingClass: UInt8?
    for scalar in scalars {
      let combiningClass = scalar.properties.canonicalCombiningClass.rawValue
      let isBlocked = blockingClass.map { $0 == 0 || $0 >= combiningClass } ?? false
      if let place = starter, !isBlocked, let composed = pairs[pair(result[place], scalar)] {
        result[place] = composed
        continue
      }
      if combiningClass == 0 {
        starter = result.count
        blockingClass = nil
      } else {
        blockingClass = combiningClass
      }
      result.append(scalar)
    }
    return result
  }

  /// Marks after a starter in the order of their class, as the standard's canonical order asks.
  private static func reorder(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
    var ordered = scalars
    for end in ordered.indices.dropFirst() {
      var index = end
      while index > 0 {
        let left = ordered[index - 1].properties.canonicalCombiningClass.rawValue
        let right = ordered[index].properties.canonicalCombiningClass.rawValue
        guard right != 0, left > right else { break }
        ordered.swapAt(index - 1, index)
        index -= 1
      }
    }
    return ordered
  }

  private static func pair(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> String {
    var view = String.UnicodeScalarView()
    view.append(first)
    view.append(second)
    return String(view)
  }

  private static func isSingleton(_ scalar: Unicode.Scalar) -> Bool { singletons[scalar] != nil }

  /// Signs that NFC writes as another one: Kelvin, Ångström and Ohm are what people type.
  private static let singletons: [Unicode.Scalar: Unicode.Scalar] = [
    "\u{212A}": "K", "\u{212B}": "\u{C5}", "\u{2126}": "\u{3A9}", "\u{37E}": ";", "\u{387}": "\u{B7}",
  ]

  /// Composed characters by any canonically equal string.
  private static let pairs: [String: Unicode.Scalar] = {
    var table: [String: Unicode.Scalar] = [:]
    let blocks: [ClosedRange<UInt32>] = [
      0xC0...0x24F, 0x340...0x3FF, 0x400...0x4FF, 0x620...0x6FF, 0x900...0xDFF, 0x1000...0x10FF, 0x1B00...0x1B7F,
      0x1E00...0x1FFF, 0x2190...0x22FF, 0x3040...0x30FF, 0xAC00...0xD7A3,
    ]
    for block in blocks {
      for code in block {
        guard let scalar = Unicode.Scalar(code), !scalar.properties.isFullCompositionExclusion else { continue }
        table[String(Character(scalar))] = scalar
      }
    }
    return table
  }()
}
