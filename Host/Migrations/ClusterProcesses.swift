internal import FoundationEssentials
internal import Glibc

/// Finds and ends the processes of a server by its data folder.
///
/// Each process of PostgreSQL leads a session of its own, so its group says nothing. But all run the same program, and
/// all have the data folder as their working directory.
struct ClusterProcesses {
  let data: String

  /// The living processes of the server, and of an `initdb` that works for the same folder.
  func find() -> [Int32] {
    var folder = stat()
    guard unsafe stat(data, &folder) == 0 else { return [] }
    // Without `/proc` there is nothing to look at, and the lock file of PostgreSQL itself still protects the data.
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap(Int32.init).filter { pid in
      guard Self.programName(of: pid) == "postgres" else { return false }
      var working = stat()
      guard unsafe stat("/proc/\(pid)/cwd", &working) == 0 else { return false }
      return working.st_dev == folder.st_dev && working.st_ino == folder.st_ino
    }
  }

  /// The first process of the server by its `postmaster.pid`, when it really is one of this data folder.
  func postmaster() -> Int32? {
    guard let text = Folder.read(data + "/postmaster.pid"),
      let pid = text.split(separator: "\n").first.flatMap({ Int32($0) }), pid > 1
    else { return nil }
    return find().contains(pid) ? pid : nil
  }

  /// Removes the note of a server that is gone.
  ///
  /// PostgreSQL refuses to start while the process that the note names exists. But that may be a zombie, whose new
  /// parent has not noticed its end yet, or after a reboot another program under the same number. The caller holds the
  /// lock of the home; that none of the server's processes is left is looked at here.
  func removeStaleNote() {
    let note = data + "/postmaster.pid"
    guard Folder.exists(note), find().isEmpty else { return }
    // What can not be removed is left to PostgreSQL's own judgement.
    _ = unsafe unlink(note)
  }

  /// Ends whatever a dead host or a dead server left behind; returns how many processes there were.
  ///
  /// A whole server is asked to stop first, which spares it the recovery.
  func endAll(grace: Duration) async -> Int {
    let found = find()
    guard !found.isEmpty else { return 0 }
    if let postmaster = postmaster() {
      for signal in [SIGINT, SIGQUIT] {
        _ = kill(postmaster, signal)
        if await waitForEnd(within: grace) { return found.count }
      }
    }
    while true {
      for pid in find() {
        _ = kill(pid, SIGKILL)
      }
      if await waitForEnd(within: .seconds(1)) { return found.count }
    }
  }

  private func waitForEnd(within limit: Duration) async -> Bool {
    let deadline = ContinuousClock.now + limit
    var pause = Duration.milliseconds(2)
    while !find().isEmpty {
      guard ContinuousClock.now < deadline else { return false }
      // They are not our children, so there is no end to wait for. Cancelled: looking again at once is right.
      try? await Task.sleep(for: pause)
      pause = min(pause * 2, .milliseconds(50))
    }
    return true
  }

  private static func programName(of pid: Int32) -> String? {
    var buffer = [CChar](repeating: 0, count: 4_096)
    let count = unsafe readlink("/proc/\(pid)/exe", &buffer, buffer.count)
    guard count > 0 else { return nil }
    let path = String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
    // A server whose package was upgraded meanwhile runs a deleted file.
    let name = path.split(separator: "/").last.map(String.init) ?? ""
    return name.hasSuffix(" (deleted)") ? String(name.dropLast(10)) : name
  }
}
