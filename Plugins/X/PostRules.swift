package import PluginKit

/// What the platform takes, checked before anything is sent.
package struct PostRules {
  /// Weighted characters of an ordinary account.
  package static let ordinaryLimit = 280
  /// Weighted characters of an account with a subscription that allows long posts.
  package static let premiumLimit = 25_000
  /// Posts of a thread, a limit of ours: nobody reads on, and each post counts against the rate limit.
  package static let segments = 25

  /// A further post of a thread.
  package struct Segment {
    /// The text to publish.
    package var text: String
    /// Its length.
    package var length: TextLength
  }

  /// The text and everything found about the post.
  package struct Review {
    /// The text to publish.
    package var composition: Composer.Composition
    /// Its length.
    package var length: TextLength
    /// The further posts of a thread.
    package var segments: [Segment]
    /// What was found; errors make publishing pointless.
    package var findings: [Finding]

    /// The text of each post, the first one included.
    package var texts: [String] { [composition.text] + segments.map(\.text) }
  }

  private let limit: Int

  /// Makes rules for an account; without known capabilities those of an ordinary account.
  package init(_ capabilities: Capabilities?) {
    limit = capabilities.flatMap { Int(exactly: $0.text.limit) }.map { max($0, 1) } ?? Self.ordinaryLimit
  }

  /// Reviews a post.
  package func review(_ post: Post) -> Review {
    let composition = Composer(limit: limit).compose(post)
    let length = length(of: composition.text)
    var findings = textFindings(composition.text, length, post.media, "text")
    for tag in composition.droppedTags {
      findings.append(Finding(.warning, field: "tags", code: "tagDropped", "\(tag) did not fit any more."))
    }
    findings += MediaRules.findings(post.media, "media")
    let segments = post.segments.map { segment in
      let text = Composer.trimmed(segment.text)
      return Segment(text: text, length: self.length(of: text))
    }
    for (index, segment) in segments.enumerated() {
      let media = post.segments[index].media
      findings += textFindings(segment.text, segment.length, media, "segments[\(index)].text")
      findings += MediaRules.findings(media, "segments[\(index)].media")
    }
    findings += threadFindings([composition.text] + segments.map(\.text))
    findings += PostOptions.findings(post.options)
    return Review(composition: composition, length: length, segments: segments, findings: findings)
  }

  private func length(of text: String) -> TextLength {
    TextLength(count: Int64(WeightedLength.of(text)), limit: Int64(limit), unit: "weighted")
  }

  private func textFindings(_ text: String, _ length: TextLength, _ media: [MediaItem], _ field: String) -> [Finding] {
    var findings: [Finding] = []
    if text.isEmpty, media.isEmpty {
      findings.append(Finding(.error, field: field, code: "empty", "A post needs a text, a picture or a video."))
    }
    if length.count > limit {
      findings.append(
        Finding(
          .error,
          field: field,
          code: "tooLong",
          "The text is longer than X allows; shorten it.",
          actual: "\(length.count)",
          allowed: "\(limit)"
        )
      )
    }
    let cashtags = Cashtags.count(in: text)
    if cashtags > 1 {
      findings.append(
        Finding(
          .error,
          field: field,
          code: "tooManyCashtags",
          "X takes one cashtag a post.",
          actual: "\(cashtags)",
          allowed: "1"
        )
      )
    }
    return findings
  }

  /// The platform takes the same text of an account once a day, and a thread is many posts of one account.
  private func threadFindings(_ texts: [String]) -> [Finding] {
    var findings: [Finding] = []
    if texts.count > Self.segments {
      findings.append(
        Finding(
          .error,
          field: "segments",
          code: "tooManySegments",
          "This adapter publishes threads of up to \(Self.segments) posts.",
          actual: "\(texts.count)",
          allowed: "\(Self.segments)"
        )
      )
    }
    var seen = Set<String>()
    for (index, text) in texts.enumerated() where !text.isEmpty && !seen.insert(text).inserted {
      findings.append(
        Finding(
          .error,
          field: "segments[\(index - 1)].text",
          code: "duplicateText",
          "The thread has this text already; X refuses it the second time."
        )
      )
    }
    return findings
  }
}
