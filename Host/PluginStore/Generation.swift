package import FoundationEssentials
internal import PluginManifest

/// A whole set of versions, as every host runs it.
package struct Generation: Sendable {
  package let number: Int64
  package let reason: String
  package let madeBy: String
  package let madeAt: Date
  /// Sorted by the id of the plugin.
  package let bundles: [StoredBundle]

  package func bundle(of plugin: String) -> StoredBundle? {
    bundles.first { $0.id == plugin } ?? bundles.first { $0.manifest.manifest.aliases.contains(plugin) }
  }
}
