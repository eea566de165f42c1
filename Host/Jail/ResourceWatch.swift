internal import Dispatch
internal import Glibc
internal import Logging
package import Processes
internal import Synchronization

extension Jail {
  /// Watches what a started program uses, until it has ended or the watch is stopped.
  ///
  /// - Parameter onExceeded: Called at most once, on a queue of the watch; it must end the process. Where control groups
  ///   limit memory it may be called just after the end, because the kernel was first.
  package func watch(
    _ child: ChildProcess,
    limits: JailLimits,
    onExceeded: @escaping @Sendable (ResourceKill) -> Void
  ) -> WatchedProcess {
    watch.add(child, limits: limits, launcherStays: usesNamespaces, groups: groups, onExceeded: onExceeded)
  }
}

/// Looks at all running plugins from time to time, while there are any. State belongs to its queue.
final class ResourceWatch: Sendable {
  typealias Instant = ContinuousClock.Instant

  private struct Entry {
    let child: ChildProcess
    let onExceeded: @Sendable (ResourceKill) -> Void
    let groups: ControlGroups?
    let handle: WatchedProcess
    var policy: ResourcePolicy
    var figures: ProcessFigures
    var nextLook: Instant
    /// A look so much before its time does no harm: plugins that wait are looked at together.
    var margin: Duration = .zero
    /// The folder of its control group, once it has entered it.
    var home: String?
  }

  private final class State {
    var entries: [Int: Entry] = [:]
    var next = 0
    var timer: (any DispatchSourceTimer)?
    /// When the timer fires.
    var alarm: Instant?
    var buffer = [UInt8](repeating: 0, count: 4_096)
  }

  private let queue = DispatchQueue(label: "resource-watch")
  // Touched on the queue alone.
  private nonisolated(unsafe) let state = State()
  private let records: RunRecords?
  private let logger: Logger

  init(records: RunRecords?, logger: Logger) {
    self.records = records
    self.logger = logger
  }

  deinit {
    unsafe state.timer?.cancel()
  }

  func add(
    _ child: ChildProcess,
    limits: JailLimits,
    launcherStays: Bool,
    groups: ControlGroups?,
    onExceeded: @escaping @Sendable (ResourceKill) -> Void
  ) -> WatchedProcess {
    let (number, handle) = queue.sync { () -> (Int, WatchedProcess) in
      let state = unsafe self.state
      state.next += 1
      let now = Instant.now
      let handle = WatchedProcess(number: state.next, watch: self)
      state.entries[state.next] = Entry(
        child: child,
        onExceeded: onExceeded,
        groups: groups,
        handle: handle,
        policy: ResourcePolicy(limits: limits, start: now),
        figures: ProcessFigures(of: child.pid, launcherStays: launcherStays),
        nextLook: now + ResourcePolicy.alertPause
      )
      setTimer(now)
      return (state.next, handle)
    }
    records?.note(child.pid)
    child.onExit { [self] _ in
      queue.async {
        self.records?.forget(child.pid)
        guard let home = self.remove(number)?.home else { return }
        let kills = ControlGroups.memoryKills(in: home)
        ControlGroups.remove(home)
        if kills > 0 { onExceeded(.outOfMemory(limitMiB: limits.memoryMiB)) }
      }
    }
    return handle
  }

  func end(_ number: Int) {
    queue.async { _ = self.remove(number) }
  }

  /// The process has work and was looked at seldom.
  func lookSoon(_ number: Int) {
    queue.async { [self] in
      let state = unsafe self.state
      let now = Instant.now
      let soon = now + ResourcePolicy.alertPause
      guard let entry = state.entries[number], entry.nextLook > soon else { return }
      state.entries[number]?.nextLook = soon
      state.entries[number]?.margin = .zero
      setTimer(now)
    }
  }

  private func remove(_ number: Int) -> Entry? {
    let state = unsafe self.state
    let entry = state.entries.removeValue(forKey: number)
    if state.entries.isEmpty {
      state.timer?.cancel()
      state.timer = nil
      state.alarm = nil
    }
    return entry
  }

  /// Lets the timer fire at the earliest look.
  private func setTimer(_ now: Instant) {
    let state = unsafe self.state
    guard let earliest = state.entries.values.lazy.map(\.nextLook).min(), earliest != state.alarm else { return }
    let timer = state.timer ?? makeTimer()
    state.timer = timer
    state.alarm = earliest
    let wait = max(0, now.duration(to: earliest) / .milliseconds(1))
    timer.schedule(deadline: .now() + .milliseconds(Int(wait.rounded(.up))), leeway: .milliseconds(wait > 500 ? 50 : 2))
  }

  private func makeTimer() -> any DispatchSourceTimer {
    let timer = DispatchSource.makeTimerSource(queue: queue)
    timer.setEventHandler { [weak self] in self?.look() }
    timer.resume()
    return timer
  }

  private func look() {
    let state = unsafe self.state
    state.alarm = nil
    let now = Instant.now
    for number in Array(state.entries.keys) {
      guard var entry = state.entries.removeValue(forKey: number) else { continue }
      let verdict = entry.nextLook <= now + entry.margin ? judge(&entry, now, &state.buffer) : nil
      state.entries[number] = entry
      guard let verdict else { continue }
      logger.warning("A plugin uses too much", ["pid": "\(entry.child.pid)", "reason": "\(verdict)"])
      _ = remove(number)
      entry.onExceeded(verdict)
    }
    setTimer(now)
  }

  private func judge(_ entry: inout Entry, _ now: Instant, _ buffer: inout [UInt8]) -> ResourceKill? {
    if entry.handle.hasWork.exchange(false, ordering: .sequentiallyConsistent) { entry.policy.noteWork(at: now) }
    let isWhole = entry.policy.wantsWholeLook(at: now)
    if isWhole, entry.home == nil { entry.home = entry.groups?.folder(of: entry.child.pid) }
    let verdict = entry.policy.judge(entry.figures.sample(isWhole: isWhole, &buffer), at: now)
    plan(&entry, now)
    return verdict
  }

  private func plan(_ entry: inout Entry, _ now: Instant) {
    var pause = entry.policy.pause(at: now)
    let isSlow = pause > ResourcePolicy.alertPause
    entry.handle.isSlow.store(isSlow, ordering: .sequentiallyConsistent)
    // Work that came before the flag was seen by nobody yet.
    if isSlow, entry.handle.hasWork.load(ordering: .sequentiallyConsistent) { pause = ResourcePolicy.alertPause }
    entry.margin = isSlow ? pause / 4 : .zero
    entry.nextLook = now + pause
  }
}
