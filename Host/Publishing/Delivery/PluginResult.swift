import Egress
import FoundationEssentials
import JSONText
import PluginHost
import PluginProtocol

/// Reads what plugins answer. Everything from a plugin is untrusted: a shape that is not allowed is a problem of the
/// delivery, never a crash.
enum PluginResult {
  /// The end of a `post/publish` call.
  static func publishEnd(_ result: RawJSON) -> CallEnd {
    do {
      switch try Publication(json: result) {
      case .wait(let wait):
        return .wait(TimeInterval(min(max(wait.afterMs, 500), 3_600_000)) / 1000, why: text(wait.why, limit: 500))
      case .partial(let partial):
        guard let id = remoteID(partial.remoteID) else { return .pluginLost(violation(about: partial.remoteID)) }
        return .partial(
          remoteID: id,
          url: url(partial.url),
          segments: segments(partial.segments),
          problem: problem(partial.error)
        )
      case .published(let published):
        guard let id = remoteID(published.remoteID) else { return .pluginLost(violation(about: published.remoteID)) }
        return .published(
          remoteID: id,
          url: url(published.url),
          segments: segments(published.segments),
          warnings: published.warnings.prefix(20).map { text($0, limit: 500) }
        )
      }
    } catch {
      return .pluginLost(violation("The answer to post/publish is not usable: \(error)"))
    }
  }

  /// The verdict of a `post/reconcile` call.
  static func verdict(_ result: RawJSON) -> ReconcileVerdict {
    do {
      switch try Verdict(json: result) {
      case .found(let found, let address):
        guard let id = remoteID(found) else { return .unknown(why: "The adapter found a post without a usable id") }
        // An instant that can not be read is as good as none: the check of the age is then left out.
        let published = try? result.pointer("/publishedAt")?.string()
        return .found(
          remoteID: id,
          url: url(address),
          publishedAt: published.flatMap { try? Date($0, strategy: .iso8601) }
        )
      case .absent: return .absent
      case .unknown(let why): return .unknown(why: why.isEmpty ? "The platform could not tell" : text(why, limit: 1000))
      }
    } catch {
      return .unknown(why: "The adapter's answer is not usable: \(error)")
    }
  }

  /// The problem that an error answer of a plugin stands for.
  static func problem(_ error: ProtocolError) -> DeliveryProblem {
    DeliveryProblem(
      kind: text(error.kind.rawValue, limit: 100),
      // A class that this host does not know is treated like the most careful one that still moves.
      retry: DeliveryProblem.Retry(rawValue: error.retry.rawValue) ?? .retry,
      message: text(error.message, limit: 1000),
      userMessage: error.userMessage.map { text($0, limit: 1000) },
      field: error.field.map { text($0, limit: 200) },
      retryAfter: error.retryAfterMs.map { TimeInterval(min(max($0, 0), 86_400_000)) / 1000 },
      upstreamStatus: error.upstream?.status
    )
  }

  /// The problem that a lost call stands for.
  static func problem(_ failure: PluginFailure) -> DeliveryProblem {
    switch failure {
    case .remote(let error): return problem(error)
    case .jobParked:
      return DeliveryProblem(
        kind: failure.kind,
        retry: .never,
        message: text("\(failure)", limit: 1000),
        userMessage: "The adapter crashed more than once on this post. Change the post or the adapter, then retry."
      )
    default: break
    }
    // A call that never ran costs no attempt: it is the host's business to get the plugin up again.
    return DeliveryProblem(
      kind: failure.kind,
      retry: failure.mayHaveRun ? .retry : .after,
      message: text("\(failure)", limit: 1000),
      retryAfter: retryAfter(failure)
    )
  }

  /// A quarantine may end at any time, by a person or a new version, so its planned end is not waited for.
  private static func retryAfter(_ failure: PluginFailure) -> TimeInterval? {
    if case .quarantined = failure { return nil }
    return failure.retryAfter.map { $0.seconds }
  }

  /// The posts of a thread, less those without a usable id.
  private static func segments(_ segments: [PublishedSegment]) -> [PublishedSegment] {
    segments.prefix(100).compactMap { segment in
      remoteID(segment.remoteID).map { PublishedSegment(remoteID: $0, url: url(segment.url)) }
    }
  }

  static func violation(_ message: String) -> DeliveryProblem {
    DeliveryProblem(kind: "protocolViolation", retry: .retry, message: message)
  }

  /// A platform's id as it can be stored and indexed; nil when it is empty, too long or holds a NUL.
  static func remoteID(_ text: String) -> String? {
    (1...512).contains(text.utf8.count) && !text.utf8.contains(0) ? text : nil
  }

  private static func violation(about remoteID: String) -> DeliveryProblem {
    violation("remoteId has \(remoteID.utf8.count) bytes; allowed are 1 to 512 without NUL")
  }

  /// Text as the database can store it.
  private static func text(_ text: String, limit: Int) -> String {
    String(text.prefix(limit)).replacing("\0", with: "\u{FFFD}")
  }

  /// Only web addresses become links.
  private static func url(_ text: String?) -> String? {
    guard let text, text.utf8.count <= 2048, text.hasPrefix("https://") || text.hasPrefix("http://"),
      !text.utf8.contains(0)
    else { return nil }
    return text
  }
}

extension Duration {
  /// The length in seconds.
  var seconds: TimeInterval {
    TimeInterval(components.seconds) + TimeInterval(components.attoseconds) / 1e18
  }
}

extension ProtocolError {
  /// A refusal of the gate in the words of the protocol.
  init(_ error: EgressError) {
    self.init(
      ErrorKind(rawValue: error.kind.rawValue),
      error.message,
      retry: RetryClass(rawValue: error.retry),
      retryAfterMs: error.retryAfter.map { Int64($0.seconds * 1000) },
      field: error.field,
      steps: error.steps
    )
  }
}
