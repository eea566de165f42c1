import FoundationEssentials
import Glibc

/// What the system says of a process.
enum ProcessFacts {
  /// Targets of its open descriptors by number; nil if it may not be seen.
  static func descriptors(of pid: Int32) -> [String: String]? {
    let folder = "/proc/\(pid)/fd"
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else { return nil }
    var targets: [String: String] = [:]
    for name in names {
      // One that was closed in between is not there any more.
      if let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\(name)") {
        targets[name] = target
      }
    }
    return targets
  }

  /// Its environment as `KEY=value`; nil if it may not be seen.
  static func environment(of pid: Int32) -> [String]? {
    guard let bytes = bytes("/proc/\(pid)/environ") else { return nil }
    return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
  }

  /// Processes that any of its threads started.
  static func children(of pid: Int32) -> [String] {
    guard let threads = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task") else { return [] }
    return threads.flatMap { thread in
      let text = bytes("/proc/\(pid)/task/\(thread)/children").map { String(decoding: $0, as: UTF8.self) } ?? ""
      return text.split(separator: " ").map(String.init)
    }
  }

  /// A file of /proc, which has no size to go by.
  private static func bytes(_ path: String) -> [UInt8]? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var result: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
      guard count > 0 else { return count == 0 ? result : nil }
      result += buffer[..<count]
    }
  }
}
