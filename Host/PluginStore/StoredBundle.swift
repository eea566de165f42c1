package import FoundationEssentials
package import PluginManifest

/// A bundle in the database, without its files.
package struct StoredBundle: Sendable {
  package let manifest: SignedManifest
  /// Bytes of the bundle's file.
  package let bytes: Int64
  /// File, folder or address it came from.
  package let source: String
  package let isFirstParty: Bool
  /// Who approved what it asks for; nil while nobody has.
  package let approvedBy: String?
  package let approvedAt: Date?
  package let createdAt: Date

  package var id: String { manifest.manifest.id }
  package var version: SemanticVersion { manifest.manifest.version }
  package var digest: String { manifest.digest }
}
