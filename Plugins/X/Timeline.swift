package import FoundationEssentials
package import PluginKit

/// Recognises a post in the account's timeline.
package enum Timeline {
  /// What a post answers to.
  package enum Parent: Equatable, Sendable {
    /// It begins something.
    case none
    /// It answers to this post.
    case post(String)
    /// It answers to a post whose id is not known.
    case any
  }

  /// What is looked for.
  package struct Wanted {
    let text: String
    let media: Int
    let parent: Parent
    let notBefore: Date

    /// Makes it from the text as it was sent.
    package init(text: String, media: Int, parent: Parent = .none, notBefore: Date) {
      self.text = Timeline.comparable(text)
      self.media = media
      self.parent = parent
      self.notBefore = notBefore
    }
  }

  /// Returns the id of a timeline entry if it is the post.
  package static func match(_ entry: RawJSON, _ wanted: Wanted) throws -> String? {
    let object = try entry.object()
    let id = try object.string("id")
    if let created = try object.optionalString("created_at").flatMap(WireDate.parse), created < wanted.notBefore {
      return nil
    }
    guard try isAnswer(object, to: wanted.parent) else { return nil }
    let attachments = try object.optionalObject("attachments")
    guard try attachments?.strings("media_keys").count ?? 0 == wanted.media else { return nil }
    return comparable(try fullText(object)) == wanted.text ? id : nil
  }

  private static func isAnswer(_ object: JSONObjectView, to wanted: Parent) throws -> Bool {
    var parent: String?
    for element in try object.optionalArray("referenced_tweets").map(Array.init) ?? [] {
      let reference = try element.object()
      if try reference.string("type") == "replied_to" { parent = try reference.optionalString("id") }
    }
    switch wanted {
    case .none: return parent == nil
    case .any: return parent != nil
    case .post(let id): return parent == id
    }
  }

  /// The text with the platform's own changes undone: escapes, short links, links that stand for pictures.
  private static func fullText(_ object: JSONObjectView) throws -> String {
    let note = try object.optionalObject("note_tweet")
    var text = unescaped(try note?.optionalString("text") ?? object.string("text"))
    let entities = try note?.optionalObject("entities") ?? object.optionalObject("entities")
    for element in try entities?.optionalArray("urls").map(Array.init) ?? [] {
      let link = try element.object()
      let short = try link.string("url")
      let isPicture = try link.optionalString("media_key") != nil
      text = text.replacing(short, with: isPicture ? "" : try link.optionalString("expanded_url") ?? short)
    }
    return text
  }

  private static func unescaped(_ text: String) -> String {
    text.replacing("&lt;", with: "<").replacing("&gt;", with: ">").replacing("&amp;", with: "&")
  }

  /// The form two texts are compared in: one kind of white space, links without scheme and closing slash.
  ///
  /// Swift compares strings by canonical equivalence, so different normal forms are equal already.
  package static func comparable(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    var result = String.UnicodeScalarView()
    var index = 0
    for link in LinkDetector.links(in: scalars) {
      result.append(contentsOf: scalars[index..<link.lowerBound])
      result.append(contentsOf: comparableLink(String(String.UnicodeScalarView(scalars[link]))).unicodeScalars)
      index = link.upperBound
    }
    result.append(contentsOf: scalars[index...])
    return String(result).split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }

  private static func comparableLink(_ link: String) -> String {
    var rest = Substring(link)
    for scheme in ["https://", "http://"] where rest.lowercased().hasPrefix(scheme) {
      rest = rest.dropFirst(scheme.count)
    }
    let host = rest.prefix { $0 != "/" && $0 != "?" }
    var whole = host.lowercased() + rest.dropFirst(host.count)
    if whole.hasSuffix("/") { whole.removeLast() }
    return whole
  }
}
