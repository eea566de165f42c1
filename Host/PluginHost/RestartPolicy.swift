/// Decides how long a plugin that ended stays down: 0, 1, 2, 4 … 60 s, each 20 % more or less.
///
/// A run that did its work starts the row anew, so that a process killed from outside is back at once; a process that
/// dies before it answers anything climbs the ladder.
struct RestartPolicy {
  /// A run this long is healthy even if nobody called.
  static let healthyRun = Duration.seconds(600)
  /// A run this long that answered a call is healthy.
  static let usefulRun = Duration.seconds(1)
  static let longestDelay = Duration.seconds(60)

  private(set) var failures = 0

  /// Notes the end of a run.
  ///
  /// - Parameters:
  ///   - length: How long the process ran after its handshake; zero if it never got there.
  ///   - answeredCalls: How many calls it answered.
  ///   - jitter: A random number in 0...1.
  /// - Returns: How long to wait before the next start.
  mutating func delay(afterRun length: Duration, answeredCalls: Int, jitter: Double) -> Duration {
    let wasHealthy = length >= Self.healthyRun || (length >= Self.usefulRun && answeredCalls > 0)
    failures = wasHealthy ? 1 : min(failures + 1, 32)
    guard failures > 1 else { return .zero }
    let doubled = Duration.seconds(1 << min(failures - 2, 6))
    return min(doubled, Self.longestDelay) * (0.8 + 0.4 * min(max(jitter, 0), 1))
  }
}
