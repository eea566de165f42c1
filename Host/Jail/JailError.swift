/// Why a program can not be put into a jail.
package enum JailError: Error, Equatable, CustomStringConvertible {
  /// The launcher does not work here at all.
  case unavailable(String)
  /// The descriptor of the program is closed or can not be read.
  case unreadable(program: String, reason: String)
  /// The file is no program that this machine can execute.
  case notExecutable(program: String, reason: String)
  /// A path that no plugin may read, or that is not absolute.
  case pathRefused(String)

  package var description: String {
    switch self {
    case .unavailable(let reason): "Plugins can not be started: \(reason)"
    case .unreadable(let program, let reason): "The program \(program) can not be read: \(reason)"
    case .notExecutable(let program, let reason): "\(program) can not be executed: \(reason)"
    case .pathRefused(let path):
      "No plugin may read \(path); name an absolute path below the root, outside /proc, /sys and /dev"
    }
  }
}
