internal import Glibc
internal import Logging

/// Notes of running plugins on disk, so that a host that was cut off can be cleaned up after.
///
/// A note names the process, when it was started and in which life of the machine: numbers of processes come again.
struct RunRecords: Sendable {
  private let directory: String
  private let logger: Logger

  init(directory: String, logger: Logger) {
    self.directory = directory
    self.logger = logger
  }

  func note(_ pid: Int32) {
    guard let identity = Self.identity(of: pid) else { return }
    let code = SmallFile.write("\(identity)\n", to: "\(directory)/\(pid)", flags: O_CREAT | O_TRUNC)
    if code != 0 {
      logger.warning("A running plugin can not be noted", ["directory": "\(directory)", "errno": .int(Int(code))])
    }
  }

  func forget(_ pid: Int32) {
    unsafe unlink("\(directory)/\(pid)")
  }

  /// Kills the processes that are noted and still the same, with their groups; makes the folder when it is missing.
  func killLeftovers() {
    unsafe mkdir(directory, 0o700)
    for name in SmallFile.names(in: directory) {
      guard let pid = Int32(name), pid > 1 else { continue }
      let noted = SmallFile.read("\(directory)/\(name)")?.split(separator: "\n").first.map(String.init)
      if let noted, noted == Self.identity(of: pid) {
        _ = kill(-pid, SIGKILL)
        _ = kill(pid, SIGKILL)
        logger.warning("A plugin of an earlier host was still running and is killed", ["pid": .int(Int(pid))])
      }
      forget(pid)
    }
  }

  private static func identity(of pid: Int32) -> String? {
    guard let stat = SmallFile.read("/proc/\(pid)/stat"), let end = stat.lastIndex(of: ")"),
      let life = SmallFile.read("/proc/sys/kernel/random/boot_id")?.split(separator: "\n").first
    else { return nil }
    let fields = stat[stat.index(after: end)...].split(separator: " ")
    return fields.count > 19 ? "\(fields[19]) \(life)" : nil
  }
}
