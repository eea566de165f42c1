internal import Glibc

/// The paths that a jail shows to a program.
struct JailPaths: Equatable {
  /// Readable, with everything below.
  var readable: [String] = []
  /// Single files that may be executed as well.
  var executable: [String] = []

  private static let hidden = ["/proc", "/sys", "/dev"]

  /// Adds what a dynamic program needs: its loader, and the folders of libraries.
  ///
  /// - Parameters:
  ///   - origin: What `$ORIGIN` stands for; nil when there is no such folder.
  ///   - exists: Whether a path is there.
  mutating func add(_ image: ELFImage, origin: String?, resolve: (String) -> String?, exists: (String) -> Bool) {
    guard let loader = image.loader else { return }
    executable.append(loader)
    var folders: [String] = []
    if let real = resolve(loader), let folder = Self.folder(of: real) { folders.append(folder) }
    let triplet = ["/lib/\(Self.triplet)", "/usr/lib/\(Self.triplet)"].filter(exists)
    folders += triplet.isEmpty ? ["/lib64", "/usr/lib64", "/usr/lib"] : triplet
    for path in image.libraryPaths {
      if path.hasPrefix("$ORIGIN") || path.hasPrefix("${ORIGIN}") {
        guard let origin else { continue }
        folders.append(origin + path.drop { $0 != "N" }.dropFirst().drop { $0 == "}" })
      } else {
        folders.append(path)
      }
    }
    // The list of libraries in other folders that an administrator has added.
    folders.append("/etc/ld.so.cache")
    for folder in folders where exists(folder) {
      if let path = Self.normalized(folder), Self.isAllowed(path) { readable.append(path) }
    }
  }

  /// The arguments of the launcher, parents before what is below them.
  var arguments: [String] {
    let marked = Set(readable).map { ($0, "-r") } + Set(executable).map { ($0, "-x") }
    return marked.sorted { $0 < $1 }.flatMap { [$0.1, $0.0] }
  }

  /// Whether a plugin may ask for it: the root and the kernel's folders show more than files.
  static func isAllowed(_ path: String) -> Bool {
    path != "/" && !hidden.contains { path == $0 || path.hasPrefix("\($0)/") }
  }

  /// The absolute path without empty parts, `.` and `..`; nil when it is not absolute.
  static func normalized(_ path: String) -> String? {
    guard path.hasPrefix("/"), !path.utf8.contains(0) else { return nil }
    var parts: [Substring] = []
    for part in path.split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return "/" + parts.joined(separator: "/")
  }

  private static func folder(of path: String) -> String? {
    path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) }
  }

  /// The name of Debian's folders for this machine.
  private static var triplet: String {
    #if arch(arm64)
    "aarch64-linux-gnu"
    #else
    "x86_64-linux-gnu"
    #endif
  }
}

/// Questions to the file system.
enum FileSystem {
  static func exists(_ path: String) -> Bool {
    unsafe access(path, F_OK) == 0
  }

  /// The path without symbolic links, or nil when it leads nowhere.
  static func resolve(_ path: String) -> String? {
    guard let real = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(real) }
    return unsafe String(cString: real)
  }
}
