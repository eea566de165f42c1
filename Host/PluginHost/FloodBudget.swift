/// Bounds what a plugin may write beside its answers and requests: so much at once, and so much a second.
struct FloodBudget {
  typealias Instant = ContinuousClock.Instant

  static let burstBytes = 4 << 20
  static let bytesPerSecond = 1 << 20
  /// What a line costs beside its bytes: short lines are as much work as long ones.
  static let lineCost = 128

  private var left = FloodBudget.burstBytes
  private var since: Instant

  init(now: Instant) {
    since = now
  }

  /// Notes bytes that were written.
  ///
  /// - Returns: Whether they are still within bounds.
  mutating func spend(_ bytes: Int, now: Instant) -> Bool {
    let seconds = min(max(since.duration(to: now).components.seconds, 0), 60)
    if seconds > 0 {
      since = since + .seconds(seconds)
      if since.duration(to: now) > .seconds(60) { since = now }
      left = min(left + Int(seconds) * Self.bytesPerSecond, Self.burstBytes)
    }
    left -= min(bytes, Self.burstBytes)
    return left > 0
  }

  /// Gives back bytes that turned out to be a message of a call.
  mutating func refund(_ bytes: Int) {
    left = min(left + max(bytes, 0), Self.burstBytes)
  }
}
