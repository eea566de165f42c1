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

  /// How many lines may be logged now.
  mutating func left(now: Instant) -> Int {
    turn(now)
    return limit - used
  }

  /// Notes lines that were not even cut.
  mutating func drop(_ count: Int) {
    dropped += count
  }

  private mutating func turn(_ now: Instant) {
    guard windowStart.duration(to: now) >= .seconds(60) else { return }
    windowStart = now
    used = 0
  }

  /// Asks to log one line.
  ///
  /// - Returns: nil when the line must be dropped, otherwise how many were dropped since the last one that was logged.
  mutating func admit(now: Instant) -> Int? {
    turn(now)
    guard used < limit else {
      dropped += 1
      return nil
    }
    used += 1
    defer { dropped = 0 }
    return dropped
  }
}
