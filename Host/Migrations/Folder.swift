internal import FoundationEssentials
internal import Glibc
internal import Processes

/// Folders with exact owners and rights.
enum Folder {
  /// Makes the folder and those above it; an existing one must be a folder and stays as it is.
  static func make(_ path: String, mode: UInt32) throws(ClusterError) {
    if isFolder(path) { return }
    if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
      try make(String(path[..<slash]), mode: 0o755)
    }
    guard unsafe mkdir(path, mode) == 0 || errno == EEXIST else {
      throw ClusterError(.folder, "The folder \(path) cannot be made: \(reason(errno))")
    }
    guard isFolder(path) else { throw ClusterError(.folder, "\(path) is not a folder") }
  }

  /// Makes a folder that only its owner can enter, or checks that an existing one is such a folder.
  ///
  /// Refuses links and folders of others, so that nobody can prepare one in a shared place.
  static func makePrivate(_ path: String, owner: SpawnRequest.User?) throws(ClusterError) {
    if unsafe mkdir(path, 0o700) == 0 {
      if let owner, unsafe chown(path, owner.uid, owner.gid) != 0 {
        throw ClusterError(.folder, "The folder \(path) cannot be given to user \(owner.uid): \(reason(errno))")
      }
    } else if errno != EEXIST {
      throw ClusterError(.folder, "The folder \(path) cannot be made: \(reason(errno))")
    }
    var status = stat()
    guard unsafe lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw ClusterError(.folder, "\(path) is not a folder")
    }
    let expected = owner?.uid ?? geteuid()
    guard status.st_uid == expected, status.st_mode & 0o077 == 0 else {
      throw ClusterError(.folder, "\(path) must belong to user \(expected) alone (mode 0700); remove it or change it")
    }
  }

  static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  static func exists(_ path: String) -> Bool {
    unsafe access(path, F_OK) == 0
  }

  /// Whether the user may pass through every folder up to the path, which exists.
  static func isReachable(_ path: String, for user: SpawnRequest.User) -> Bool {
    var prefix = ""
    for part in path.split(separator: "/") {
      prefix += "/" + part
      var status = stat()
      guard unsafe stat(prefix, &status) == 0 else { return false }
      let bit: mode_t = status.st_uid == user.uid ? 0o100 : status.st_gid == user.gid ? 0o010 : 0o001
      guard status.st_mode & bit != 0 else { return false }
    }
    return true
  }

  /// Replaces a file's content in one step.
  static func write(_ text: String, to path: String, owner: SpawnRequest.User?) throws(ClusterError) {
    let bytes = [UInt8](text.utf8)
    if let old = FileManager.default.contents(atPath: path), [UInt8](old) == bytes { return }
    let temporary = path + ".new"
    // A file of an interrupted run is in the way of O_EXCL; nobody else writes in these folders.
    _ = unsafe unlink(temporary)
    let opened = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard opened >= 0 else { throw ClusterError(.folder, "\(path) cannot be written: \(reason(errno))") }
    let descriptor = OwnedDescriptor(adopting: opened)
    guard descriptor.write(bytes) == bytes.count, fsync(opened) == 0,
      owner.map({ fchown(opened, $0.uid, $0.gid) == 0 }) ?? true,
      unsafe rename(temporary, path) == 0
    else { throw ClusterError(.folder, "\(path) cannot be written: \(reason(errno))") }
  }

  /// Removes a folder with everything in it.
  static func remove(_ path: String) throws(ClusterError) {
    do {
      try FileManager.default.removeItem(atPath: path)
    } catch {
      throw ClusterError(.folder, "\(path) cannot be removed: \(error)")
    }
  }

  static func read(_ path: String) -> String? {
    FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
  }

  static func reason(_ code: Int32) -> String {
    guard let text = unsafe strerror(code) else { return "error \(code)" }
    return unsafe String(cString: text)
  }
}
