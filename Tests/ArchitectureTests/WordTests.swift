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

  private static func hits(in text: String) throws -> [String] {
    let pattern = "(?<![A-Za-z0-9])(" + words.joined(separator: "|") + ")(?![A-Za-z0-9])"
    let regex = try NSRegularExpression(pattern: pattern, options: .caseInsensitive)
    // A name inside a camel-case word counts too.
    let spaced = text.replacing(#/([a-z0-9])([A-Z])/#) { "\($0.1) \($0.2)" }
    return [text, spaced].flatMap { text in
      regex.matches(in: text, range: NSRange(text.startIndex..., in: text)).compactMap { match in
        Range(match.range, in: text).map { String(text[$0]) }
      }
    }
  }

  @Test func theHostNamesNoPlatform() throws {
    for file in try Repository.files(in: "Host", where: { $0.hasSuffix(".swift") || $0.hasSuffix(".h") || $0.hasSuffix(".c") }) {
      for line in file.lines {
        for hit in try Self.hits(in: line.text) { Issue.record("\(file.path):\(line.number) names “\(hit)”") }
      }
    }
  }

  @Test func theDatabaseNamesNoPlatform() throws {
    for file in try Repository.files(in: "migrations", where: { $0.hasSuffix(".sql") }) {
      for line in file.lines {
        for hit in try Self.hits(in: line.text) { Issue.record("\(file.path):\(line.number) names “\(hit)”") }
      }
    }
  }

  @Test func theListFindsNames() throws {
    for text in ["the Twitter way", "api.x.com", "let openAIKey = 1", "postTweet()", "X.com"] {
      #expect(try !Self.hits(in: text).isEmpty, "\(text)")
    }
    for text in ["threads of a pool", "medium size", "index.comment", "a plugin-xyz", "tweeter"] {
      #expect(try Self.hits(in: text).isEmpty, "\(text)")
    }
  }
}
