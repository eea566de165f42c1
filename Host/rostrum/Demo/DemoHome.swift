import FoundationEssentials
import Glibc
import Migrations
import PluginStore
import Processes

/// The folder that a demo works in.
enum DemoHome {
  /// Says that a folder was made by a demo, so that a later one may empty it.
  private static let marker = "demo-home"

  /// Makes the folder. One of an earlier demo is emptied, because the sandbox has forgotten its accounts.
  ///
  /// - Throws: ``CommandError`` when something else is in the folder, or a demo runs in it.
  static func prepare(_ path: String) throws {
    let files = FileManager.default
    if files.fileExists(atPath: path) {
      let names = try files.contentsOfDirectory(atPath: path)
      guard names.isEmpty || names.contains(marker) else {
        throw CommandError(.usage, "\(path) holds something else than a demo; set ROSTRUM_HOME to a new folder")
      }
      if !names.isEmpty {
        let lock = try HomeLock(home: path)
        try removeOutsideDatabase(of: path)
        // The folders of installed plugins are read-only, so they are not removed as any other.
        if names.contains("plugins") { try StoreFolder.erase("\(path)/plugins") }
        for name in names where ![marker, "lock", "plugins"].contains(name) {
          try files.removeItem(atPath: "\(path)/\(name)")
        }
        lock.release()
      }
    } else {
      try files.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    try write("This folder belongs to `rostrum demo`, which empties it at each start.\n", to: "\(path)/\(marker)")
  }

  /// For root the database may lie outside the home; the home then says where.
  private static func removeOutsideDatabase(of home: String) throws {
    let record = FileManager.default.contents(atPath: home + "/postgres.place").map {
      String(decoding: $0, as: UTF8.self)
    }
    guard let place = record?.split(separator: "\n").first, place.hasPrefix("/var/lib/rostrum/"), !place.contains("..")
    else { return }
    if FileManager.default.fileExists(atPath: String(place)) {
      try FileManager.default.removeItem(atPath: String(place))
    }
  }

  /// Writes a file that only its owner can read.
  static func write(_ text: String, to path: String) throws {
    let opened = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard opened >= 0 else { throw CommandError(.failure, "\(path) can not be written (error \(errno))") }
    let descriptor = OwnedDescriptor(adopting: opened)
    let bytes = Array(text.utf8)
    guard descriptor.write(bytes) == bytes.count else {
      throw CommandError(.failure, "\(path) can not be written (error \(errno))")
    }
    descriptor.close()
  }

  /// A port of the loopback address that is free now: the wanted one or one of the next.
  static func freePort(from first: UInt16) throws(CommandError) -> UInt16 {
    for port in first..<min(first + 50, UInt16.max) where isFree(port) { return port }
    throw CommandError(.failure, "The ports \(first) to \(first + 49) are taken; set ROSTRUM_LISTEN")
  }

  private static func isFree(_ port: UInt16) -> Bool {
    let opened = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard opened >= 0 else { return false }
    let descriptor = OwnedDescriptor(adopting: opened)
    defer { descriptor.close() }
    var reuse: Int32 = 1
    _ = unsafe setsockopt(opened, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        unsafe bind(opened, pointer, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }
}
