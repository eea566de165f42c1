internal import FoundationEssentials
internal import Glibc

/// The processes of the machine at one moment, as `/proc` shows them.
package struct ProcessTable: Sendable {
  package struct Entry: Sendable, Equatable {
    package let pid: Int32
    package let parent: Int32
    package let group: Int32
    package let session: Int32
  }

  package let entries: [Entry]

  package init(entries: [Entry]) {
    self.entries = entries
  }

  /// Reads `/proc`. Processes that end meanwhile are left out. Blocks for about a millisecond.
  package static func read() -> ProcessTable {
    var entries: [Entry] = []
    guard let directory = unsafe opendir("/proc") else { return ProcessTable(entries: []) }
    defer { unsafe closedir(directory) }
    while let item = unsafe readdir(directory) {
      let name = unsafe withUnsafeBytes(of: &item.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      guard let pid = Int32(name), let line = readLine(of: pid), let entry = Entry(pid: pid, stat: line) else {
        continue
      }
      entries.append(entry)
    }
    return ProcessTable(entries: entries)
  }

  /// The members of a session, with its leader.
  package func session(_ session: Int32) -> Set<Int32> {
    Set(entries.filter { $0.session == session }.map(\.pid))
  }

  /// The children of a process and their children, without the process.
  package func descendants(of pid: Int32) -> Set<Int32> {
    let children = Dictionary(grouping: entries, by: \.parent)
    var found: Set<Int32> = []
    var open = [pid]
    while let next = open.popLast() {
      for child in children[next] ?? [] where found.insert(child.pid).inserted {
        open.append(child.pid)
      }
    }
    return found
  }

  private static func readLine(of pid: Int32) -> String? {
    let descriptor = unsafe open("/proc/\(pid)/stat", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { _ = close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 1_024)
    let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
    return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
  }
}

extension ProcessTable.Entry {
  /// Reads a line of `/proc/<pid>/stat`. The name in parentheses may hold spaces and parentheses itself.
  package init?(pid: Int32, stat line: String) {
    guard let end = line.lastIndex(of: ")") else { return nil }
    let fields = line[line.index(after: end)...].split(separator: " ", maxSplits: 5)
    guard fields.count > 4, let parent = Int32(fields[1]), let group = Int32(fields[2]), let session = Int32(fields[3])
    else { return nil }
    self.init(pid: pid, parent: parent, group: group, session: session)
  }
}
