package import JSONText
package import Logging
package import PluginManifest
package import Processes
internal import ServiceTree
internal import Synchronization

/// Runs the installed plugins and carries calls to them.
///
/// A plugin's process is started by the first call that needs it and stopped when nobody used it for a while. A process
/// that ends is started again by the next call, after a back-off.
package final class PluginHost: Service {
  private struct State {
    var plugins: [String: PluginVersions] = [:]
    var names: [String: String] = [:]
    /// Plugins that were taken away and still end their calls.
    var leaving: [PluginVersions] = []
    var isClosing = false
  }

  /// How long a new version is watched after it has taken over.
  package static let watchTime = Rollout.watch

  package let name = "plugins"
  /// What happens to the plugins, for one consumer; the oldest are dropped when nobody takes them.
  package let events: AsyncStream<PluginEvent>
  private let sink: AsyncStream<PluginEvent>.Continuation
  private let tools: PluginSupervisor.Tools
  private let state = Mutex(State())

  /// - Parameters:
  ///   - plugins: As for ``apply(_:)``.
  ///   - hostVersion: Told to the plugins.
  package init(
    plugins: [InstalledPlugin] = [],
    spawner: Spawner,
    logger: Logger,
    hostVersion: String = "0.1.0"
  ) {
    (events, sink) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1_024))
    tools = PluginSupervisor.Tools(
      spawner: spawner,
      logger: logger,
      hostVersion: hostVersion,
      numbers: CallNumbers()
    )
    _ = offer(plugins)
  }

  /// What became of one plugin of a list that was applied.
  package struct Change: Sendable, Equatable {
    package let id: String
    /// The version that new calls go to now; nil when the plugin was taken away.
    package let version: String?
    package let digest: String?
    /// Why the listed version was not taken into use; nil when it was.
    package let problem: String?
  }

  /// Makes the list the installed plugins: adds, takes away, and replaces versions while calls run.
  ///
  /// Of several versions of one plugin the first is the one for new calls; the others are there for deliveries that
  /// began on them. A new version is started beside the old one and tested; then new calls go to it, the old one ends
  /// what it has, and the new one is watched for ten minutes. Ids and aliases must be unique; of two equal ones the
  /// first counts.
  ///
  /// - Returns: What became of each plugin, when new calls go where they should; draining goes on afterwards.
  @discardableResult
  package func apply(_ plugins: [InstalledPlugin]) async -> [Change] {
    let offers = offer(plugins)
    return await withTaskGroup(of: Change.self) { group in
      for offer in offers {
        group.addTask {
          let refusal: String?
          if let test = offer.test { refusal = await offer.versions.test(test) } else { refusal = offer.refusal }
          let now = offer.versions.current?.subject
          return Change(id: offer.id, version: now?.version, digest: now?.digest, problem: refusal)
        }
      }
      var changes: [Change] = []
      for await change in group { changes.append(change) }
      return changes.sorted { $0.id < $1.id }
    }
  }

  private struct Offer {
    let id: String
    let versions: PluginVersions
    /// The version that must pass its test before it is used.
    var test: String?
    var refusal: String?
  }

  private func offer(_ plugins: [InstalledPlugin]) -> [Offer] {
    var lists: [(id: String, plugins: [InstalledPlugin])] = []
    for plugin in plugins {
      if let index = lists.firstIndex(where: { $0.id == plugin.manifest.id }) {
        lists[index].plugins.append(plugin)
      } else {
        lists.append((plugin.manifest.id, [plugin]))
      }
    }
    let (present, gone): ([(PluginVersions, [InstalledPlugin])], [PluginVersions]) = state.withLock { state in
      guard !state.isClosing else { return ([], []) }
      var names: [String: String] = [:]
      var present: [(PluginVersions, [InstalledPlugin])] = []
      for list in lists {
        let versions =
          state.plugins[list.id] ?? PluginVersions(id: list.id, tools: tools) { [sink] in sink.yield($0) }
        state.plugins[list.id] = versions
        present.append((versions, list.plugins))
        for name in [list.id] + list.plugins[0].manifest.aliases where names[name] == nil { names[name] = list.id }
      }
      state.names = names
      let gone = state.plugins.filter { entry in !lists.contains { $0.id == entry.key } }.map(\.value)
      for versions in gone { state.plugins[versions.id] = nil }
      state.leaving += gone
      return (present, gone)
    }
    for versions in gone { leave(versions) }
    return present.map { versions, plugins in
      let test = versions.offer(plugins)
      let refusal = versions.refusal(of: plugins[0].digest)
      return Offer(id: versions.id, versions: versions, test: test, refusal: refusal)
    }
  }

  private func leave(_ versions: PluginVersions) {
    versions.remove()
    Task {
      await versions.closed()
      state.withLock { $0.leaving.removeAll { $0 === versions } }
    }
  }

  private func versions(_ name: String) -> PluginVersions? {
    state.withLock { state in state.names[name].flatMap { state.plugins[$0] } }
  }

  /// The manifests of the versions that new calls go to, sorted by id.
  package var manifests: [PluginManifest] {
    state.withLock { Array($0.plugins.values) }.compactMap { $0.current?.plugin.manifest }.sorted { $0.id < $1.id }
  }

  /// Finds a plugin by id or alias: the version that new calls go to.
  package func manifest(for platform: String) -> PluginManifest? {
    versions(platform)?.current?.plugin.manifest
  }

  /// Finds one version of a plugin, for a delivery that began on it; nil when it is gone.
  package func manifest(for platform: String, version: String) -> PluginManifest? {
    versions(platform)?.version(named: version)?.plugin.manifest
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
  ///   - pinnedVersion: The version that must answer; nil for the one that new calls go to.
  ///   - job: Names the work across restarts of the plugin. A job under which processes die is not given to them again.
  package func begin(
    _ method: String,
    plugin id: String,
    params: RawJSON,
    attempt: Int = 1,
    deadline: Duration,
    pinnedVersion: String? = nil,
    job: String? = nil
  ) async throws(PluginFailure) -> PluginCall {
    guard let versions = versions(id) else {
      throw state.withLock(\.isClosing) ? .shuttingDown : .notInstalled(id)
    }
    return try await versions.begin(
      method,
      params: params,
      attempt: attempt,
      deadline: deadline,
      pinnedVersion: pinnedVersion,
      job: job
    )
  }

  /// What each plugin is doing, sorted by id.
  package func status() -> [PluginStatus] {
    state.withLock { Array($0.plugins.values) }.compactMap { $0.status() }.sorted { $0.id < $1.id }
  }

  /// The frames of a plugin as they pass, of all its versions, from now on; nil when it is not installed.
  ///
  /// A slow reader loses the oldest. Ends with the plugin.
  package func tap(_ id: String) -> AsyncStream<FrameRecord>? {
    versions(id)?.tap()
  }

  /// Calls the closure with each frame of the plugin's current version, on the thread that carries it.
  func observe(_ id: String, _ body: @escaping @Sendable (FrameRecord) -> Void) {
    versions(id)?.current?.frames.observe(body)
  }

  /// Ends the quarantine of a plugin and gives parked jobs another try; without effect when there is nothing of it.
  package func release(_ id: String) {
    versions(id)?.release()
  }

  /// Waits for the shutdown and ends the plugins: end of input, then TERM, then KILL.
  package func run() async throws {
    await Shutdown.current.requested()
    let plugins = state.withLock { state in
      state.isClosing = true
      return Array(state.plugins.values) + state.leaving
    }
    for versions in plugins {
      versions.shutdown()
    }
    for versions in plugins {
      await versions.closed()
    }
    sink.finish()
  }
}
