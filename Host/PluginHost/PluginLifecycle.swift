internal import Processes

/// Decides when a plugin's process is started, ended and started again; does nothing itself.
///
/// A process is gone when two things were reported: its exit, and the end of its output. Events of an earlier process
/// must not be passed in; `incarnation` counts the processes.
struct PluginLifecycle {
  typealias Instant = ContinuousClock.Instant

  /// How long a call waits for a process that is backing off, before it fails instead.
  static let longestWait = Duration.seconds(5)
  /// How long a process whose output ended may take to end too, before it is killed.
  static let outputGrace = Duration.milliseconds(500)
  /// How long a process may take to say that it has nothing left to do.
  static let drainGrace = Duration.seconds(2)
  /// How long the process may take to end when its input has ended, before TERM.
  static let inputGrace = Duration.seconds(5)
  /// How long the process may take to end after TERM, before KILL.
  static let terminateGrace = Duration.seconds(3)
  /// How long the calls of a version that was replaced may run on.
  static let longestDrain = Duration.seconds(900)
  /// How long a version that was replaced is kept warm for deliveries that began on it.
  static let retiredIdle = Duration.seconds(30)
  /// What a caller is told of a quarantine without an end.
  static let longQuarantine = Duration.seconds(3_600)

  var state = State.stopped
  private(set) var incarnation = 0
  var lastExit: String?
  var isRetired = false
  private let startLimit: Duration
  private let idleStop: Duration
  var policy = RestartPolicy()
  var isWanted = false
  var isDraining = false
  var isDismissed = false
  var isClosing = false
  var hasExited = false
  var hasOutputEnded = false
  var wasAsked = false
  var fault: PluginStopReason?
  var exit: ExitStatus?
  var condemned: PluginStopReason?
  var runStart: Instant?
  var timer = 0
  var idleTimer = 0

  /// - Parameters:
  ///   - startLimit: The longest time from the start of the process to its handshake.
  ///   - idleStop: How long the process is kept without a call.
  init(startLimit: Duration, idleStop: Duration = InstalledPlugin.defaultIdleStop) {
    self.startLimit = startLimit
    self.idleStop = idleStop
  }

  /// - Parameter jitter: A random number in 0...1, used when a process is gone.
  mutating func handle(_ event: Event, now: Instant, calls: Calls = Calls(), jitter: Double = 0.5) -> [Action] {
    switch event {
    case .wanted: return want(now)
    case .spawnFailed(let reason): return spawnFailed(reason, now: now, jitter: jitter)
    case .ready: return ready(now)
    case .faulted(let reason): return faulted(reason)
    case .outputEnded: return outputEnded(now: now, calls: calls, jitter: jitter)
    case .inputClosed: return inputClosed(now)
    case .exited(let status): return exited(status, now: now, calls: calls, jitter: jitter)
    case .timer(let number): return number == timer ? timerFired(now) : []
    case .idleTimer(let number): return number == idleTimer ? idleTimerFired(now, calls) : []
    case .idle: return isRunning && isDraining ? [.seal] : []
    case .sealed: return sealed(now)
    case .drained: return state == .stopping(.drain) ? stopByInput(now) : []
    case .retire: return retire(now)
    case .resume:
      isRetired = false
      isDraining = false
      return isRunning ? [nextIdleTimer(now + idleStop)] : []
    case .dismiss:
      isDismissed = true
      return retire(now)
    case .condemn(let reason): return condemn(reason)
    case .release: return release()
    case .shutdown: return shutdown(now)
    }
  }

  var isRunning: Bool {
    if case .running = state { true } else { false }
  }

  // MARK: Starting

  private mutating func want(_ now: Instant) -> [Action] {
    if isClosing || (isDismissed && !hasProcess) { return [.refuse(.shuttingDown)] }
    switch state {
    case .stopped:
      isWanted = true
      return spawn(now)
    case .starting, .ending:
      isWanted = true
      return []
    case .running:
      return [.admit]
    case .backingOff(let until):
      let remaining = now.duration(to: until)
      guard remaining > .zero else {
        isWanted = true
        return spawn(now)
      }
      guard remaining <= Self.longestWait else { return [.refuse(.backingOff(retryAfter: remaining))] }
      if isWanted { return [] }
      isWanted = true
      return [setTimer(until)]
    case .quarantined(let reason, let until):
      guard let until, until <= now else { return [.refuse(Self.refusal(reason, until: until, now: now))] }
      policy.beginTrial()
      isWanted = true
      return spawn(now)
    case .stopping:
      isWanted = true
      return []
    case .closed:
      return [.refuse(.shuttingDown)]
    }
  }

  private var hasProcess: Bool {
    switch state {
    case .stopped, .backingOff, .quarantined, .closed: false
    case .starting, .running, .ending, .stopping: true
    }
  }

  static func refusal(_ reason: PluginStopReason, until: Instant?, now: Instant) -> PluginFailure {
    .quarantined("\(reason)", retryAfter: until.map { max(now.duration(to: $0), .zero) } ?? longQuarantine)
  }

  mutating func spawn(_ now: Instant) -> [Action] {
    state = .starting
    incarnation += 1
    hasExited = false
    hasOutputEnded = false
    wasAsked = false
    fault = nil
    exit = nil
    runStart = nil
    return [.spawn, setTimer(now + startLimit)]
  }

  mutating func setTimer(_ instant: Instant) -> Action {
    timer += 1
    return .setTimer(timer, at: instant)
  }

  mutating func nextIdleTimer(_ instant: Instant) -> Action {
    idleTimer += 1
    return .setIdleTimer(idleTimer, at: instant)
  }

  mutating func spawnFailed(_ reason: PluginStopReason, now: Instant, jitter: Double) -> [Action] {
    hasExited = true
    hasOutputEnded = true
    fault = fault ?? reason
    return gone(now: now, calls: Calls(), jitter: jitter)
  }

  mutating func ready(_ now: Instant) -> [Action] {
    guard case .starting = state else { return [] }
    state = .running(since: now)
    runStart = now
    isWanted = false
    timer += 1
    policy.noteReady()
    let drain = isDraining ? [setTimer(now + Self.longestDrain)] : []
    return [.admit, nextIdleTimer(now + idleLimit)] + drain
  }

  var idleLimit: Duration { isRetired ? min(idleStop, Self.retiredIdle) : idleStop }

  private mutating func timerFired(_ now: Instant) -> [Action] {
    switch state {
    case .starting:
      return faulted(.startTimedOut("it did not answer initialize within \(startLimit)"))
    case .ending:
      fault = fault ?? (hasOutputEnded ? .outputEnded : .unresponsive("it closed its input"))
      return [.kill]
    case .running where isDraining:
      wasAsked = true
      state = .ending
      return [.failCalls(.asked), .kill]
    case .backingOff where isWanted:
      return spawn(now)
    case .stopping(.drain):
      return stopByInput(now)
    case .stopping(.input):
      state = .stopping(.terminate)
      return [.terminate, setTimer(now + Self.terminateGrace)]
    case .stopping(.terminate):
      state = .stopping(.kill)
      return [.kill]
    case .stopped, .running, .stopping(.kill), .backingOff, .quarantined, .closed:
      return []
    }
  }
}
