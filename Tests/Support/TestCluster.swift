internal import FoundationEssentials
internal import Glibc
internal import Migrations
internal import Postgres
internal import Processes
internal import Synchronization

/// The private cluster of the test process, in a folder that goes when the process ends.
enum TestCluster {
  private static let parent = "/tmp"
  private static let prefix = "rostrum-tests-"

  /// Kept for ever: its locks and its server belong to the whole process.
  private static let kept = Mutex<(cluster: PrivateCluster, lock: HomeLock)?>(nil)
  private static let home = Mutex("")

  static func start() async throws -> Configuration {
    removeLeftovers()
    let path = "\(parent)/\(prefix)\(getpid())"
    let lock = try HomeLock(home: path)
    // The server's user must pass through.
    guard unsafe chmod(path, 0o711) == 0 else { throw TestDatabaseError("The folder \(path) cannot be opened") }
    var options = PrivateCluster.Options()
    options.isDurable = false
    let cluster = PrivateCluster(lock: lock, spawner: try Spawner(), options: options)
    let configuration = try await cluster.start()
    kept.withLock { $0 = (cluster, lock) }
    home.withLock { $0 = path }
    atexit(removeOwnFolder)
    return configuration.with(database: "postgres")
  }

  /// Removes the folders of test processes that were killed; a living one holds its lock.
  private static func removeLeftovers() {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? []
    for name in names where name.hasPrefix(prefix) {
      let path = "\(parent)/\(name)"
      // One that is just starting may have made its folder and not yet its lock.
      if let pid = Int32(name.dropFirst(prefix.count)), kill(pid, 0) == 0 || errno == EPERM { continue }
      guard let lock = try? HomeLock(home: path) else { continue }
      // What cannot be removed now is tried again by the next run.
      try? FileManager.default.removeItem(atPath: path)
      lock.release()
    }
  }

  /// Stops the server at once, since nothing in it is worth keeping, and removes its folder.
  fileprivate static func remove() {
    let path = home.withLock { $0 }
    let file = FileManager.default.contents(atPath: path + "/postgres/data/postmaster.pid")
    let text = file.map { String(decoding: $0, as: UTF8.self) } ?? ""
    if let pid = text.split(separator: "\n").first.flatMap({ Int32($0) }), pid > 1 {
      _ = kill(pid, SIGQUIT)
    }
    // The process is ending; whoever runs tests next removes what is left.
    try? FileManager.default.removeItem(atPath: path)
  }
}

/// Called by the C library when the process exits.
private func removeOwnFolder() {
  TestCluster.remove()
}
