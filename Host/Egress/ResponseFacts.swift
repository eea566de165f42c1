import FoundationEssentials
import HTTPClient
import JSONDocument
import PluginManifest

/// Reads what platforms say about time and limits in headers.
enum ResponseFacts {
  /// The `Date` header.
  static func date(_ headers: ResponseHeaders) -> Date? {
    headers["date"].flatMap { HTTPDate.parse($0) }
  }

  /// Nil if the answer says nothing about limits.
  static func rateLimit(_ names: RateLimitHeaders?, _ headers: ResponseHeaders, receivedAt: Date) -> RateLimitSnapshot?
  {
    let retryAfter = retryAfter(headers["retry-after"], receivedAt: receivedAt)
    let limit = names?.limit.flatMap { count(headers[$0]) }
    let remaining = names.flatMap { count(headers[$0.remaining]) }
    var resetAt: Date?
    if let names, let header = names.reset, let text = headers[header] {
      resetAt = reset(text, names.resetUnit, receivedAt: receivedAt)
    }
    if limit == nil && remaining == nil && resetAt == nil && retryAfter == nil { return nil }
    return RateLimitSnapshot(limit: limit, remaining: remaining, resetAt: resetAt, retryAfter: retryAfter)
  }

  private static func count(_ text: String?) -> Int64? {
    guard let text, let number = Int64(text), number >= 0 else { return nil }
    return number
  }

  private static func reset(_ text: String, _ unit: RateLimitHeaders.ResetUnit, receivedAt: Date) -> Date? {
    switch unit {
    case .timestamp: return RFC3339.parse(text)
    case .unixSeconds, .unixMilliseconds, .seconds:
      guard let number = count(text), number <= 1 << 50 else { return nil }
      switch unit {
      case .unixSeconds: return Date(timeIntervalSince1970: Double(number))
      case .unixMilliseconds: return Date(timeIntervalSince1970: Double(number) / 1_000)
      default: return receivedAt.addingTimeInterval(Double(number))
      }
    }
  }

  /// Seconds, or an HTTP date; bounded to 31 days.
  private static func retryAfter(_ text: String?, receivedAt: Date) -> Duration? {
    guard let text else { return nil }
    let longest = 2_678_400.0
    if let seconds = count(text) { return .seconds(min(seconds, Int64(longest))) }
    guard let date = HTTPDate.parse(text) else { return nil }
    return .seconds(min(max(date.timeIntervalSince(receivedAt), 0), longest))
  }
}
