import FoundationEssentials
package import PluginKit

/// Turns a receiver's refusals into kinds of errors.
package enum ReceiverErrors {
  private static let maximumSeconds: Double = 86_400

  /// Returns the error for an answer that is not a success.
  package static func error(_ answer: HTTPAnswer) -> PlatformError {
    var error = kind(answer)
    error.upstream = UpstreamDetail(status: answer.status)
    return error
  }

  private static func kind(_ answer: HTTPAnswer) -> PlatformError {
    let status = answer.status
    switch status {
    case 300..<400:
      return PlatformError(.platformChanged, "The receiver redirects (\(status)); enter its new address.")
    case 401:
      return PlatformError(.authRevoked, "The receiver does not accept the signature (401).")
    case 403:
      return PlatformError(.notPermitted, "The receiver refuses this sender (403).")
    case 404:
      return PlatformError(.notFound, "Nothing receives at this address (404).")
    case 408, 409, 425:
      return PlatformError(.outcomeUnknown, "The receiver answered \(status), which does not say whether it acted.")
    case 410:
      // Standard Webhooks: the endpoint is disabled. The host does that for a permission that was taken back.
      return PlatformError(
        .authRevoked,
        "The receiver wants no more messages (410).",
        userMessage: "The receiver wants no more messages. Connect it again if it shall get them after all."
      )
    case 413:
      return PlatformError(.contentRejected, "The post is too large for the receiver (413).")
    case 429:
      return PlatformError(.rateLimited, "The receiver asks to slow down (429).", retryAfter: delay(answer))
    case 400..<500:
      return PlatformError(.contentRejected, "The receiver refuses the message (\(status)).")
    default:
      return PlatformError(.platformDown, "The receiver has trouble (\(status)).", retryAfter: delay(answer))
    }
  }

  /// The time the receiver asks for: seconds, or a date by the receiver's own clock if it shows one.
  package static func delay(_ answer: HTTPAnswer) -> Duration? {
    guard let text = answer.headers["retry-after"] else { return nil }
    if let seconds = Int64(text), seconds >= 0 { return .seconds(min(Double(seconds), maximumSeconds)) }
    guard let date = WireDate.parseHTTP(text) else { return nil }
    let now = answer.headers["date"].flatMap(WireDate.parseHTTP) ?? Date()
    let seconds = date.timeIntervalSince1970 - now.timeIntervalSince1970
    return .seconds(min(max(seconds.rounded(.up), 0), maximumSeconds))
  }
}
