import FoundationEssentials
import HTTPClient
import JSONDocument
import JSONText
import PluginManifest

/// Reads what platforms say about time and limits.
enum ResponseFacts {
  /// Nobody is made to wait for longer.
  private static let longestWait = 2_678_400.0

  /// The `Date` header.
  static func date(_ headers: ResponseHeaders) -> Date? {
    headers["date"].flatMap { HTTPDate.parse($0) }
  }

  /// Nil if the answer says nothing about limits.
  ///
  /// - Parameter body: nil if the body is not JSON.
  static func rateLimit(
    _ manifest: PluginManifest,
    _ headers: ResponseHeaders,
    status: Int,
    body: RawJSON?,
    receivedAt: Date
  ) -> RateLimitSnapshot? {
    // Instants are the platform's; only their distance from its own clock means something here.
    let now = date(headers).flatMap { abs($0.timeIntervalSince(receivedAt)) < 86_400 ? $0 : nil } ?? receivedAt
    var readings: [RateLimitSnapshot.Reading] = []
    for names in manifest.rateLimitHeaders {
      let limit = names.limit.flatMap { count(headers[$0]) }
      let remaining = count(headers[names.remaining])
      let reset = names.reset.flatMap { headers[$0] }.flatMap { wait($0, names.resetUnit, now: now) }
      if limit == nil && remaining == nil && reset == nil { continue }
      let resetAt = reset.map { receivedAt.addingTimeInterval($0) }
      readings.append(
        RateLimitSnapshot.Reading(scope: names.scope, limit: limit, remaining: remaining, resetAt: resetAt)
      )
    }
    var retryAfter = headers["retry-after"].flatMap { self.retryAfter($0, now: now) }
    if let place = manifest.retryAfter, status >= 400, let said = body?.pointer(place.pointer) {
      let inBody = self.retryAfter(said, place.unit)
      retryAfter = [retryAfter, inBody].compactMap(\.self).max()
    }
    if readings.isEmpty && retryAfter == nil { return nil }
    return RateLimitSnapshot(readings, retryAfter: retryAfter)
  }

  /// A whole number that nothing follows but the details some platforms add, as in `100, 100;w=1`.
  private static func count(_ text: String?) -> Int64? {
    guard let text else { return nil }
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let number = Int64(digits) else { return nil }
    let rest = text.dropFirst(digits.count)
    return rest.first.map { ",; ".contains($0) } ?? true ? number : nil
  }

  /// Seconds from now, at least 0.
  private static func wait(_ text: String, _ unit: RateLimitHeaders.ResetUnit, now: Date) -> TimeInterval? {
    let seconds: TimeInterval? =
      switch unit {
      case .timestamp: RFC3339.parse(text)?.timeIntervalSince(now)
      case .unixSeconds: decimal(text).map { $0 - now.timeIntervalSince1970 }
      case .unixMilliseconds: decimal(text).map { $0 / 1_000 - now.timeIntervalSince1970 }
      case .seconds: decimal(text)
      }
    return seconds.map { min(max($0, 0), longestWait) }
  }

  /// Seconds, whole or not, or an HTTP date.
  static func retryAfter(_ text: String, now: Date) -> Duration? {
    if let seconds = decimal(text) { return bounded(seconds) }
    return HTTPDate.parse(text).map { bounded($0.timeIntervalSince(now)) }
  }

  private static func retryAfter(_ value: RawJSON, _ unit: RetryAfterPointer.Unit) -> Duration? {
    let text: String?
    switch value.kind {
    // A value of this kind always converts.
    case .string: text = try? value.string()
    case .number: text = value.text
    default: text = nil
    }
    let factor =
      switch unit {
      case .milliseconds: 0.001
      case .seconds: 1.0
      case .minutes: 60.0
      }
    return text.flatMap(decimal).map { bounded($0 * factor) }
  }

  private static func bounded(_ seconds: TimeInterval) -> Duration {
    .milliseconds(Int64((min(max(seconds, 0), longestWait) * 1_000).rounded(.up)))
  }

  /// Digits with at most one point between them; however many, they are no error.
  private static func decimal(_ text: String) -> Double? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), text.utf8.count <= 400,
      parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy(ASCII.isDigit) })
    else { return nil }
    return Double(text)
  }
}
