/// Bounds how many lines a plugin adds to the log: so many in each minute.
struct LogBudget {
  typealias Instant = ContinuousClock.Instant

  private let limit: Int
  private var windowStart: Instant
  private var used = 0
  private var dropped = 0

  init(limit: Int, now: Instant) {
    self.limit = limit
    windowStart = now
  }

  /// Asks to log one line.
  ///
  /// - Returns: nil when the line must be dropped, otherwise how many were dropped since the last one that was logged.
  mutating func admit(now: Instant) -> Int? {
    if windowStart.duration(to: now) >= .seconds(60) {
      windowStart = now
      used = 0
    }
    guard used < limit else {
      dropped += 1
      return nil
    }
    used += 1
    defer { dropped = 0 }
    return dropped
  }
}
