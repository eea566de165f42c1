/// How long a failed job waits for its next attempt.
package struct RetryPolicy: Hashable, Sendable {
  package var base: Duration
  package var cap: Duration

  package init(base: Duration = .seconds(60), cap: Duration = .seconds(3_600)) {
    self.base = base
    self.cap = cap
  }

  /// A random time between the base and three times the longest wait before this attempt, at most the cap.
  package func delay(afterAttempt attempt: Int, using generator: inout some RandomNumberGenerator) -> Duration {
    var longest = min(base, cap)
    for _ in 0..<min(max(attempt, 1), 64) where longest < cap {
      longest = min(cap, longest * 3)
    }
    let lowest = min(base, cap)
    return lowest + (longest - lowest) * Double.random(in: 0...1, using: &generator)
  }
}
