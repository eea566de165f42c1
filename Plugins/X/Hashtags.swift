/// Makes hashtags from topics and finds the ones a text has already.
package enum Hashtags {
  /// Returns a topic as a hashtag: words are joined, each with a capital; nil if nothing usable is left.
  package static func make(from topic: String) -> String? {
    let words = topic.split { !($0.isLetter || $0.isNumber || $0 == "_") }
    let joined = words.count == 1 ? String(words[0]) : words.map(capitalized).joined()
    guard joined.contains(where: { !$0.isNumber && $0 != "_" }) else { return nil }
    return "#" + joined
  }

  /// Whether a text has the hashtag as a word of its own, in any case.
  package static func contains(_ hashtag: String, in text: String) -> Bool {
    let wanted = hashtag.dropFirst().lowercased()
    for part in text.split(separator: "#", omittingEmptySubsequences: false).dropFirst() {
      let word = part.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
      if word.lowercased() == wanted { return true }
    }
    return false
  }

  private static func capitalized(_ word: Substring) -> String {
    word.prefix(1).uppercased() + word.dropFirst()
  }
}
