// The standard library has no public normalisation, and the one of Foundation would bring in ICU.
@_spi(_Unicode) import Swift

/// Length of a text as the platform counts it: most letters 1, everything else 2, an emoji 2, a link 23.
package enum WeightedLength {
  /// What every link counts, whatever its length.
  package static let link = 23
  /// What one emoji counts, however many code points it has.
  static let emoji = 2

  /// Returns the weighted length of a text.
  package static func of(_ text: String) -> Int {
    let scalars = Array(text._nfc)
    let links = LinkDetector.links(in: scalars)
    var total = links.count * link
    var nextLink = 0
    var index = 0
    while index < scalars.count {
      if nextLink < links.count, links[nextLink].lowerBound == index {
        index = links[nextLink].upperBound
        nextLink += 1
        continue
      }
      let length = EmojiSequence.length(scalars, at: index)
      if length > 0 {
        total += emoji
        index += length
      } else {
        total += weight(scalars[index])
        index += 1
      }
    }
    return total
  }

  private static func weight(_ scalar: Unicode.Scalar) -> Int {
    switch scalar.value {
    case 0...0x10FF, 0x2000...0x200D, 0x2010...0x201F, 0x2032...0x2037: 1
    default: 2
    }
  }
}
