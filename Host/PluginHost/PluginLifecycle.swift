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

  private(set) var state = State.stopped
  private(set) var incarnation = 0
  private(set) var lastExit: String?
  private(set) var isRetired = false
  private let startLimit: Duration
  private let idleStop: Duration
  private var policy = RestartPolicy()
  private var isWanted = false
  private var isDraining = false
  private var isDismissed = false
  private var isClosing = false
  private var hasExited = false
  private var hasOutputEnded = false
  private var wasAsked = false
  private var fault: PluginStopReason?
  private var exit: ExitStatus?
  private var condemned: PluginStopReason?
  private var runStart: Instant?
  private var timer = 0
  private var idleTimer = 0

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

  private var isRunning: Bool {
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

  private static func refusal(_ reason: PluginStopReason, until: Instant?, now: Instant) -> PluginFailure {
    .quarantined("\(reason)", retryAfter: until.map { max(now.duration(to: $0), .zero) } ?? longQuarantine)
  }

  private mutating func spawn(_ now: Instant) -> [Action] {
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

  private mutating func setTimer(_ instant: Instant) -> Action {
    timer += 1
    return .setTimer(timer, at: instant)
  }

  private mutating func nextIdleTimer(_ instant: Instant) -> Action {
    idleTimer += 1
    return .setIdleTimer(idleTimer, at: instant)
  }

  private mutating func spawnFailed(_ reason: PluginStopReason, now: Instant, jitter: Double) -> [Action] {
    hasExited = true
    hasOutputEnded = true
    fault = fault ?? reason
    return gone(now: now, calls: Calls(), jitter: jitter)
  }

  private mutating func ready(_ now: Instant) -> [Action] {
    guard case .starting = state else { return [] }
    state = .running(since: now)
    runStart = now
    isWanted = false
    timer += 1
    policy.noteReady()
    let drain = isDraining ? [setTimer(now + Self.longestDrain)] : []
    return [.admit, nextIdleTimer(now + idleLimit)] + drain
  }

  private var idleLimit: Duration { isRetired ? min(idleStop, Self.retiredIdle) : idleStop }

  // MARK: Ending by itself

  private mutating func faulted(_ reason: PluginStopReason) -> [Action] {
    guard fault == nil else { return [] }
    switch state {
    case .starting:
      fault = reason
      state = .ending
      timer += 1
      return [.kill]
    case .running, .stopping(.drain):
      fault = reason
      state = .ending
      timer += 1
      return [.failCalls(reason), .kill]
    case .ending where !wasAsked:
      // The process ended before its last words were read; what they say is the better reason.
      fault = reason
      return runStart == nil ? [.kill] : [.failCalls(reason), .kill]
    case .stopped, .ending, .stopping, .backingOff, .quarantined, .closed:
      return []
    }
  }

  private mutating func outputEnded(now: Instant, calls: Calls, jitter: Double) -> [Action] {
    guard !hasOutputEnded else { return [] }
    hasOutputEnded = true
    let actions: [Action] = [.failCalls(endReason)]
    if hasExited { return actions + gone(now: now, calls: calls, jitter: jitter) }
    switch state {
    case .starting, .running:
      // A process that dies closes its output a moment before its exit is seen; the exit is the better reason.
      state = .ending
      return actions + [setTimer(now + Self.outputGrace)]
    case .stopped, .ending, .stopping, .backingOff, .quarantined, .closed:
      return actions
    }
  }

  private mutating func inputClosed(_ now: Instant) -> [Action] {
    guard isRunning else { return [] }
    state = .ending
    return [setTimer(now + Self.outputGrace)]
  }

  private mutating func exited(_ status: ExitStatus, now: Instant, calls: Calls, jitter: Double) -> [Action] {
    guard !hasExited else { return [] }
    hasExited = true
    exit = status
    if hasOutputEnded { return gone(now: now, calls: calls, jitter: jitter) }
    switch state {
    case .starting, .running: state = .ending
    case .stopped, .ending, .stopping, .backingOff, .quarantined, .closed: break
    }
    return []
  }

  /// Why the process ended or ends, as far as that is known.
  private var endReason: PluginStopReason {
    if let fault { return fault }
    if wasAsked { return .asked }
    guard let exit else { return .outputEnded }
    switch exit {
    // KILL, TERM, INT, HUP: none of them comes from inside, and the host's own are asked or have a fault.
    case .signaled(let number) where [1, 2, 9, 15].contains(number): return .killedFromOutside(number)
    case .signaled(let number): return runStart == nil ? .startFailed("it ended with \(exit)") : .signaled(number)
    case .exited(let code): return runStart == nil ? .startFailed("it ended with \(exit)") : .exited(code: code)
    }
  }

  private var exitText: String {
    let reason = endReason
    guard let exit else { return "\(reason)" }
    switch reason {
    case .asked, .exited, .signaled, .killedFromOutside: return "\(exit)"
    default: return "\(reason) (\(exit))"
    }
  }

  /// The process is gone: waits, starts the next one or closes.
  private mutating func gone(now: Instant, calls: Calls, jitter: Double) -> [Action] {
    timer += 1
    idleTimer += 1
    let reason = endReason
    lastExit = exitText
    var actions: [Action] = [.reportEnd(reason)]
    if isDraining {
      isDraining = false
      actions.append(.reportDrained)
    }
    if isClosing || isDismissed {
      state = .closed
      isWanted = false
      return actions + [.refuse(.shuttingDown), .close]
    }
    let run = runStart.map { $0.duration(to: now) } ?? .zero
    let wasOnTrial = policy.isOnTrial
    let decision = policy.noteEnd(
      reason,
      afterRun: run,
      answeredCalls: calls.answered,
      now: now,
      jitter: jitter
    )
    if let condemned { return actions + quarantine(condemned, until: nil, now: now) }
    switch decision {
    case .quarantine(let length):
      return actions + quarantine(reason, until: now + length, now: now)
    case .restart(let delay):
      if wasOnTrial, !policy.isOnTrial { actions.append(.reportRelease) }
      return actions + restart(after: delay, now: now)
    }
  }

  private mutating func restart(after delay: Duration, now: Instant) -> [Action] {
    state = delay > .zero ? .backingOff(until: now + delay) : .stopped
    guard isWanted else { return [] }
    if case .startTimedOut(let reason) = endReason {
      // Whoever waited has waited long enough; the next caller tries anew.
      isWanted = false
      return [.refuse(.startFailed(reason))]
    }
    if delay > Self.longestWait {
      isWanted = false
      return [.refuse(.backingOff(retryAfter: delay))]
    }
    return delay > .zero ? [setTimer(now + delay)] : spawn(now)
  }

  private mutating func quarantine(_ reason: PluginStopReason, until: Instant?, now: Instant) -> [Action] {
    state = .quarantined(reason, until: until)
    isWanted = false
    return [
      .reportQuarantine(reason, exit: exit.map { "\($0)" }, until: until),
      .refuse(Self.refusal(reason, until: until, now: now)),
    ]
  }

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

  // MARK: Ending on request

  private mutating func idleTimerFired(_ now: Instant, _ calls: Calls) -> [Action] {
    guard case .running(let since) = state else { return [] }
    if calls.open > 0 { return [nextIdleTimer(now + idleLimit)] }
    let end = max(since, calls.lastEnd ?? since) + idleLimit
    return end > now ? [nextIdleTimer(end)] : [.seal]
  }

  private mutating func retire(_ now: Instant) -> [Action] {
    isRetired = true
    switch state {
    case .running:
      guard !isDraining else { return [] }
      isDraining = true
      return [setTimer(now + Self.longestDrain), .seal]
    case .starting, .ending, .stopping:
      isDraining = true
      return []
    case .stopped, .backingOff, .quarantined:
      guard isDismissed else { return [.reportDrained] }
      timer += 1
      state = .closed
      return [.reportDrained, .refuse(.shuttingDown), .close]
    case .closed:
      return []
    }
  }

  private mutating func sealed(_ now: Instant) -> [Action] {
    guard isRunning else { return [] }
    wasAsked = true
    guard isDraining else { return stopByInput(now) }
    state = .stopping(.drain)
    return [.sayDrain, setTimer(now + Self.drainGrace)]
  }

  private mutating func stopByInput(_ now: Instant) -> [Action] {
    wasAsked = true
    state = .stopping(.input)
    return [.sayShutdown, .closeInput, setTimer(now + Self.inputGrace)]
  }

  private mutating func condemn(_ reason: PluginStopReason) -> [Action] {
    condemned = reason
    switch state {
    case .stopped, .backingOff, .quarantined:
      timer += 1
      let refusal = Self.longQuarantine
      state = .quarantined(reason, until: nil)
      isWanted = false
      return [
        .reportQuarantine(reason, exit: exit.map { "\($0)" }, until: nil),
        .refuse(.quarantined("\(reason)", retryAfter: refusal)),
      ]
    case .starting, .running, .stopping(.drain):
      return faulted(reason)
    case .ending, .stopping, .closed:
      return []
    }
  }

  private mutating func release() -> [Action] {
    condemned = nil
    policy.reset()
    guard case .quarantined = state else { return [] }
    state = .stopped
    return [.reportRelease]
  }

  private mutating func shutdown(_ now: Instant) -> [Action] {
    guard !isClosing else { return [] }
    isClosing = true
    switch state {
    case .stopped, .backingOff, .quarantined:
      timer += 1
      state = .closed
      return [.refuse(.shuttingDown), .close]
    case .starting:
      wasAsked = true
      state = .stopping(.kill)
      return [.refuse(.shuttingDown), .kill]
    case .running, .stopping(.drain):
      return stopByInput(now)
    case .ending:
      return [.refuse(.shuttingDown)]
    case .stopping, .closed:
      return []
    }
  }
}
