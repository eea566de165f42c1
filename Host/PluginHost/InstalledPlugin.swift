package import PluginManifest

/// A plugin that is ready to be started: its checked manifest and its executable.
package struct InstalledPlugin: Sendable, Equatable {
  package let manifest: PluginManifest
  /// Absolute path of the executable.
  package let executable: String

  package init(manifest: PluginManifest, executable: String) {
    self.manifest = manifest
    self.executable = executable
  }
}
