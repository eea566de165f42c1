internal import Glibc

/// Blocking work on folders.
enum Folders {
  static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  static func exists(_ path: String) -> Bool {
    var status = stat()
    return unsafe lstat(path, &status) == 0
  }

  static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return unsafe lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Seconds since the last change; 0 when there is nothing.
  static func age(of path: String) -> Int {
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else { return 0 }
    return time(nil) - status.st_mtim.tv_sec
  }

  /// Makes the folder and those above it that are missing.
  static func make(_ path: String, mode: mode_t = 0o755) throws(StoreError) {
    if unsafe mkdir(path, mode) == 0 || errno == EEXIST { return }
    guard errno == ENOENT, path != "/", path != "." else {
      throw StoreError(.io, "The folder \(path) can not be made: \(reason(errno))")
    }
    try make(parent(of: path), mode: mode)
    guard unsafe mkdir(path, mode) == 0 || errno == EEXIST else {
      throw StoreError(.io, "The folder \(path) can not be made: \(reason(errno))")
    }
  }

  /// The names in a folder, sorted, without `.` and `..`.
  static func names(in path: String) throws(StoreError) -> [String] {
    guard let folder = unsafe opendir(path) else {
      throw StoreError(.io, "The folder \(path) can not be read: \(reason(errno))")
    }
    defer { unsafe closedir(folder) }
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Makes the names in a folder durable; a file system that can not do it for folders does it by itself.
  static func sync(_ path: String) {
    let opened = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0 else { return }
    _ = fsync(opened)
    close(opened)
  }

  /// Removes a file or a folder with everything in it; links are removed, never followed.
  static func remove(_ path: String) throws(StoreError) {
    guard isFolder(path) else {
      guard unsafe unlink(path) == 0 || errno == ENOENT else {
        throw StoreError(.io, "\(path) can not be removed: \(reason(errno))")
      }
      return
    }
    // Folders of the store are read-only.
    _ = unsafe chmod(path, 0o700)
    for name in try names(in: path) { try remove("\(path)/\(name)") }
    guard unsafe rmdir(path) == 0 || errno == ENOENT else {
      throw StoreError(.io, "\(path) can not be removed: \(reason(errno))")
    }
  }
}
