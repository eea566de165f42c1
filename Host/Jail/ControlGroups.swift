internal import Glibc
internal import Logging
internal import Processes
internal import Synchronization

/// Control groups of version 2 that this host may make: the kernel then holds plugins to their limits by itself.
final class ControlGroups: Sendable {
  /// Why there are none.
  struct Missing: Error, Equatable {
    let reason: String
  }

  /// The folder in which groups of plugins are made.
  let path: String
  /// The number of the last group, and the groups that were made and may still be there.
  private let made = Mutex<(last: Int, groups: [(folder: String, at: ContinuousClock.Instant)])>((0, []))
  /// A launcher has entered its group by then.
  private static let timeToEnter = Duration.seconds(60)

  private static let mount = "/sys/fs/cgroup"
  private static let controllers = ["cpu", "memory", "pids"]

  private init(path: String) {
    self.path = path
  }

  /// Looks whether this process may divide its own group, and does so: its own processes move one level down, because
  /// a group with members can not be divided.
  static func find() -> Result<ControlGroups, Missing> {
    let own = (SmallFile.read("/proc/self/cgroup") ?? "").split(separator: "\n").first { $0.hasPrefix("0::") }
    guard let own else { return .failure(Missing(reason: "the kernel has no control groups of version 2")) }
    return divide("\(mount)\(own.dropFirst(3))")
  }

  static func divide(_ folder: String) -> Result<ControlGroups, Missing> {
    let path = folder.hasSuffix("/") ? String(folder.dropLast()) : folder
    let offered = (SmallFile.read("\(path)/cgroup.controllers") ?? "").split(whereSeparator: \.isWhitespace).map(
      String.init
    )
    let missing = controllers.filter { !offered.contains($0) }
    guard missing.isEmpty else {
      return .failure(
        Missing(reason: "no control group with \(missing.joined(separator: ", ")) is delegated to this host")
      )
    }
    let host = "\(path)/host"
    guard unsafe mkdir(host, 0o755) == 0 || errno == EEXIST else {
      return .failure(Missing(reason: "\(path) is not delegated to this host: \(SystemError.text(of: errno))"))
    }
    for pid in (SmallFile.read("\(path)/cgroup.procs") ?? "").split(separator: "\n") {
      let code = SmallFile.write(String(pid), to: "\(host)/cgroup.procs")
      // A process that has ended meanwhile needs no move.
      guard code == 0 || code == ESRCH else {
        return .failure(Missing(reason: "process \(pid) can not be moved to \(host): \(SystemError.text(of: code))"))
      }
    }
    let code = SmallFile.write(
      controllers.map { "+\($0)" }.joined(separator: " "),
      to: "\(path)/cgroup.subtree_control"
    )
    guard code == 0 else {
      return .failure(Missing(reason: "\(path) can not be divided: \(SystemError.text(of: code))"))
    }
    return .success(ControlGroups(path: path))
  }

  /// What a group of a plugin is told, as file and text.
  static func settings(_ limits: JailLimits) -> [(file: String, text: String)] {
    let period = 100_000
    let quota = max(1_000, Int(min(max(limits.cpu, 0.01), 1_000) * Double(period)))
    return [
      ("memory.max", "\(Int64(max(limits.memoryMiB, 1)) << 20)"),
      ("memory.swap.max", "0"),
      ("memory.oom.group", "1"),
      // Two more for the launcher and the first process of the namespace.
      ("pids.max", "\(min(max(limits.threads, 1), 65_536) + 2)"),
      ("cpu.max", "\(quota) \(period)"),
    ]
  }

  /// Makes a group for one start of a program.
  ///
  /// - Returns: The file by which the launcher enters it; nil, with a warning, when the kernel refuses.
  func group(for program: JailedProgram, logger: Logger) -> OwnedDescriptor? {
    let folder = made.withLock { made in
      let now = ContinuousClock.now
      // Groups of programs that have ended; the kernel keeps those with members.
      made.groups.removeAll { unsafe $0.at.duration(to: now) > Self.timeToEnter && rmdir($0.folder) == 0 }
      made.last += 1
      let folder = "\(path)/plugin-\(getpid())-\(made.last)"
      made.groups.append((folder, now))
      return folder
    }
    guard unsafe mkdir(folder, 0o755) == 0 else {
      logger.warning("A control group can not be made", ["folder": "\(folder)", "errno": .int(Int(errno))])
      return nil
    }
    for setting in Self.settings(program.limits) {
      let code = SmallFile.write(setting.text, to: "\(folder)/\(setting.file)")
      // Without swap there is no such file.
      if code != 0, setting.file != "memory.swap.max" {
        logger.warning("A limit can not be set", ["file": "\(folder)/\(setting.file)", "errno": .int(Int(code))])
      }
    }
    let members = unsafe open("\(folder)/cgroup.procs", O_WRONLY | O_CLOEXEC)
    guard members >= 0 else { return nil }
    return OwnedDescriptor(adopting: members)
  }

  /// The folder of a plugin's group, once it has entered it.
  func folder(of pid: Int32) -> String? {
    let line = (SmallFile.read("/proc/\(pid)/cgroup") ?? "").split(separator: "\n").first { $0.hasPrefix("0::") }
    guard let line, line.contains("/plugin-") else { return nil }
    return "\(Self.mount)\(line.dropFirst(3))"
  }

  /// How often the kernel killed for want of memory.
  static func memoryKills(in folder: String) -> Int {
    (SmallFile.read("\(folder)/memory.events") ?? "").split(separator: "\n").compactMap { line -> Int? in
      line.hasPrefix("oom_kill ") ? Int(line.dropFirst(9)) : nil
    }.first ?? 0
  }

  /// Kills what is left in a group and removes it.
  static func remove(_ folder: String) {
    _ = SmallFile.write("1", to: "\(folder)/cgroup.kill")
    unsafe rmdir(folder)
  }
}
