package import PluginKit

/// Makes the text of a post: body, hashtags, link, cut to the limit.
///
/// Composing what was composed changes nothing, so a text that was rendered earlier can go through again.
package struct Composer {
  /// A text and what happened to it.
  package struct Composition: Equatable {
    /// The text to publish.
    package var text: String
    /// Whether the body was cut.
    package var shortened: Bool
    /// Hashtags that did not fit.
    package var droppedTags: [String]
  }

  /// Stands at the end of a body that was cut.
  private static let mark = "…"

  private let limit: Int

  /// Makes a composer for a limit in weighted characters.
  package init(limit: Int) {
    self.limit = limit
  }

  /// Makes the text of a post.
  package func compose(_ post: Post) -> Composition {
    let body = Self.body(of: post)
    let link = post.url.map(Self.trimmed).flatMap { $0.isEmpty ? nil : $0 }
    let whole = Self.join(body, link)
    guard WeightedLength.of(whole) > limit else { return tagged(body, link, post.tags) }
    return Composition(text: shortened(body, link), shortened: true, droppedTags: [])
  }

  private static func body(of post: Post) -> String {
    for candidate in [post.text, post.excerpt ?? "", post.title ?? ""] {
      let text = trimmed(candidate)
      if !text.isEmpty { return text }
    }
    return ""
  }

  private static func join(_ body: String, _ link: String?) -> String {
    guard let link, !body.contains(link) else { return body }
    return body.isEmpty ? link : body + "\n" + link
  }

  private func tagged(_ body: String, _ link: String?, _ tags: [String]) -> Composition {
    var composition = Composition(text: Self.join(body, link), shortened: false, droppedTags: [])
    // A body that was cut earlier has no room for more; a gap left at a word's end is not for hashtags.
    if body.hasSuffix(Self.mark) || Self.isCut(body, before: link) { return composition }
    var withTags = body
    var separator = body.isEmpty ? "" : " "
    var full = false
    for tag in tags.compactMap(Hashtags.make) where !Hashtags.contains(tag, in: composition.text) {
      let candidate = withTags + separator + tag
      full = full || WeightedLength.of(Self.join(candidate, link)) > limit
      if full {
        composition.droppedTags.append(tag)
      } else {
        withTags = candidate
        separator = " "
        composition.text = Self.join(candidate, link)
      }
    }
    return composition
  }

  private static func isCut(_ body: String, before link: String?) -> Bool {
    guard let link, body.hasSuffix(link) else { return false }
    return trimmed(String(body.dropLast(link.count))).hasSuffix(mark)
  }

  private func shortened(_ body: String, _ link: String?) -> String {
    let alone = cut(body, to: limit)
    guard let link, !alone.contains(link) else { return alone }
    // A link that would not fit beside any text stands alone.
    let room = limit - WeightedLength.of("\n" + link)
    guard room > WeightedLength.of(Self.mark) else { return link }
    return cut(body, to: room) + "\n" + link
  }

  /// Cuts at the end of a word, inside a word only where words are long; never inside a link or an emoji.
  private func cut(_ body: String, to room: Int) -> String {
    let target = room - WeightedLength.of(Self.mark)
    let ends = Self.wordEnds(body)
    let words = Self.largest(ends.count) { WeightedLength.of(String(body[..<ends[$0 - 1]])) <= target }
    var end = words > 0 ? ends[words - 1] : body.startIndex
    if words < ends.count, WeightedLength.of(String(body[..<end])) * 10 < target * 6 {
      end = Self.extended(body, from: end, to: ends[words], target)
    }
    var kept = body[..<end]
    while let last = kept.last, last.isWhitespace || ",;:.-–—".contains(last) { kept.removeLast() }
    return kept + Self.mark
  }

  private static func wordEnds(_ body: String) -> [String.Index] {
    var ends: [String.Index] = []
    var inWord = false
    for index in body.indices {
      let isSpace = body[index].isWhitespace
      if isSpace, inWord { ends.append(index) }
      inWord = !isSpace
    }
    if inWord { ends.append(body.endIndex) }
    return ends
  }

  private static func extended(
    _ body: String,
    from start: String.Index,
    to end: String.Index,
    _ target: Int
  ) -> String.Index {
    guard LinkDetector.links(in: String(body[start..<end])).isEmpty else { return start }
    let indices = Array(body[start..<end].indices)
    let count = largest(indices.count) { count in
      let stop = count < indices.count ? indices[count] : end
      return WeightedLength.of(String(body[..<stop])) <= target
    }
    return count < indices.count ? indices[count] : end
  }

  /// Returns the largest number up to `count` for which `fits` holds, given that it holds for all smaller ones.
  private static func largest(_ count: Int, where fits: (Int) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high + 1) / 2
      if fits(middle) { low = middle } else { high = middle - 1 }
    }
    return low
  }

  private static func trimmed(_ text: String) -> String {
    guard let first = text.firstIndex(where: { !$0.isWhitespace }),
      let last = text.lastIndex(where: { !$0.isWhitespace })
    else { return "" }
    return String(text[first...last])
  }
}
