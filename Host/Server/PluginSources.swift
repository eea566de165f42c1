internal import FoundationEssentials
internal import Glibc
package import PluginManifest

/// The plugins that came with the host: the manifests of a folder, each with its program in another one.
package struct PluginSources: Sendable {
  /// Sorted by id.
  package let manifests: [PluginManifest]
  /// Manifests that can not be used.
  package let problems: [ManifestStore.FileProblem]
  private let manifestFolder: String
  private let programFolder: String

  /// Reads the manifests; blocking.
  ///
  /// - Throws: ``StartError`` when the folder can not be read.
  package init(_ configuration: HostConfiguration) throws {
    (manifestFolder, programFolder) = (configuration.manifests, configuration.plugins)
    let store: ManifestStore
    do {
      store = try ManifestStore.load(directory: manifestFolder)
    } catch {
      throw StartError("The folder of manifests \(manifestFolder) can not be read: \(error)")
    }
    (manifests, problems) = (store.manifests, store.problems)
  }

  /// Path of a plugin's source manifest.
  package func manifestPath(_ manifest: PluginManifest) -> String { "\(manifestFolder)/\(manifest.id).json" }

  /// Path of a plugin's program.
  package func program(of manifest: PluginManifest) -> String { "\(programFolder)/\(manifest.executable)" }

  /// Whether the plugin's program is there.
  package func hasProgram(_ manifest: PluginManifest) -> Bool {
    let path = program(of: manifest)
    return unsafe access(path, R_OK) == 0 && !Installation.isFolder(path)
  }
}
