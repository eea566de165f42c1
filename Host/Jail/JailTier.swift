/// How much holds a plugin back. A tier counts only after a probe has tried to escape from it and failed.
package enum JailTier: String, Sendable, CaseIterable, Comparable, CustomStringConvertible {
  /// Namespaces, Landlock and a filter of system calls: no network device, no file of the host, no process to see.
  case a
  /// Landlock and a filter of system calls: no right is needed for it. Names of files can be asked for.
  case b
  /// Limits, and the filter where the kernel has one. Plugins can read files; for trusted plugins only.
  case c

  package var description: String { rawValue.uppercased() }

  /// Whether plugins of other publishers may run in it without being allowed expressly.
  package var holdsStrangers: Bool { self != .c }

  /// A lower tier holds less.
  package static func < (left: JailTier, right: JailTier) -> Bool {
    left.rawValue > right.rawValue
  }
}
