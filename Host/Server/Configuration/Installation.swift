internal import FoundationEssentials

/// Finds what belongs to the program: beside it, in `../share/rostrum`, or in the repository that it was built in.
package struct Installation: Sendable {
  /// The folder of the running program.
  package let directory: String

  package init(directory: String) {
    self.directory = directory
  }

  /// The installation of this very process.
  package static var current: Installation {
    // Without `/proc` there is nothing to find; then the operator sets the folders.
    let path = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return Installation(directory: path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ".")
  }

  /// The nearest folder of that name, or nil.
  package func folder(_ name: String) -> String? {
    let near = ["\(directory)/\(name)", "\(directory)/../share/rostrum/\(name)"]
    if let found = near.first(where: Self.isFolder) { return found }
    var parent = directory[...]
    while let slash = parent.lastIndex(of: "/") {
      parent = parent[..<slash]
      let path = "\(parent)/\(name)"
      // A folder of that name alone may be anything; the package file says that it is this project's.
      if Self.isFolder(path), FileManager.default.fileExists(atPath: "\(parent)/Package.swift") { return path }
    }
    return nil
  }

  static func isFolder(_ path: String) -> Bool {
    var isDirectory = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory
  }
}
