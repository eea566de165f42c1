/// Decides when a plugin that owes answers and says nothing is asked whether it lives, and when it counts as hung.
///
/// While no call is open, nothing is asked and no time passes. Any byte from the plugin is a sign of life.
struct HealthWatch {
  typealias Instant = ContinuousClock.Instant

  enum Step: Equatable {
    /// Nothing to do before this instant; nil for never.
    case look(at: Instant?)
    /// Ask now.
    case ask
    /// It did not answer in time.
    case hung
  }

  /// How long a plugin may owe an answer in silence before it is asked.
  static let silence = Duration.seconds(5)
  /// How long it may take to answer.
  static let patience = Duration.seconds(1)
  /// After so long without a call it is asked together with the next call.
  static let longIdle = Duration.seconds(60)
  /// Looks that come later than planned by more than this say that the machine is busy, not that the plugin hangs.
  static let lateness = Duration.milliseconds(250)

  private var lastSign: Instant
  private var askedAt: Instant?
  private var isOwed = false

  /// - Parameter now: When the handshake was done.
  init(now: Instant) {
    lastSign = now
  }

  /// The plugin wrote something.
  mutating func noteSign(_ now: Instant) {
    lastSign = now
    askedAt = nil
  }

  /// Looks at the clock.
  ///
  /// - Parameter owes: Whether a call is open and the plugin waits for nothing from the host.
  mutating func step(owes: Bool, now: Instant) -> Step {
    guard owes else {
      isOwed = false
      askedAt = nil
      // One more look, so that calls that follow each other closely need not wake anybody up.
      let next = lastSign + Self.silence
      return .look(at: next > now ? next : nil)
    }
    if !isOwed {
      isOwed = true
      let wasIdleForLong = lastSign.duration(to: now) >= Self.longIdle
      lastSign = now
      if wasIdleForLong { return ask(now) }
    }
    guard let asked = askedAt else {
      let due = lastSign + Self.silence
      return due <= now ? ask(now) : .look(at: due)
    }
    let due = asked + Self.patience
    if now < due { return .look(at: due) }
    if due.duration(to: now) > Self.lateness {
      askedAt = now
      return .look(at: now + Self.patience)
    }
    return .hung
  }

  private mutating func ask(_ now: Instant) -> Step {
    askedAt = now
    return .ask
  }
}
