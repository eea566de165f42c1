package import FoundationEssentials

/// When an access token is renewed ahead of its end.
package enum RenewalTime {
  /// Seven days before the end, or a fifth of its life for a short one, a tenth of that earlier or later by chance.
  ///
  /// - Parameters:
  ///   - lifetime: the whole life of the token.
  ///   - spread: from 0 up to 1, by chance, so that tokens of one hour are not all renewed in one minute.
  ///   - minimumAge: it can not be renewed when it is younger.
  package static func make(
    issuedAt: Date,
    lifetime: Duration,
    minimumAge: Duration = .zero,
    spread: Double
  ) -> Date {
    let seconds = Double(lifetime.components.seconds)
    let margin = min(7 * 86_400, seconds / 5) * (0.9 + 0.2 * min(max(spread, 0), 1))
    let youngest = Double(minimumAge.components.seconds)
    return issuedAt.addingTimeInterval(min(max(seconds - margin, youngest), seconds))
  }

  /// The wait before another try, after so many failures: from half a minute to an hour.
  package static func retry(after failures: Int, spread: Double) -> Duration {
    let seconds = min(3_600, 30 * Double(1 << min(max(failures - 1, 0), 10)))
    return .milliseconds(Int64(seconds * 1_000 * (0.9 + 0.2 * min(max(spread, 0), 1))))
  }
}
