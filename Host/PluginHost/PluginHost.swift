package import JSONText
package import Logging
package import PluginManifest
package import Processes
internal import ServiceTree

/// Runs the installed plugins and carries calls to them.
///
/// A plugin's process is started by the first call that needs it and kept until the host stops. A process that ends is
/// started again by the next call, after a back-off.
package final class PluginHost: Service {
  package let name = "plugins"
  private let supervisors: [String: PluginSupervisor]
  private let byName: [String: PluginSupervisor]

  /// - Parameters:
  ///   - plugins: Their ids and aliases must be unique; of two equal ones the first counts.
  ///   - hostVersion: Told to the plugins.
  package init(
    plugins: [InstalledPlugin],
    spawner: Spawner,
    logger: Logger,
    hostVersion: String = "0.1.0"
  ) {
    let numbers = CallNumbers()
    var supervisors: [String: PluginSupervisor] = [:]
    var byName: [String: PluginSupervisor] = [:]
    for plugin in plugins where supervisors[plugin.manifest.id] == nil {
      let supervisor = PluginSupervisor(
        plugin: plugin,
        hostVersion: hostVersion,
        spawner: spawner,
        logger: logger,
        numbers: numbers
      )
      supervisors[plugin.manifest.id] = supervisor
      for name in [plugin.manifest.id] + plugin.manifest.aliases where byName[name] == nil {
        byName[name] = supervisor
      }
    }
    self.supervisors = supervisors
    self.byName = byName
  }

  /// The manifests of the installed plugins, sorted by id.
  package var manifests: [PluginManifest] {
    supervisors.values.map(\.plugin.manifest).sorted { $0.id < $1.id }
  }

  /// Finds a plugin by id or alias.
  package func manifest(for platform: String) -> PluginManifest? {
    byName[platform]?.plugin.manifest
  }

  /// Starts a call, and the plugin when it does not run.
  ///
  /// On a running plugin this does not suspend. A start is waited for; so is a back-off of a few seconds.
  ///
  /// - Parameters:
  ///   - id: The plugin's id or alias.
  ///   - params: An object without the member `_meta`, which the host adds.
  ///   - attempt: The number of this attempt, from 1.
  ///   - deadline: When the call is given up, counted from now. The plugin then has two seconds to answer.
  package func begin(
    _ method: String,
    plugin id: String,
    params: RawJSON,
    attempt: Int = 1,
    deadline: Duration
  ) async throws(PluginFailure) -> PluginCall {
    guard let supervisor = byName[id] else { throw .notInstalled(id) }
    return try await supervisor.begin(method, params: params, attempt: attempt, deadline: deadline)
  }

  /// What each plugin is doing, sorted by id.
  package func status() -> [PluginStatus] {
    supervisors.values.map { $0.status() }.sorted { $0.id < $1.id }
  }

  /// Waits for the shutdown and ends the plugins: end of input, then TERM, then KILL.
  package func run() async throws {
    await Shutdown.current.requested()
    for supervisor in supervisors.values {
      supervisor.shutdown()
    }
    for supervisor in supervisors.values {
      await supervisor.closed()
    }
  }
}
