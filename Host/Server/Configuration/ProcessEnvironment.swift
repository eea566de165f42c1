internal import FoundationEssentials
internal import Glibc

/// The environment of this process.
package enum ProcessEnvironment {
  /// Reads all variables, then wipes the secret ones from the process, so that neither a child nor a look into
  /// `/proc` shows them.
  ///
  /// Call it once, before other threads start: the C library's environment is not made for concurrent changes.
  package static func take() -> [String: String] {
    let variables = ProcessInfo.processInfo.environment
    for setting in Setting.allCases where setting.isSecret {
      wipe(setting.rawValue)
    }
    // Secrets of platforms; their names are the manifests', which are not read yet.
    for name in variables.keys where name.hasSuffix("_SECRET") { wipe(name) }
    return variables
  }

  /// Overwrites the value where the kernel put it, which `unsetenv` alone does not do.
  private static func wipe(_ name: String) {
    guard let value = unsafe getenv(name) else { return }
    unsafe explicit_bzero(value, strlen(value))
    unsafe unsetenv(name)
  }
}
