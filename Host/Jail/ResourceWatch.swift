internal import Dispatch
internal import Glibc
internal import Logging
package import Processes

extension Jail {
  /// Watches what a started program uses, until it has ended or the closure that is returned is called.
  ///
  /// - Parameter onExceeded: Called at most once, on a queue of the watch; it must end the process. Where control groups
  ///   limit memory it may be called just after the end, because the kernel was first.
  package func watch(
    _ child: ChildProcess,
    limits: JailLimits,
    onExceeded: @escaping @Sendable (ResourceKill) -> Void
  ) -> @Sendable () -> Void {
    watch.add(child, limits: limits, groups: groups, onExceeded: onExceeded)
  }
}

/// Looks at all running plugins once a second, while there are any. State belongs to its queue.
final class ResourceWatch: Sendable {
  private static let interval = DispatchTimeInterval.seconds(1)

  /// One process of a plugin and its open files of the kernel, which answer for this process alone.
  private struct Process {
    let memory: OwnedDescriptor
    let times: OwnedDescriptor
  }

  private struct Entry {
    let child: ChildProcess
    let onExceeded: @Sendable (ResourceKill) -> Void
    let groups: ControlGroups?
    var policy: ResourcePolicy
    /// The folder of its control group, once it has entered it.
    var home: String?
    var processes: [Int32: Process] = [:]
  }

  private final class State {
    var entries: [Int: Entry] = [:]
    var next = 0
    var timer: (any DispatchSourceTimer)?
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
    groups: ControlGroups?,
    onExceeded: @escaping @Sendable (ResourceKill) -> Void
  ) -> @Sendable () -> Void {
    let number = queue.sync { () -> Int in
      let state = unsafe self.state
      state.next += 1
      state.entries[state.next] = Entry(
        child: child,
        onExceeded: onExceeded,
        groups: groups,
        policy: ResourcePolicy(limits: limits)
      )
      startTimer()
      return state.next
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
    return { [self] in queue.async { self.remove(number) } }
  }

  @discardableResult
  private func remove(_ number: Int) -> Entry? {
    let state = unsafe self.state
    let entry = state.entries.removeValue(forKey: number)
    if state.entries.isEmpty {
      state.timer?.cancel()
      state.timer = nil
    }
    return entry
  }

  private func startTimer() {
    let state = unsafe self.state
    guard state.timer == nil else { return }
    let timer = DispatchSource.makeTimerSource(queue: queue)
    timer.schedule(deadline: .now() + Self.interval, repeating: Self.interval, leeway: .milliseconds(100))
    timer.setEventHandler { [weak self] in self?.look() }
    timer.resume()
    state.timer = timer
  }

  private func look() {
    let state = unsafe self.state
    let now = ContinuousClock.now
    for (number, var entry) in state.entries {
      let sample = Self.sample(&entry)
      if entry.home == nil { entry.home = entry.groups?.folder(of: entry.child.pid) }
      let verdict = entry.policy.judge(sample, at: now)
      state.entries[number] = entry
      guard let verdict else { continue }
      logger.warning("A plugin uses too much", ["pid": "\(entry.child.pid)", "reason": "\(verdict)"])
      remove(number)
      entry.onExceeded(verdict)
    }
  }

  /// Sums up the child and its own children: in namespaces the plugin is a child of the launcher.
  private static func sample(_ entry: inout Entry) -> ResourceSample {
    let root = entry.child.pid
    let children = SmallFile.read("/proc/\(root)/task/\(root)/children") ?? ""
    let pids = Set([root] + children.split(separator: " ").compactMap { Int32($0) })
    entry.processes = entry.processes.filter { pids.contains($0.key) }
    var sum = ResourceSample(residentBytes: 0, cpu: .zero, threads: 0)
    for pid in pids {
      let process = entry.processes[pid] ?? open(pid)
      guard let process else { continue }
      entry.processes[pid] = process
      guard let memory = process.memory.rawValue.flatMap({ SmallFile.read($0) }),
        let times = process.times.rawValue.flatMap({ SmallFile.read($0) }),
        let one = ResourceSample(statm: memory, stat: times)
      else { continue }
      sum.residentBytes += one.residentBytes
      sum.cpu += one.cpu
      sum.threads = max(sum.threads, one.threads)
    }
    return sum
  }

  private static func open(_ pid: Int32) -> Process? {
    let memory = unsafe Glibc.open("/proc/\(pid)/statm", O_RDONLY | O_CLOEXEC)
    guard memory >= 0 else { return nil }
    let owned = OwnedDescriptor(adopting: memory)
    let times = unsafe Glibc.open("/proc/\(pid)/stat", O_RDONLY | O_CLOEXEC)
    guard times >= 0 else { return nil }
    return Process(memory: owned, times: OwnedDescriptor(adopting: times))
  }
}

extension ResourceSample {
  /// Reads the texts of `/proc/<pid>/statm` and `/proc/<pid>/stat`.
  init?(
    statm: String,
    stat: String,
    pageSize: Int64 = Int64(sysconf(Int32(_SC_PAGESIZE))),
    ticksPerSecond: Int = sysconf(Int32(_SC_CLK_TCK))
  ) {
    let pages = statm.split(separator: " ")
    guard pages.count > 1, let resident = Int64(pages[1]), let end = stat.lastIndex(of: ")") else { return nil }
    // The first field after the name is the third.
    let fields = stat[stat.index(after: end)...].split(separator: " ")
    guard fields.count > 17, let user = Int64(fields[11]), let system = Int64(fields[12]), let threads = Int(fields[17])
    else { return nil }
    let (bytes, overflow) = resident.multipliedReportingOverflow(by: pageSize)
    guard !overflow, ticksPerSecond > 0 else { return nil }
    let ticks = user + system
    self.init(residentBytes: bytes, cpu: .milliseconds(ticks * 1_000 / Int64(ticksPerSecond)), threads: threads)
  }
}
