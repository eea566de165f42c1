import Foundation
import Testing

/// The host knows no platform and no provider by name: names come from manifests.
@Suite struct WordTests {
  /// Names of platforms and providers, as whole words. “x” alone is a letter, so it counts only as an address or a name.
  private static let words = [
    "twitter", "tweet", "tweets", "linkedin", "facebook", "instagram", "threads\\.net", "x\\.com", "api\\.x\\.com",
    "tiktok", "pinterest", "bluesky", "bsky", "atproto", "mastodon", "youtube", "wordpress", "ghost", "medium\\.com",
    "reddit", "telegram", "discord", "slack", "whatsapp", "snapchat", "tumblr", "substack", "openai", "chatgpt",
    "anthropic", "claude", "cohere", "gemini", "mistral", "ollama", "groq", "deepseek", "perplexity", "plugin-x",
    "plugin-webhook",
  ]

  private static let regex = Result {
    try NSRegularExpression(
      pattern: "(?<![A-Za-z0-9])(" + words.joined(separator: "|") + ")(?![A-Za-z0-9])",
      options: .caseInsensitive
    )
  }

  /// The names in a text and the lines on which they stand. A name inside a camel-case word counts too.
  private static func hits(in text: String) throws -> [(line: Int, word: String)] {
    let spaced = text.replacing(#/([a-z0-9])([A-Z])/#) { "\($0.1) \($0.2)" }
    return try [text, spaced].flatMap { text in
      try regex.get().matches(in: text, range: NSRange(text.startIndex..., in: text)).compactMap { match in
        Range(match.range, in: text).map { range in
          (text[..<range.lowerBound].count { $0 == "\n" } + 1, String(text[range]))
        }
      }
    }
  }

  private static func report(_ folder: String, endings: [String]) throws {
    let files = try Repository.files(in: folder) { path in endings.contains { path.hasSuffix($0) } }
    #expect(!files.isEmpty)
    for file in files {
      let text = file.lines.map(\.text).joined(separator: "\n")
      for hit in try hits(in: text) { Issue.record("\(file.path):\(hit.line) names “\(hit.word)”") }
    }
  }

  @Test func theHostNamesNoPlatform() throws { try Self.report("Host", endings: [".swift", ".h", ".c"]) }

  @Test func theDatabaseNamesNoPlatform() throws { try Self.report("migrations", endings: [".sql"]) }

  @Test func theListFindsNames() throws {
    for text in ["the Twitter way", "api.x.com", "let openAI = 1", "postTweet()", "X.com"] {
      #expect(try !Self.hits(in: text).isEmpty, "\(text)")
    }
    for text in ["threads of a pool", "medium size", "index.comment", "a plugin-xyz", "tweeter"] {
      #expect(try Self.hits(in: text).isEmpty, "\(text)")
    }
  }
}
