internal import Dispatch
internal import FoundationEssentials
internal import Glibc
internal import JSONText
internal import Logging
internal import PluginManifest
internal import PluginProtocol
internal import Processes
internal import Synchronization

/// Keeps the process of one plugin version: starts it when a call needs it, and again after it has ended.
///
/// Carries out what `PluginLifecycle` decides. Its events come from callers, the plugin's reader thread, the spawner's
/// thread and timers; actions are carried out after the lock is released.
final class PluginSupervisor: Sendable {
  typealias Instant = ContinuousClock.Instant
  private typealias Waiter = CheckedContinuation<Result<Void, PluginFailure>, Never>

  /// What the supervisors of a host share.
  struct Tools: Sendable {
    let spawner: Spawner
    let logger: Logger
    let hostVersion: String
    let numbers: CallNumbers
  }

  private struct State {
    var lifecycle: PluginLifecycle
    var process: PluginProcess?
    var nextWaiter = 0
    var waiters: [Int: Waiter] = [:]
    var poison = PoisonJobs()
    var lastErrorLines: [String] = []
    var quarantine: Quarantine?
    var isClosed = false
    var closeWaiters: [CheckedContinuation<Void, Never>] = []
  }

  /// How long a new version may take to answer its first health check.
  private static let testPatience = Duration.seconds(5)
  /// How long a limit watch may take to say that a kill was its doing.
  private static let watchGrace = DispatchTimeInterval.milliseconds(30)
  /// How long a suspect job is sent away while another one is in flight.
  private static let suspectPause = Duration.seconds(1)

  let plugin: InstalledPlugin
  let subject: PluginEvent.Subject
  let frames = FrameLog()
  private let tools: Tools
  private let logger: Logger
  private let counters = PluginCounters()
  private let journal: PluginJournal
  private let onEvent: @Sendable (PluginEvent) -> Void
  private let state: Mutex<State>

  /// - Parameter onEvent: Called on any thread, with no lock held.
  init(plugin: InstalledPlugin, tools: Tools, onEvent: @escaping @Sendable (PluginEvent) -> Void) {
    logger = tools.logger.with(["plugin": plugin.manifest.id])
    self.plugin = plugin
    self.tools = tools
    self.onEvent = onEvent
    subject = plugin.subject
    journal = PluginJournal(logger: logger, counters: counters)
    state = Mutex(
      State(lifecycle: PluginLifecycle(startLimit: plugin.manifest.limits.start, idleStop: plugin.idleStop))
    )
  }

  // MARK: Calls

  func begin(
    _ method: String,
    params: RawJSON,
    attempt: Int,
    deadline: Duration,
    job: String?
  ) async throws(PluginFailure) -> PluginCall {
    guard plugin.manifest.answers(method) else { throw .methodNotDeclared(method) }
    while true {
      guard let (process, incarnation) = running else {
        try await waitUntilRunning()
        continue
      }
      // Asked only now: while a process ends, it is not known yet whether its jobs are to blame.
      let suspect = try admit(job) ? job : nil
      let call = makeCall(process, job: job, suspect: suspect)
      do throws(PluginProcess.Refusal) {
        try process.begin(call, method: method, params: params, attempt: attempt, deadline: deadline)
        return call
      } catch {
        if let suspect { state.withLock { $0.poison.withdraw(suspect) } }
        switch error {
        case .failed(let failure): throw failure
        // Told at once, so that the next round waits for the next process instead of trying this one again.
        case .sealed: handle(.sealed, of: incarnation)
        case .inputClosed: handle(.inputClosed, of: incarnation)
        }
      }
    }
  }

  private func makeCall(_ process: PluginProcess, job: String?, suspect: String?) -> PluginCall {
    var onEnd: (@Sendable (PluginMessage) -> Void)?
    if let suspect { onEnd = { [weak self] in self?.clear(suspect, after: $0) } }
    return PluginCall(
      number: tools.numbers.next(),
      process: process,
      pluginVersion: plugin.version,
      job: job,
      onEnd: onEnd
    )
  }

  /// Lets a job in.
  ///
  /// - Returns: Whether a process died under it before.
  private func admit(_ job: String?) throws(PluginFailure) -> Bool {
    guard let job else { return false }
    let (admission, isSuspect) = state.withLock { state in
      guard !state.poison.isEmpty else { return (PoisonJobs.Admission.go, false) }
      return (state.poison.admit(job), state.poison.suspects(job))
    }
    switch admission {
    case .go: return isSuspect
    case .wait: throw .backingOff(retryAfter: Self.suspectPause)
    case .parked(let reason): throw .jobParked(reason)
    }
  }

  /// A suspect's call has ended while the process lived.
  private func clear(_ job: String, after message: PluginMessage) {
    let isUnclear = message == .failed(.deadlineExceeded)
    state.withLock { isUnclear ? $0.poison.withdraw(job) : $0.poison.noteEnd(job) }
  }

  private var running: (process: PluginProcess, incarnation: Int)? {
    state.withLock { state in
      guard case .running = state.lifecycle.state, let process = state.process else { return nil }
      return (process, state.lifecycle.incarnation)
    }
  }

  private func waitUntilRunning() async throws(PluginFailure) {
    let id = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isCancelled = state.withLock { state in
          if Task.isCancelled { return true }
          state.waiters[id] = continuation
          return false
        }
        if isCancelled {
          continuation.resume(returning: .failure(.cancelled))
        } else {
          handle(.wanted, of: nil)
        }
      }
    } onCancel: {
      state.withLock { $0.waiters.removeValue(forKey: id) }?.resume(returning: .failure(.cancelled))
    }
    try result.get()
  }

  /// Starts the process if need be and asks it for its health.
  ///
  /// - Returns: What is wrong with it, or nil.
  func test() async -> String? {
    do throws(PluginFailure) {
      while true {
        if let (process, _) = running {
          return await withCheckedContinuation { continuation in
            process.probe(within: Self.testPatience) { continuation.resume(returning: $0) }
          }
        }
        try await waitUntilRunning()
      }
    } catch {
      return "\(error)"
    }
  }

  // MARK: Status and orders

  /// What the version is doing, without what only its plugin as a whole knows.
  func status() -> PluginStatus {
    state.withLock { state in
      PluginStatus(
        id: plugin.manifest.id,
        version: plugin.version,
        digest: plugin.digest,
        tier: plugin.tier,
        state: PluginStatus.State(state.lifecycle.state),
        pid: state.process?.child.pid,
        openCalls: state.process?.calls.open ?? 0,
        restarts: max(0, state.lifecycle.incarnation - 1),
        lastExit: state.lifecycle.lastExit,
        lastErrorLines: state.process?.lastErrorLines ?? state.lastErrorLines,
        quarantine: state.quarantine,
        counters: counters.snapshot,
        watchedUntil: nil,
        versions: []
      )
    }
  }

  var isRetired: Bool { state.withLock { $0.lifecycle.isRetired } }

  /// New calls go to another version: the process ends when its calls have.
  func retire() { handle(.retire, of: nil) }

  /// New calls come again.
  func resume() { handle(.resume, of: nil) }

  /// Retires for good.
  func dismiss() { handle(.dismiss, of: nil) }

  func condemn(_ reason: PluginStopReason) { handle(.condemn(reason), of: nil) }

  /// Ends a quarantine and forgets about failures and parked jobs.
  func release() {
    state.withLock { $0.poison = PoisonJobs() }
    handle(.release, of: nil)
  }

  /// Ends the process and starts none any more.
  func shutdown() { handle(.shutdown, of: nil) }

  /// Waits until the process has ended after `shutdown` or `dismiss`.
  func closed() async {
    await withCheckedContinuation { continuation in
      let isClosed = state.withLock { state in
        if !state.isClosed { state.closeWaiters.append(continuation) }
        return state.isClosed
      }
      if isClosed { continuation.resume() }
    }
  }

  // MARK: Events and actions

  /// - Parameter incarnation: The process the event is about; nil when it is about none.
  private func handle(_ event: PluginLifecycle.Event, of incarnation: Int?) {
    let (actions, process, number) = state.withLock { state in
      let process = state.process
      guard incarnation == nil || incarnation == state.lifecycle.incarnation else {
        return ([PluginLifecycle.Action](), process, state.lifecycle.incarnation)
      }
      let actions = state.lifecycle.handle(
        event,
        now: .now,
        calls: process?.calls ?? PluginLifecycle.Calls(),
        jitter: Double.random(in: 0...1)
      )
      for case .reportQuarantine(let reason, let exit, let until) in actions {
        state.quarantine = quarantine(reason, exit, until, process?.lastErrorLines ?? state.lastErrorLines)
      }
      if state.lifecycle.state.hasNoProcess || actions.contains(.spawn), let process {
        state.lastErrorLines = process.lastErrorLines
        state.process = nil
      }
      return (actions, process, state.lifecycle.incarnation)
    }
    for action in actions {
      perform(action, process: process, incarnation: number)
    }
  }

  private func perform(_ action: PluginLifecycle.Action, process: PluginProcess?, incarnation: Int) {
    switch action {
    case .spawn: spawn(incarnation)
    case .setTimer(let number, let instant): setTimer(.timer(number), at: instant)
    case .setIdleTimer(let number, let instant): setTimer(.idleTimer(number), at: instant)
    case .admit: release(.success(()))
    case .refuse(let failure): release(.failure(failure))
    case .failCalls(let reason): process?.failAll(reason)
    case .seal: if process?.seal() == true { handle(.sealed, of: incarnation) }
    case .sayDrain: process?.sayDrain()
    case .sayShutdown: process?.sayShutdown()
    case .closeInput: process?.outbox.close()
    case .terminate: process?.child.send(signal: SIGTERM)
    case .kill: process?.child.send(signal: SIGKILL)
    case .reportEnd(let reason): reportEnd(reason, process)
    case .reportQuarantine: reportQuarantine()
    case .reportRelease:
      state.withLock { $0.quarantine = nil }
      logger.notice("Plugin works again after its quarantine", ["version": plugin.version])
      onEvent(.released(subject))
    case .reportDrained:
      onEvent(.drained(subject))
    case .close: close()
    }
  }

  // MARK: The process

  private func spawn(_ incarnation: Int) {
    // The launch may read and hash files.
    DispatchQueue.global().async { @Sendable [self] in
      do {
        let request = try plugin.launch()
        counters.change { $0.starts += 1 }
        tools.spawner.spawn(request) { [self] result in
          switch result {
          case .success(let child): attach(child, incarnation: incarnation)
          case .failure(let error): handle(.spawnFailed(.startFailed("\(error)")), of: incarnation)
          }
        }
      } catch let refusal as LaunchRefused {
        handle(.spawnFailed(.launchRefused(refusal.reason)), of: incarnation)
      } catch {
        handle(.spawnFailed(.startFailed("\(error)")), of: incarnation)
      }
    }
  }

  /// Takes over a new process. On the spawner's thread.
  private func attach(_ child: ChildProcess, incarnation: Int) {
    let report: @Sendable (PluginProcess.Report) -> Void = { self.take($0, of: incarnation) }
    do {
      guard let input = child.standardInput else {
        throw SpawnError(step: .pipe, code: 0, executable: plugin.executable)
      }
      let process = try PluginProcess(
        child: child,
        input: input,
        inFlight: plugin.manifest.limits.inFlight,
        numbers: tools.numbers,
        frames: frames,
        counters: counters,
        report: report
      )
      let isStillWanted = state.withLock { state in
        state.process = process
        return state.lifecycle.state == .starting && state.lifecycle.incarnation == incarnation
      }
      try LastingThread.start(name: "plugin-" + plugin.manifest.id) { [self] in
        let reader = PluginReader(
          process: process,
          handshake: Handshake(manifest: plugin.manifest, hostVersion: tools.hostVersion),
          handshakeNumber: tools.numbers.next(),
          journal: journal,
          log: frames,
          report: report
        )
        reader.run()
      }
      let endWatch = plugin.watch?(child) { reason in
        self.handle(.faulted(.limitExceeded(reason)), of: incarnation)
      }
      child.onExit { [self] status in
        endWatch?()
        process.noteExit()
        guard endWatch != nil, status == .signaled(SIGKILL) else { return handle(.exited(status), of: incarnation) }
        // The kernel may have killed it for its limits; then the watch says so in a moment, and is to be heard first.
        DispatchQueue.global().asyncAfter(deadline: .now() + Self.watchGrace) { @Sendable [self] in
          handle(.exited(status), of: incarnation)
        }
      }
      if !isStillWanted { child.send(signal: SIGKILL) }
    } catch {
      child.send(signal: SIGKILL)
      handle(.spawnFailed(.startFailed("\(error)")), of: incarnation)
    }
  }

  private func take(_ report: PluginProcess.Report, of incarnation: Int) {
    switch report {
    case .ready:
      handle(.ready, of: incarnation)
      guard let pid = state.withLock({ $0.process?.child.pid }) else { return }
      logger.info("Plugin is running", ["version": plugin.version])
      onEvent(.started(subject, pid: pid))
    case .faulted(let reason): handle(.faulted(reason), of: incarnation)
    case .outputEnded: handle(.outputEnded, of: incarnation)
    case .idle: handle(.idle, of: incarnation)
    case .drained: handle(.drained, of: incarnation)
    }
  }

  private func setTimer(_ event: PluginLifecycle.Event, at instant: Instant) {
    let delay = Double(max(0, ContinuousClock.now.duration(to: instant).wholeMilliseconds + 1)) / 1_000
    DispatchQueue.global().asyncAfter(deadline: .now() + delay) { @Sendable [weak self] in
      self?.handle(event, of: nil)
    }
  }

  // MARK: Telling

  private func reportEnd(_ reason: PluginStopReason, _ process: PluginProcess?) {
    let exit = state.withLock { $0.lifecycle.lastExit } ?? "\(reason)"
    guard reason.weight != .none else {
      parkJobs(reason, process)
      logger.info("Plugin stopped", ["status": exit])
      return onEvent(.stopped(subject))
    }
    counters.change { $0.crashes += 1 }
    logger.warning("Plugin ended", ["status": exit, "reason": reason.kind, "version": plugin.version])
    parkJobs(reason, process)
    onEvent(.crashed(subject, reason))
  }

  /// Finds the jobs that the process died of. A kill from outside says nothing about them.
  private func parkJobs(_ reason: PluginStopReason, _ process: PluginProcess?) {
    guard let jobs = process?.jobsAtDeath, !jobs.isEmpty else { return }
    guard reason.weight == .crash || reason.weight == .offence else {
      return state.withLock { state in
        for job in jobs { state.poison.withdraw(job) }
      }
    }
    let parked = state.withLock { $0.poison.noteDeath(of: jobs, reason: "\(reason)") }
    for job in parked {
      logger.error("A job is parked: the plugin died of it twice", ["job": job, "reason": "\(reason)"])
      onEvent(.jobParked(subject, job: job, reason: "\(reason)"))
    }
  }

  private func quarantine(
    _ reason: PluginStopReason,
    _ exit: String?,
    _ until: Instant?,
    _ errorLines: [String]
  ) -> Quarantine {
    let length = until.map { Double(ContinuousClock.now.duration(to: $0).wholeMilliseconds) / 1_000 }
    return Quarantine(
      reason: reason,
      exit: exit,
      errorLines: errorLines,
      frames: frames.last,
      until: length.map { Date(timeIntervalSinceNow: $0) }
    )
  }

  private func reportQuarantine() {
    guard let quarantine = state.withLock({ $0.quarantine }) else { return }
    logger.error(
      "Plugin is in quarantine",
      [
        "version": .string(plugin.version), "reason": "\(quarantine.reason)",
        "until": "\(quarantine.until.map { $0.formatted(.iso8601) } ?? "somebody releases it")",
      ]
    )
    onEvent(.quarantined(subject, quarantine))
  }

  private func release(_ result: Result<Void, PluginFailure>) {
    let waiters = state.withLock { state in
      defer { state.waiters = [:] }
      return state.waiters
    }
    for waiter in waiters.values {
      waiter.resume(returning: result)
    }
  }

  private func close() {
    let waiters = state.withLock { state in
      state.isClosed = true
      defer { state.closeWaiters = [] }
      return state.closeWaiters
    }
    frames.finish()
    for waiter in waiters {
      waiter.resume()
    }
  }
}

/// Hands out the numbers of calls, unique in the host.
final class CallNumbers: Sendable {
  private let last = Atomic<Int64>(0)

  func next() -> Int64 {
    last.wrappingAdd(1, ordering: .relaxed).newValue
  }
}

extension PluginLifecycle.State {
  var hasNoProcess: Bool {
    switch self {
    case .stopped, .backingOff, .quarantined, .closed: true
    case .starting, .running, .ending, .stopping: false
    }
  }
}

extension PluginStatus.State {
  init(_ state: PluginLifecycle.State) {
    self =
      switch state {
      case .stopped, .closed: .stopped
      case .starting: .starting
      case .running: .running
      case .ending, .stopping: .stopping
      case .backingOff: .backingOff
      case .quarantined: .quarantined
      }
  }
}
