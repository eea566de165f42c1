package import PluginManifest

/// What became of a bundle that was to be installed.
package enum InstallOutcome: Sendable {
  /// It runs, or will within moments, on every host.
  case installed(StoredBundle, previous: SemanticVersion?, generation: Int64)
  /// It was the current version already.
  case unchanged(StoredBundle)
  /// It waits until somebody approves what it asks for.
  case waiting(StoredBundle, Approval)
}
