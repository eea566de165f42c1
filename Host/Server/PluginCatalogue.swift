internal import FoundationEssentials
internal import Glibc
internal import Logging
package import PluginHost
package import PluginManifest

/// The installed plugins: the manifests of a folder, each with its executable.
package struct PluginCatalogue: Sendable {
  package let plugins: [InstalledPlugin]
  /// Manifests that can not be used.
  package let problems: [ManifestStore.FileProblem]

  /// Reads the manifests; blocking.
  ///
  /// - Throws: ``StartError`` when the folder can not be read.
  package init(_ configuration: HostConfiguration) throws {
    let store: ManifestStore
    do {
      store = try ManifestStore.load(directory: configuration.manifests)
    } catch {
      throw StartError("The folder of manifests \(configuration.manifests) can not be read: \(error)")
    }
    problems = store.problems
    plugins = store.manifests.map { manifest in
      InstalledPlugin(manifest: manifest, executable: "\(configuration.plugins)/\(manifest.executable)")
    }
  }

  /// Whether the plugin's program is there and may be run.
  package static func isExecutable(_ plugin: InstalledPlugin) -> Bool {
    unsafe access(plugin.executable, X_OK) == 0 && !Installation.isFolder(plugin.executable)
  }

  /// Says what is wrong. A plugin without its program stays known, so that its deliveries wait instead of failing.
  func report(_ logger: Logger) {
    for problem in problems {
      logger.error("A plugin's manifest can not be used", ["problem": "\(problem)"])
    }
    for plugin in plugins where !Self.isExecutable(plugin) {
      logger.error(
        "A plugin's program is missing; its deliveries wait",
        ["plugin": "\(plugin.manifest.id)", "executable": "\(plugin.executable)"]
      )
    }
  }
}
