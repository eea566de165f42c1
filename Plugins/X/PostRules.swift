package import PluginKit

/// What the platform takes, checked before anything is sent.
package struct PostRules {
  /// Weighted characters of an ordinary account.
  package static let ordinaryLimit = 280
  /// Weighted characters of an account with a subscription that allows long posts.
  package static let premiumLimit = 25_000
  static let images = 4
  static let imageBytes: Int64 = 5 << 20
  static let animationBytes: Int64 = 15 << 20
  static let imageTypes = ["image/gif", "image/jpeg", "image/png", "image/webp"]
  static let altLimit = 1_000

  /// The text and everything found about the post.
  package struct Review {
    /// The text to publish.
    package var composition: Composer.Composition
    /// Its length.
    package var length: TextLength
    /// What was found; errors make publishing pointless.
    package var findings: [Finding]
  }

  private let limit: Int

  /// Makes rules for an account; without known capabilities those of an ordinary account.
  package init(_ capabilities: Capabilities?) {
    limit = capabilities.flatMap { Int(exactly: $0.text.limit) }.map { max($0, 1) } ?? Self.ordinaryLimit
  }

  /// Reviews a post.
  package func review(_ post: Post) -> Review {
    let composition = Composer(limit: limit).compose(post)
    let count = WeightedLength.of(composition.text)
    let length = TextLength(count: Int64(count), limit: Int64(limit), unit: "weighted")
    let findings = textFindings(post, composition, count) + mediaFindings(post.media)
    return Review(composition: composition, length: length, findings: findings)
  }

  private func textFindings(_ post: Post, _ composition: Composer.Composition, _ count: Int) -> [Finding] {
    var findings: [Finding] = []
    if composition.text.isEmpty, post.media.isEmpty {
      findings.append(Finding(.error, field: "text", code: "empty", "A post needs a text or a picture."))
    }
    if count > limit {
      findings.append(
        Finding(
          .error,
          field: "text",
          code: "tooLong",
          "The text is longer than X allows; shorten it.",
          actual: "\(count)",
          allowed: "\(limit)"
        )
      )
    }
    let cashtags = Cashtags.count(in: composition.text)
    if cashtags > 1 {
      findings.append(
        Finding(
          .error,
          field: "text",
          code: "tooManyCashtags",
          "X takes one cashtag a post.",
          actual: "\(cashtags)",
          allowed: "1"
        )
      )
    }
    for tag in composition.droppedTags {
      findings.append(Finding(.warning, field: "tags", code: "tagDropped", "\(tag) did not fit any more."))
    }
    return findings
  }

  private func mediaFindings(_ media: [MediaItem]) -> [Finding] {
    var findings: [Finding] = []
    if media.count > Self.images {
      findings.append(
        Finding(
          .error,
          field: "media",
          code: "tooManyImages",
          "X takes up to \(Self.images) pictures a post.",
          actual: "\(media.count)",
          allowed: "\(Self.images)"
        )
      )
    }
    if media.count > 1, media.contains(where: { $0.type == "image/gif" }) {
      findings.append(
        Finding(.error, field: "media", code: "mixedMedia", "A GIF stands alone; it cannot go with other pictures.")
      )
    }
    for (index, item) in media.enumerated() { findings += itemFindings(item, "media[\(index)]") }
    return findings
  }

  private func itemFindings(_ item: MediaItem, _ field: String) -> [Finding] {
    guard Self.imageTypes.contains(item.type) else {
      return [
        Finding(
          .error,
          field: "\(field).type",
          code: "unsupportedType",
          "This adapter publishes pictures only.",
          actual: item.type,
          allowed: Self.imageTypes.joined(separator: ", ")
        )
      ]
    }
    var findings: [Finding] = []
    let most = item.type == "image/gif" ? Self.animationBytes : Self.imageBytes
    if item.bytes > most {
      findings.append(
        Finding(
          .error,
          field: "\(field).bytes",
          code: "tooLarge",
          "The picture is larger than X allows.",
          actual: "\(item.bytes)",
          allowed: "\(most)"
        )
      )
    }
    let altLength = item.alt?.unicodeScalars.count ?? 0
    if altLength > Self.altLimit {
      findings.append(
        Finding(
          .error,
          field: "\(field).alt",
          code: "tooLong",
          "The alternative text is too long.",
          actual: "\(altLength)",
          allowed: "\(Self.altLimit)"
        )
      )
    }
    return findings
  }
}
