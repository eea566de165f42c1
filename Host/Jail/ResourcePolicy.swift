/// What a plugin's processes use at one moment.
package struct ResourceSample: Sendable, Equatable {
  package var residentBytes: Int64
  /// Processor time since their start; nil at a look at the memory alone.
  package var cpu: Duration?
  /// Threads of the process that has most; nil at a look at the memory alone.
  package var threads: Int?

  package init(residentBytes: Int64, cpu: Duration? = nil, threads: Int? = nil) {
    self.residentBytes = residentBytes
    self.cpu = cpu
    self.threads = threads
  }
}

/// Why a plugin must be killed.
package enum ResourceKill: Sendable, Equatable, CustomStringConvertible {
  case memory(usedMiB: Int, limitMiB: Int)
  /// Average cores over the window.
  case cpu(used: Double, limit: Double, window: Duration)
  case threads(used: Int, limit: Int)
  /// The kernel has killed it already, because its control group was full.
  case outOfMemory(limitMiB: Int)

  package var description: String {
    switch self {
    case .memory(let used, let limit): "it used \(used) of \(limit) MiB of memory"
    case .cpu(let used, let limit, let window):
      "it used \(Self.text(used)) cores for \(window.components.seconds) s, of \(Self.text(limit))"
    case .threads(let used, let limit): "it had \(used) of \(limit) threads"
    case .outOfMemory(let limit): "the kernel killed it, because it wanted more than \(limit) MiB of memory"
    }
  }

  private static func text(_ cores: Double) -> String {
    let hundredths = Int((min(max(cores, 0), 10_000) * 100).rounded())
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
  }
}

/// Decides from samples whether a plugin uses more than it may, and when to look again.
///
/// A short peak above a limit is forgiven; twice the memory counts at once. Processor time is judged over a minute,
/// because bursts are what a plugin is for. A plugin that has just started or has work is looked at often, one that
/// grows as often as it takes to see it at its limit, one that waits twice a second.
package struct ResourcePolicy: Sendable {
  package typealias Instant = ContinuousClock.Instant

  package static let window = Duration.seconds(60)
  /// How long a plugin may be above a limit.
  package static let grace = Duration.milliseconds(250)
  /// Between looks at a plugin that waits.
  package static let idlePause = Duration.milliseconds(500)
  /// Between looks at a plugin that works or has just started.
  static let alertPause = Duration.milliseconds(100)
  /// Between looks at a plugin that may soon be, or is, above a limit.
  static let shortestPause = Duration.milliseconds(20)
  /// How long a plugin is looked at often after its start and after each call.
  static let alertTime = Duration.seconds(2)
  /// Between looks that count threads and processor time too, at a plugin that works and at one that waits.
  private static let wholePause = (working: Duration.seconds(1), waiting: Duration.seconds(5))

  private let limits: JailLimits
  private let start: Instant
  private var alertEnd: Instant
  private var last: (at: Instant, bytes: Int64)?
  private var lastWhole: Instant?
  /// Since when the plugin is seen above its limit.
  private var memoryOver: Instant?
  private var threadsOver: Instant?
  /// Bytes a second, between the last two looks.
  private var growth = 0.0
  private var history: [(at: Instant, cpu: Duration)] = []

  /// - Parameter start: When the plugin was started.
  package init(limits: JailLimits, start: Instant) {
    self.limits = limits
    self.start = start
    alertEnd = start + Self.alertTime
  }

  /// The plugin was given work.
  package mutating func noteWork(at now: Instant) {
    alertEnd = max(alertEnd, now + Self.alertTime)
  }

  /// Takes a look; looks come in the order of their time.
  package mutating func judge(_ sample: ResourceSample, at now: Instant) -> ResourceKill? {
    if let last {
      let seconds = last.at.duration(to: now) / .seconds(1)
      growth = seconds > 0 ? (Double(sample.residentBytes) - Double(last.bytes)) / seconds : 0
    }
    last = (now, sample.residentBytes)
    if sample.cpu != nil { lastWhole = now }
    return judgeMemory(sample, now) ?? judgeThreads(sample, now) ?? judgeProcessor(sample, at: now)
  }

  /// Whether a look now is to count threads and processor time too, and to find the plugin's processes again.
  package func wantsWholeLook(at now: Instant) -> Bool {
    guard let lastWhole, now >= start + Self.alertTime, threadsOver == nil else { return true }
    return lastWhole.duration(to: now) >= (now < alertEnd ? Self.wholePause.working : Self.wholePause.waiting)
  }

  /// How long it may take until the next look.
  package func pause(at now: Instant) -> Duration {
    if memoryOver != nil || threadsOver != nil { return Self.shortestPause }
    let pause = now < alertEnd ? Self.alertPause : Self.idlePause
    guard growth > 0, let last else { return pause }
    // Half of the time that it needs to its limit at this speed.
    let seconds = (Double(limits.memoryMiB) * 1_048_576 - Double(last.bytes)) / growth / 2
    return seconds < pause / .seconds(1) ? max(.seconds(seconds), Self.shortestPause) : pause
  }

  private mutating func judgeMemory(_ sample: ResourceSample, _ now: Instant) -> ResourceKill? {
    let used = Int(sample.residentBytes >> 20)
    let (double, overflow) = limits.memoryMiB.multipliedReportingOverflow(by: 2)
    let isOver = Self.isOver(used > limits.memoryMiB, since: &memoryOver, now)
    guard isOver || (!overflow && used > double) else { return nil }
    return .memory(usedMiB: used, limitMiB: limits.memoryMiB)
  }

  private mutating func judgeThreads(_ sample: ResourceSample, _ now: Instant) -> ResourceKill? {
    guard let threads = sample.threads, Self.isOver(threads > limits.threads, since: &threadsOver, now) else {
      return nil
    }
    return .threads(used: threads, limit: limits.threads)
  }

  /// Whether something has been too much for longer than the grace.
  private static func isOver(_ isTooMuch: Bool, since first: inout Instant?, _ now: Instant) -> Bool {
    guard isTooMuch else {
      first = nil
      return false
    }
    let since = first ?? now
    first = since
    return since.duration(to: now) >= grace
  }

  private mutating func judgeProcessor(_ sample: ResourceSample, at now: Instant) -> ResourceKill? {
    guard let cpu = sample.cpu else { return nil }
    history.append((now, cpu))
    // The last one that is at least a window old is the start of the window.
    while history.count > 1, history[1].at.duration(to: now) >= Self.window { history.removeFirst() }
    guard let first = history.first, first.at.duration(to: now) >= Self.window else { return nil }
    let used = (cpu - first.cpu) / first.at.duration(to: now)
    guard used > limits.cpu * 1.05 else { return nil }
    return .cpu(used: used, limit: limits.cpu, window: Self.window)
  }
}
