/// What the platform X finds in a text: its weighted length, links, cashtags and mentions.
///
/// Written from the published rules on its own, so that it can disagree with the adapter's counting.
struct XTextAnalysis: Sendable, Equatable {
  struct Link: Sendable, Equatable {
    /// Places of Unicode scalars in the normalised text.
    let range: Range<Int>
    let text: String

    /// The address with a scheme.
    var expanded: String {
      let lower = text.lowercased()
      return lower.hasPrefix("http://") || lower.hasPrefix("https://") ? text : "http://\(text)"
    }
  }

  static let linkWeight = 23

  /// The text in NFC, as the platform keeps it.
  let text: String
  let weight: Int
  let links: [Link]
  let cashtags: Int
  /// Lower-case names without `@`.
  let mentions: Set<String>

  init(_ text: String) {
    // Most texts are plain: nothing to compose, to link or to tag.
    if text.utf8.allSatisfy({ $0 < 128 && $0 != 46 && $0 != 36 && $0 != 64 }) {
      self.init(text: text, weight: text.utf8.count)
      return
    }
    let composed = CanonicalComposition.compose(text)
    let scalars = Array(composed.unicodeScalars)
    let links = LinkFinder(scalars).links()
    var weight = 0
    var cashtags = 0
    var mentions: Set<String> = []
    var start = 0
    for end in links.map(\.range.lowerBound) + [scalars.count] {
      let part = scalars[start..<end]
      weight += Self.weight(of: part)
      cashtags += Self.cashtags(in: part)
      mentions.formUnion(Self.mentions(in: part))
      start = links.first { $0.range.lowerBound == end }?.range.upperBound ?? end
    }
    weight += links.count * Self.linkWeight
    self.init(text: composed, weight: weight, links: links, cashtags: cashtags, mentions: mentions)
  }

  private init(text: String, weight: Int, links: [Link] = [], cashtags: Int = 0, mentions: Set<String> = []) {
    self.text = text
    self.weight = weight
    self.links = links
    self.cashtags = cashtags
    self.mentions = mentions
  }

  // MARK: Weight

  private static func weight(of scalars: ArraySlice<Unicode.Scalar>) -> Int {
    if scalars.allSatisfy(\.isASCII) { return scalars.count }
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    return String(view).reduce(0) { $0 + weight(of: $1) }
  }

  /// One emoji sequence counts 2 however long it is; anything else is the sum of its code points.
  private static func weight(of character: Character) -> Int {
    isEmoji(character) ? 2 : character.unicodeScalars.reduce(0) { $0 + weight(of: $1) }
  }

  private static func weight(of scalar: Unicode.Scalar) -> Int {
    switch scalar.value {
    case 0...0x10FF, 0x2000...0x200D, 0x2010...0x201F, 0x2032...0x2037: 1
    default: 2
    }
  }

  private static func isEmoji(_ character: Character) -> Bool {
    guard let first = character.unicodeScalars.first, first.properties.isEmoji else { return false }
    if first.properties.isEmojiPresentation { return true }
    // Digits, © and the like are emoji only with a sign that says so.
    return character.unicodeScalars.dropFirst().contains {
      $0.value == 0xFE0F || $0.value == 0x20E3 || $0.properties.isEmojiModifier
    }
  }

  // MARK: Cashtags and mentions

  private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "_" || (scalar.isASCII ? isASCIILetterOrDigit(scalar) : scalar.properties.isAlphabetic)
  }

  private static func isASCIILetterOrDigit(_ scalar: Unicode.Scalar) -> Bool {
    isASCIILetter(scalar) || ("0"..."9").contains(scalar)
  }

  private static func isASCIILetter(_ scalar: Unicode.Scalar) -> Bool {
    ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar)
  }

  /// `$` and one to six letters, perhaps with a suffix as in `$BRK.A`, after a space and before a word's end.
  private static func cashtags(in scalars: ArraySlice<Unicode.Scalar>) -> Int {
    var count = 0
    for index in scalars.indices where scalars[index] == "$" {
      if index > scalars.startIndex, !scalars[index - 1].properties.isWhitespace { continue }
      let letters = scalars[(index + 1)...].prefix { isASCIILetter($0) }
      guard (1...6).contains(letters.count) else { continue }
      var end = letters.endIndex
      if end < scalars.endIndex, scalars[end] == "." || scalars[end] == "_" {
        let suffix = scalars[(end + 1)...].prefix { isASCIILetter($0) }
        if (1...2).contains(suffix.count) { end = suffix.endIndex }
      }
      if end < scalars.endIndex, isWord(scalars[end]) { continue }
      count += 1
    }
    return count
  }

  private static func mentions(in scalars: ArraySlice<Unicode.Scalar>) -> Set<String> {
    var mentions: Set<String> = []
    for index in scalars.indices where scalars[index] == "@" {
      if index > scalars.startIndex, isWord(scalars[index - 1]) || scalars[index - 1] == "@" { continue }
      let name = scalars[(index + 1)...].prefix { $0 == "_" || isASCIILetterOrDigit($0) }
      guard (1...15).contains(name.count) else { continue }
      mentions.insert(String(String.UnicodeScalarView(name)).lowercased())
    }
    return mentions
  }
}
