/// Waiting times that double from one failed attempt to the next.
package struct Backoff: Hashable, Sendable {
  package let initial: Duration
  package let maximum: Duration

  package init(initial: Duration = .milliseconds(20), maximum: Duration = .seconds(2)) {
    self.initial = initial
    self.maximum = maximum
  }

  /// Returns the wait after the failed attempt with this number, from 1.
  ///
  /// - Parameter jitter: A random number from 0 up to 1, which spreads the result over its upper half.
  package func delay(afterAttempt attempt: Int, jitter: Double) -> Duration {
    let doublings = min(max(attempt - 1, 0), 30)
    let full = min(initial * (1 << doublings), maximum)
    return full * (0.5 + min(max(jitter, 0), 1) / 2)
  }
}
