import FoundationEssentials
package import PluginKit

/// Reads from the headers of an answer when the next request makes sense.
package enum RateLimit {
  private static let groups = ["x-rate-limit", "x-user-limit-24hour", "x-app-limit-24hour"]
  private static let defaultSeconds: Double = 900
  private static let maximumSeconds: Double = 90_000

  /// Returns the time to wait after a refusal: until the latest reset of the windows that are used up.
  package static func delay(after answer: HTTPAnswer) -> Duration {
    let exhausted = groups.filter { answer.headers["\($0)-remaining"] == "0" }
    let resets = (exhausted.isEmpty ? groups : exhausted).compactMap { reset($0, answer) }
    guard let latest = resets.max() else { return .seconds(defaultSeconds) }
    // The reset is a time of the platform's clock; ours is only the second choice to compare it with.
    let now = answer.headers["date"].flatMap(WireDate.parseHTTP) ?? Date()
    let seconds = Double(latest) - now.timeIntervalSince1970
    return .seconds(min(max(seconds.rounded(.up), 1), maximumSeconds))
  }

  private static func reset(_ group: String, _ answer: HTTPAnswer) -> Int64? {
    answer.headers["\(group)-reset"].flatMap { Int64($0) }
  }
}
