internal import Dispatch
internal import Glibc
internal import JSONText
internal import Logging
internal import PluginManifest
internal import PluginProtocol
internal import Processes
internal import Synchronization

/// Keeps one plugin's process: starts it when a call needs it, and again after it has ended.
///
/// Carries out what `PluginLifecycle` decides. Its events come from callers, the plugin's reader thread, the spawner's
/// thread and timers; actions are carried out after the lock is released.
final class PluginSupervisor: Sendable {
  typealias Instant = ContinuousClock.Instant
  private typealias Waiter = CheckedContinuation<Result<Void, PluginFailure>, Never>

  private struct State {
    var lifecycle: PluginLifecycle
    var process: PluginProcess?
    var nextWaiter = 0
    var waiters: [Int: Waiter] = [:]
    var lastErrorLines: [String] = []
    var isClosed = false
    var closeWaiters: [CheckedContinuation<Void, Never>] = []
  }

  let plugin: InstalledPlugin
  private let version: String
  private let hostVersion: String
  private let spawner: Spawner
  private let logger: Logger
  private let numbers: CallNumbers
  private let journal: PluginJournal
  private let state: Mutex<State>

  init(plugin: InstalledPlugin, hostVersion: String, spawner: Spawner, logger: Logger, numbers: CallNumbers) {
    let logger = logger.with(["plugin": plugin.manifest.id])
    self.plugin = plugin
    version = plugin.manifest.version.description
    self.hostVersion = hostVersion
    self.spawner = spawner
    self.logger = logger
    self.numbers = numbers
    journal = PluginJournal(logger: logger)
    state = Mutex(State(lifecycle: PluginLifecycle(startLimit: plugin.manifest.limits.start)))
  }

  // MARK: Calls

  func begin(
    _ method: String,
    params: RawJSON,
    attempt: Int,
    deadline: Duration
  ) async throws(PluginFailure) -> PluginCall {
    guard plugin.manifest.answers(method) else { throw .methodNotDeclared(method) }
    while true {
      if let (process, incarnation) = running {
        let call = PluginCall(number: numbers.next(), process: process, pluginVersion: version)
        do throws(PluginProcess.Refusal) {
          try process.begin(call, method: method, params: params, attempt: attempt, deadline: deadline)
          return call
        } catch {
          switch error {
          case .failed(let failure): throw failure
          // Told at once, so that the next round waits for the next process instead of trying this one again.
          case .ending: handle(.faulted(.connectionLost("it closed its input")), of: incarnation)
          }
        }
      }
      try await waitUntilRunning()
    }
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

  // MARK: Status and end

  func status() -> PluginStatus {
    state.withLock { state in
      PluginStatus(
        id: plugin.manifest.id,
        version: version,
        state: PluginStatus.State(state.lifecycle.state),
        pid: state.process?.child.pid,
        openCalls: state.process?.openCalls ?? 0,
        restarts: max(0, state.lifecycle.incarnation - 1),
        lastExit: state.lifecycle.lastExit,
        lastErrorLines: state.process?.lastErrorLines ?? state.lastErrorLines
      )
    }
  }

  /// Ends the process and starts none any more.
  func shutdown() {
    handle(.shutdown, of: nil)
  }

  /// Waits until the process has ended after `shutdown`.
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
    let (actions, before, after, process, number) = state.withLock { state in
      let before = state.lifecycle.state
      let process = state.process
      guard incarnation == nil || incarnation == state.lifecycle.incarnation else {
        return ([PluginLifecycle.Action](), before, before, process, state.lifecycle.incarnation)
      }
      let actions = state.lifecycle.handle(
        event,
        now: .now,
        answeredCalls: process?.answeredCalls ?? 0,
        jitter: Double.random(in: 0...1)
      )
      let after = state.lifecycle.state
      if after.hasNoProcess || actions.contains(.spawn), let process {
        state.lastErrorLines = process.lastErrorLines
        state.process = nil
      }
      return (actions, before, after, process, state.lifecycle.incarnation)
    }
    log(event, from: before, to: after)
    for action in actions {
      perform(action, process: process, incarnation: number)
    }
  }

  private func perform(_ action: PluginLifecycle.Action, process: PluginProcess?, incarnation: Int) {
    switch action {
    case .spawn: spawn(incarnation)
    case .setTimer(let number, let instant): setTimer(number, at: instant)
    case .admit: release(.success(()))
    case .refuse(let failure): release(.failure(failure))
    case .failCalls(let failure): process?.failAll(failure)
    case .closeInput: process?.outbox.close()
    case .terminate: process?.child.send(signal: SIGTERM)
    case .kill: process?.stop()
    case .close: close()
    }
  }

  private func spawn(_ incarnation: Int) {
    let path = plugin.executable
    let request = SpawnRequest(
      executable: path,
      environment: [
        "LANG": "C.UTF-8", "TZ": "UTC",
        "SWIFT_ROOT": path.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" },
      ],
      workingDirectory: "/",
      standardInput: .pipe,
      standardOutput: .pipe,
      standardError: .pipe
    )
    spawner.spawn(request) { [self] result in
      switch result {
      case .success(let child): attach(child, incarnation: incarnation)
      case .failure(let error): handle(.spawnFailed("\(error)"), of: incarnation)
      }
    }
  }

  /// Takes over a new process. On the spawner's thread.
  private func attach(_ child: ChildProcess, incarnation: Int) {
    do {
      guard let input = child.standardInput else {
        throw SpawnError(step: .pipe, code: 0, executable: plugin.executable)
      }
      let process = try PluginProcess(child: child, input: input, inFlight: plugin.manifest.limits.inFlight)
      let isStillWanted = state.withLock { state in
        state.process = process
        return state.lifecycle.state == .starting
      }
      try LastingThread.start(name: "plugin-" + plugin.manifest.id) { [self] in
        let reader = PluginReader(
          process: process,
          handshake: Handshake(manifest: plugin.manifest, hostVersion: hostVersion),
          handshakeNumber: numbers.next(),
          journal: journal,
          report: { self.handle($0.event, of: incarnation) }
        )
        reader.run()
      }
      child.onExit { status in
        process.noteExit()
        self.handle(.exited("\(status)"), of: incarnation)
      }
      if !isStillWanted { process.stop() }
    } catch {
      child.send(signal: SIGKILL)
      handle(.spawnFailed("\(error)"), of: incarnation)
    }
  }

  private func setTimer(_ number: Int, at instant: Instant) {
    let delay = Double(max(0, ContinuousClock.now.duration(to: instant).wholeMilliseconds + 1)) / 1_000
    DispatchQueue.global().asyncAfter(deadline: .now() + delay) { @Sendable [weak self] in
      self?.handle(.timer(number), of: nil)
    }
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
    for waiter in waiters {
      waiter.resume()
    }
  }

  private func log(
    _ event: PluginLifecycle.Event,
    from before: PluginLifecycle.State,
    to after: PluginLifecycle.State
  ) {
    switch event {
    case .ready where before != after:
      logger.info("Plugin is running", ["version": version])
    case .spawnFailed(let reason):
      logger.error("Plugin could not be started", ["reason": reason])
    case .faulted(let failure) where before != after:
      logger.error("Plugin is ended after a fault", ["reason": failure.description])
    case .exited(let status):
      switch before {
      case .stopping: logger.info("Plugin stopped", ["status": status])
      default: logger.warning("Plugin ended", ["status": status])
      }
    default:
      break
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

extension PluginProcess {
  /// Ends the process at once.
  func stop() {
    child.send(signal: SIGKILL)
  }
}

extension PluginProcess.Report {
  fileprivate var event: PluginLifecycle.Event {
    switch self {
    case .ready: .ready
    case .faulted(let failure): .faulted(failure)
    case .outputEnded: .outputEnded
    }
  }
}

extension PluginLifecycle.State {
  fileprivate var hasNoProcess: Bool {
    switch self {
    case .stopped, .backingOff, .closed: true
    case .starting, .running, .ending, .stopping: false
    }
  }
}

extension PluginStatus.State {
  fileprivate init(_ state: PluginLifecycle.State) {
    self =
      switch state {
      case .stopped, .closed: .stopped
      case .starting: .starting
      case .running: .running
      case .ending, .stopping: .stopping
      case .backingOff: .backingOff
      }
  }
}
