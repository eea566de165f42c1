/// Which events an endpoint wants: one kind (`delivery.sent`), a family (`delivery.*`), or all (`*`).
package struct EventPattern: Sendable, Equatable {
  package let text: String

  /// Nil for anything that could match no event.
  package init?(_ text: String) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    if text == "*" {
      self.text = text
      return
    }
    guard parts.count == 2, Self.isWord(parts[0]), parts[1] == "*" || Self.isWord(parts[1]),
      EventCatalogue.families.contains(String(parts[0]))
    else { return nil }
    // A kind that no part of the host writes is a mistake that nobody would notice.
    guard parts[1] == "*" || EventCatalogue.kinds.contains(where: { $0.name == text }) else { return nil }
    self.text = text
  }

  /// Whether one of the patterns matches; no pattern at all matches everything.
  package static func matches(_ patterns: [String], _ kind: String) -> Bool {
    patterns.isEmpty
      || patterns.contains { pattern in
        pattern == "*" || pattern == kind || (pattern.hasSuffix(".*") && kind.hasPrefix(pattern.dropLast()))
      }
  }

  private static func isWord(_ text: Substring) -> Bool {
    (1...40).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") || (97...122).contains(byte) || (65...90).contains(byte)
      }
  }
}
