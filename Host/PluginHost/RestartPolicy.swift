/// Decides what follows the end of a plugin's process: another start after a while, or a quarantine.
///
/// Three measures, each over the last five minutes or in a row: five crashes, three offences (what no honest program
/// does), three failed starts. What another start can not heal needs no measure. After a quarantine one process is
/// started on trial; if that one fails too, the next quarantine is longer. Ten healthy minutes wipe everything out.
struct RestartPolicy {
  typealias Instant = ContinuousClock.Instant

  enum Decision: Equatable {
    /// Zero: at once.
    case restart(after: Duration)
    case quarantine(for: Duration)
  }

  /// A run this long forgives what was before.
  static let healthyRun = Duration.seconds(600)
  /// A run this long that answered a call and was then killed from outside costs no waiting.
  static let usefulRun = Duration.seconds(1)
  /// The first wait after a kill from outside: whoever kills may go on for a while.
  static let foreignDelay = Duration.seconds(1)
  /// The first wait after an end of its own. It is short, because the measures soon stop a plugin that can not live:
  /// one that dies at once is in quarantine within two seconds, and its jobs know.
  static let ownDelay = Duration.milliseconds(150)
  static let longestDelay = Duration.seconds(60)
  static let window = Duration.seconds(300)
  static let crashLimit = 5
  static let offenceLimit = 3
  static let failedStartLimit = 3
  /// Kills from outside say little about a plugin, but one a second for a minute is no life either.
  static let foreignLimit = 60
  static let quarantines: [Duration] = [.seconds(300), .seconds(900), .seconds(3_600)]

  private(set) var failures = 0
  private var failedStarts = 0
  private var crashes: [Instant] = []
  private var offences: [Instant] = []
  private var foreign: [Instant] = []
  private var quarantineCount = 0
  private(set) var isOnTrial = false

  /// The process that is started now is the one on trial.
  mutating func beginTrial() {
    isOnTrial = true
  }

  /// The handshake is done.
  mutating func noteReady() {
    failedStarts = 0
  }

  /// Forgets everything.
  mutating func reset() {
    self = RestartPolicy()
  }

  /// Notes the end of a run.
  ///
  /// - Parameters:
  ///   - reason: Why it ended.
  ///   - length: How long the process ran after its handshake; zero if it never got there.
  ///   - answeredCalls: How many calls it answered.
  ///   - jitter: A random number in 0...1.
  mutating func noteEnd(
    _ reason: PluginStopReason,
    afterRun length: Duration,
    answeredCalls: Int,
    now: Instant,
    jitter: Double
  ) -> Decision {
    if length >= Self.healthyRun { reset() }
    switch reason.weight {
    case .none:
      if answeredCalls > 0 { isOnTrial = false }
      return .restart(after: .zero)
    case .foreign:
      let wasUseful = length >= Self.usefulRun && answeredCalls > 0
      failures = wasUseful ? 1 : min(failures + 1, 32)
      Self.add(now, to: &foreign)
      return foreign.count >= Self.foreignLimit
        ? quarantine() : .restart(after: delay(from: Self.foreignDelay, jitter))
    case .crash:
      Self.add(now, to: &crashes)
    case .offence:
      Self.add(now, to: &crashes)
      Self.add(now, to: &offences)
    case .failedStart:
      failedStarts += 1
    case .final:
      return quarantine()
    }
    failures = min(failures + 1, 32)
    let isFull =
      crashes.count >= Self.crashLimit || offences.count >= Self.offenceLimit || failedStarts >= Self.failedStartLimit
    return isFull || isOnTrial ? quarantine() : .restart(after: delay(from: Self.ownDelay, jitter))
  }

  /// Zero, then the first delay, doubled each time up to 60 s; each 20 % more or less.
  private func delay(from first: Duration, _ jitter: Double) -> Duration {
    guard failures > 1 else { return .zero }
    let doubled = first * (1 << min(failures - 2, 16))
    return min(doubled, Self.longestDelay) * (0.8 + 0.4 * min(max(jitter, 0), 1))
  }

  private mutating func quarantine() -> Decision {
    let length = Self.quarantines[min(quarantineCount, Self.quarantines.count - 1)]
    let count = min(quarantineCount + 1, Self.quarantines.count)
    reset()
    quarantineCount = count
    return .quarantine(for: length)
  }

  private static func add(_ now: Instant, to ends: inout [Instant]) {
    ends.removeAll { $0.duration(to: now) >= window }
    ends.append(now)
  }
}
