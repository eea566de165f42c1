/// What a plugin's processes use at one moment.
package struct ResourceSample: Sendable, Equatable {
  package var residentBytes: Int64
  /// Processor time since their start.
  package var cpu: Duration
  package var threads: Int

  package init(residentBytes: Int64, cpu: Duration, threads: Int) {
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

/// Decides from samples whether a plugin uses more than it may.
///
/// One look above a limit may be a peak, so the second in a row counts; twice the memory counts at once. Processor time
/// is judged over a minute, because bursts are what a plugin is for.
package struct ResourcePolicy: Sendable {
  package typealias Instant = ContinuousClock.Instant

  package static let window = Duration.seconds(60)
  private static let strikesToKill = 2

  private let limits: JailLimits
  private var strikes = 0
  private var threadStrikes = 0
  private var history: [(at: Instant, cpu: Duration)] = []

  package init(limits: JailLimits) {
    self.limits = limits
  }

  /// Takes a look; looks come in the order of their time.
  package mutating func judge(_ sample: ResourceSample, at now: Instant) -> ResourceKill? {
    judgeMemory(sample) ?? judgeThreads(sample) ?? judgeProcessor(sample, at: now)
  }

  private mutating func judgeMemory(_ sample: ResourceSample) -> ResourceKill? {
    let used = Int(sample.residentBytes >> 20)
    guard used > limits.memoryMiB else {
      strikes = 0
      return nil
    }
    strikes += 1
    let (double, overflow) = limits.memoryMiB.multipliedReportingOverflow(by: 2)
    guard strikes >= Self.strikesToKill || (!overflow && used > double) else { return nil }
    return .memory(usedMiB: used, limitMiB: limits.memoryMiB)
  }

  private mutating func judgeThreads(_ sample: ResourceSample) -> ResourceKill? {
    threadStrikes = sample.threads > limits.threads ? threadStrikes + 1 : 0
    return threadStrikes >= Self.strikesToKill ? .threads(used: sample.threads, limit: limits.threads) : nil
  }

  private mutating func judgeProcessor(_ sample: ResourceSample, at now: Instant) -> ResourceKill? {
    history.append((now, sample.cpu))
    // The last one that is at least a window old is the start of the window.
    while history.count > 1, history[1].at.duration(to: now) >= Self.window { history.removeFirst() }
    guard let first = history.first, first.at.duration(to: now) >= Self.window else { return nil }
    let used = (sample.cpu - first.cpu) / first.at.duration(to: now)
    guard used > limits.cpu * 1.05 else { return nil }
    return .cpu(used: used, limit: limits.cpu, window: Self.window)
  }
}
