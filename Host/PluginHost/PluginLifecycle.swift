/// Decides when a plugin's process is started, ended and started again; does nothing itself.
///
/// A process is gone when two things were reported: its exit, and the end of its output. Events of an earlier process
/// must not be passed in; `incarnation` counts the processes.
struct PluginLifecycle {
  typealias Instant = ContinuousClock.Instant

  /// How long a call waits for a process that is backing off, before it fails instead.
  static let longestWait = Duration.seconds(5)
  /// How long the process may take to end when its input has ended, before TERM.
  static let inputGrace = Duration.seconds(5)
  /// How long the process may take to end after TERM, before KILL.
  static let terminateGrace = Duration.seconds(3)

  enum State: Equatable {
    case stopped
    case starting
    case running(since: Instant)
    /// The process is being ended or is ending by itself.
    case ending
    case stopping(StopStep)
    case backingOff(until: Instant)
    /// The host is stopping and no process is left.
    case closed
  }

  enum StopStep: Equatable {
    case input
    case terminate
    case kill
  }

  enum Event: Equatable {
    /// A call needs the plugin.
    case wanted
    /// The process could not be started.
    case spawnFailed(String)
    /// The handshake is done.
    case ready
    /// The plugin broke a rule or does not react.
    case faulted(PluginFailure)
    /// The process's output has ended and all of it was read.
    case outputEnded
    case exited(String)
    case timer(Int)
    case shutdown
  }

  enum Action: Equatable {
    case spawn
    case setTimer(Int, at: Instant)
    /// Let waiting calls go on.
    case admit
    /// Fail waiting calls.
    case refuse(PluginFailure)
    /// Fail the open calls of the process.
    case failCalls(PluginFailure)
    case closeInput
    case terminate
    case kill
    /// No process is left and none will be started.
    case close
  }

  private(set) var state = State.stopped
  private(set) var incarnation = 0
  private(set) var lastExit: String?
  private let startLimit: Duration
  private var policy = RestartPolicy()
  private var isWanted = false
  private var isClosing = false
  private var hasExited = false
  private var hasOutputEnded = false
  private var fault: PluginFailure?
  private var startFailure: String?
  private var runStart: Instant?
  private var timer = 0

  /// - Parameter startLimit: The longest time from the start of the process to its handshake.
  init(startLimit: Duration) {
    self.startLimit = startLimit
  }

  /// - Parameters:
  ///   - answeredCalls: How many calls the present process has answered.
  ///   - jitter: A random number in 0...1, used when a process is gone.
  mutating func handle(_ event: Event, now: Instant, answeredCalls: Int = 0, jitter: Double = 0.5) -> [Action] {
    switch event {
    case .wanted: want(now)
    case .spawnFailed(let reason): spawnFailed(reason, now: now, jitter: jitter)
    case .ready: ready(now)
    case .faulted(let failure): faulted(failure)
    case .outputEnded: outputEnded(now: now, answeredCalls: answeredCalls, jitter: jitter)
    case .exited(let status): exited(status, now: now, answeredCalls: answeredCalls, jitter: jitter)
    case .timer(let number): number == timer ? timerFired(now) : []
    case .shutdown: shutdown(now)
    }
  }

  private mutating func want(_ now: Instant) -> [Action] {
    if isClosing { return [.refuse(.shuttingDown)] }
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
    case .stopping, .closed:
      return [.refuse(.shuttingDown)]
    }
  }

  private mutating func spawn(_ now: Instant) -> [Action] {
    state = .starting
    incarnation += 1
    hasExited = false
    hasOutputEnded = false
    fault = nil
    startFailure = nil
    runStart = nil
    return [.spawn, setTimer(now + startLimit)]
  }

  private mutating func setTimer(_ instant: Instant) -> Action {
    timer += 1
    return .setTimer(timer, at: instant)
  }

  private mutating func spawnFailed(_ reason: String, now: Instant, jitter: Double) -> [Action] {
    hasExited = true
    hasOutputEnded = true
    lastExit = reason
    startFailure = reason
    return gone(now: now, answeredCalls: 0, jitter: jitter)
  }

  private mutating func ready(_ now: Instant) -> [Action] {
    guard case .starting = state else { return [] }
    state = .running(since: now)
    runStart = now
    isWanted = false
    timer += 1
    return [.admit]
  }

  private mutating func faulted(_ failure: PluginFailure) -> [Action] {
    guard fault == nil else { return [] }
    switch state {
    case .starting:
      fault = failure
      startFailure = failure.reason
      state = .ending
      return [.kill]
    case .running:
      fault = failure
      state = .ending
      return [.failCalls(failure), .kill]
    case .ending:
      // The process ended before its last words were read; what they say is the better reason.
      fault = failure
      startFailure = failure.reason
      lastExit = lastExit.map { "\(failure) (\($0))" }
      return runStart == nil ? [] : [.failCalls(failure)]
    case .stopped, .stopping, .backingOff, .closed:
      return []
    }
  }

  private mutating func outputEnded(now: Instant, answeredCalls: Int, jitter: Double) -> [Action] {
    guard !hasOutputEnded else { return [] }
    hasOutputEnded = true
    var actions: [Action] = [.failCalls(fault ?? .connectionLost(lastReason))]
    if hasExited { return actions + gone(now: now, answeredCalls: answeredCalls, jitter: jitter) }
    switch state {
    case .starting, .running:
      state = .ending
      actions.append(.kill)
    case .stopped, .ending, .stopping, .backingOff, .closed:
      break
    }
    return actions
  }

  private var lastReason: String {
    hasExited ? lastExit ?? "it ended" : "its output ended"
  }

  private mutating func exited(_ status: String, now: Instant, answeredCalls: Int, jitter: Double) -> [Action] {
    guard !hasExited else { return [] }
    hasExited = true
    lastExit = fault.map { "\($0) (\(status))" } ?? status
    if hasOutputEnded { return gone(now: now, answeredCalls: answeredCalls, jitter: jitter) }
    switch state {
    case .starting, .running: state = .ending
    case .stopped, .ending, .stopping, .backingOff, .closed: break
    }
    return []
  }

  /// The process is gone: waits, starts the next one or closes.
  private mutating func gone(now: Instant, answeredCalls: Int, jitter: Double) -> [Action] {
    timer += 1
    if isClosing {
      state = .closed
      isWanted = false
      return [.refuse(.shuttingDown), .close]
    }
    let run = runStart.map { $0.duration(to: now) } ?? .zero
    let delay = policy.delay(afterRun: run, answeredCalls: answeredCalls, jitter: jitter)
    state = delay > .zero ? .backingOff(until: now + delay) : .stopped
    guard isWanted else { return [] }
    if runStart == nil {
      // Whoever waits for this start learns why it failed; the next caller tries anew.
      isWanted = false
      return [.refuse(.startFailed(startFailure ?? lastExit ?? "it ended"))]
    }
    if delay > Self.longestWait {
      isWanted = false
      return [.refuse(.backingOff(retryAfter: delay))]
    }
    return delay > .zero ? [setTimer(now + delay)] : spawn(now)
  }

  private mutating func timerFired(_ now: Instant) -> [Action] {
    switch state {
    case .starting:
      return faulted(.startFailed("it did not answer initialize within \(startLimit)"))
    case .backingOff where isWanted:
      return spawn(now)
    case .stopping(.input):
      state = .stopping(.terminate)
      return [.terminate, setTimer(now + Self.terminateGrace)]
    case .stopping(.terminate):
      state = .stopping(.kill)
      return [.kill]
    case .stopped, .running, .ending, .stopping(.kill), .backingOff, .closed:
      return []
    }
  }

  private mutating func shutdown(_ now: Instant) -> [Action] {
    guard !isClosing else { return [] }
    isClosing = true
    switch state {
    case .stopped, .backingOff:
      timer += 1
      state = .closed
      return [.refuse(.shuttingDown), .close]
    case .starting:
      state = .stopping(.kill)
      return [.refuse(.shuttingDown), .kill]
    case .running:
      state = .stopping(.input)
      return [.closeInput, setTimer(now + Self.inputGrace)]
    case .ending:
      return [.refuse(.shuttingDown)]
    case .stopping, .closed:
      return []
    }
  }
}

extension PluginFailure {
  /// What a message about a failed start says.
  fileprivate var reason: String {
    switch self {
    case .startFailed(let reason), .protocolViolation(let reason), .connectionLost(let reason): reason
    default: description
    }
  }
}
