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
  typealias Waiter = CheckedContinuation<Result<Void, PluginFailure>, Never>

  /// What the supervisors of a host share.
  struct Tools: Sendable {
    let spawner: Spawner
    let logger: Logger
    let hostVersion: String
    let numbers: CallNumbers
  }

  struct State {
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
  static let testPatience = Duration.seconds(5)
  /// How long a limit watch may take to say that a kill was its doing.
  static let watchGrace = DispatchTimeInterval.milliseconds(30)
  /// How long a suspect job is sent away while another one is in flight.
  static let suspectPause = Duration.seconds(1)

  let plugin: InstalledPlugin
  let subject: PluginEvent.Subject
  let frames = FrameLog()
  let tools: Tools
  let logger: Logger
  let counters = PluginCounters()
  let journal: PluginJournal
  let onEvent: @Sendable (PluginEvent) -> Void
  let state: Mutex<State>

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
  func handle(_ event: PluginLifecycle.Event, of incarnation: Int?) {
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
