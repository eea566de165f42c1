package import PluginKit

/// Makes the text of a post: body, hashtags as far as they fit, link.
///
/// A person's words are never cut: a text that is too long stays whole, and the rules refuse it. Composing what was
/// composed changes nothing, so a text that was rendered earlier can go through again.
package struct Composer {
  /// A text and what happened to it.
  package struct Composition: Equatable {
    /// The text to publish.
    package var text: String
    /// Hashtags that did not fit.
    package var droppedTags: [String]
  }

  private let limit: Int

  /// Makes a composer for a limit in weighted characters.
  package init(limit: Int) {
    self.limit = limit
  }

  /// Makes the text of a post.
  package func compose(_ post: Post) -> Composition {
    let body = Self.body(of: post)
    let link = post.url.map(Self.trimmed).flatMap { $0.isEmpty ? nil : $0 }
    return tagged(body, link, post.tags)
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
    var composition = Composition(text: Self.join(body, link), droppedTags: [])
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

  static func trimmed(_ text: String) -> String {
    guard let first = text.firstIndex(where: { !$0.isWhitespace }),
      let last = text.lastIndex(where: { !$0.isWhitespace })
    else { return "" }
    return String(text[first...last])
  }
}
