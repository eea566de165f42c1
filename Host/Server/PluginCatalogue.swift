internal import FoundationEssentials
package import Logging
package import PluginHost
internal import PluginManifest
package import PluginStore
package import Postgres
internal import ServiceTree
internal import Synchronization

/// Keeps this host's plugins what the database says: fetches bundles, unpacks them, and follows every change.
package final class PluginCatalogue: Service {
  /// Makes something that can be started of a plugin that lies on this host.
  package typealias Composition = @Sendable (StoredPlugin) -> InstalledPlugin

  package let name = "plugin-catalogue"
  private let registry: PluginRegistry
  private let folder: StoreFolder
  private let database: Postgres.Configuration
  private let compose: Composition
  private let logger: Logger
  private let node: String
  /// The generation that this host runs.
  private let applied = Mutex<Int64>(-1)
  private let host = Mutex<PluginHost?>(nil)

  /// How often the database is looked at while nobody says that something changed.
  private static let interval: Duration = .seconds(30)

  /// - Parameters:
  ///   - database: For LISTEN; without a pooler between.
  ///   - node: The name of this host in the record of events.
  package init(
    registry: PluginRegistry,
    folder: StoreFolder,
    database: Postgres.Configuration,
    node: String,
    logger: Logger,
    compose: @escaping Composition
  ) {
    self.registry = registry
    self.folder = folder
    self.database = database
    self.node = node
    self.logger = logger
    self.compose = compose
  }

  /// The generation that this host runs; nil before the first one.
  package var generation: Int64? {
    let number = applied.withLock { $0 }
    return number < 0 ? nil : number
  }

  /// The plugins of the current generation, current versions first.
  ///
  /// A plugin whose bundle can not be fetched or used stays in the list and refuses to start, so that its deliveries
  /// wait instead of failing.
  package func load() async throws -> [InstalledPlugin] {
    let generation = try await registry.current()
    var plugins = try await plugins(of: generation)
    // What took over just before the last host ended is watched for what is left of its time.
    for takeover in try await registry.takeovers(within: PluginHost.watchTime) {
      guard let index = plugins.firstIndex(where: { $0.digest == takeover.current }) else { continue }
      plugins[index].predecessor = InstalledPlugin.Predecessor(
        digest: takeover.previous.digest,
        watchedFor: PluginHost.watchTime - takeover.age
      )
      if !plugins.contains(where: { $0.digest == takeover.previous.digest }) {
        plugins.append(await plugin(takeover.previous))
      }
    }
    applied.withLock { $0 = generation.number }
    return plugins
  }

  /// Names the host that runs what is loaded.
  package func attach(_ host: PluginHost) { self.host.withLock { $0 = host } }

  package func run() async throws {
    await orLog("Removing the leftovers of plugins", logger) {
      let folder = folder
      try await Disk.run { try folder.removeLeftovers() }
      try await collect()
    }
    await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await self.follow() }
      if let host = host.withLock({ $0 }) { group.addTask { await self.store(host) } }
      await Shutdown.current.requested()
      group.cancelAll()
      // Cancelled work ends without a word.
      while (try? await group.next()) != nil {}
    }
    await orLog("Remembering the digests of plugins", logger) {
      let folder = folder
      try await Disk.run { try folder.remember() }
    }
  }

  // MARK: Following

  private func follow() async throws {
    let listener = try Listener(database, channels: [PluginRegistry.channel], logger: logger)
    listener.start()
    let (looks, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    await withTaskGroup(of: Void.self) { group in
      group.addTask { for await _ in listener.wakeUps(PluginRegistry.channel) { wake.yield() } }
      group.addTask { while await Shutdown.current.sleep(for: Self.interval) { wake.yield() } }
      group.addTask { for await _ in looks { await self.look() } }
      await Shutdown.current.requested()
      wake.finish()
      group.cancelAll()
    }
    await listener.close()
  }

  /// Takes over the current generation when it is another one than the last.
  private func look() async {
    await orLog("Following the installed plugins", logger) {
      let number = try await registry.currentNumber()
      guard number != applied.withLock({ $0 }), let host = host.withLock({ $0 }) else { return }
      let generation = try await registry.current()
      let changes = await host.apply(try await plugins(of: generation))
      applied.withLock { $0 = generation.number }
      logger.notice(
        "Runs another set of plugins",
        ["generation": .int(Int(generation.number)), "reason": "\(generation.reason)"]
      )
      for change in changes {
        guard let problem = change.problem else { continue }
        logger.error("A version of a plugin is not used", ["plugin": "\(change.id)", "problem": "\(problem)"])
      }
      try await collect()
    }
  }

  /// Removes bundles that nobody can need any more, from the database and from this host.
  private func collect() async throws {
    let kept = try await registry.collect()
    let folder = folder
    let removed = try await Disk.run { try folder.collect(keeping: kept) }
    if !removed.isEmpty { logger.info("Removed old bundles of plugins", ["bundles": .int(removed.count)]) }
  }

  // MARK: Bundles

  private func plugins(of generation: Generation) async throws -> [InstalledPlugin] {
    var plugins: [InstalledPlugin] = []
    for bundle in generation.bundles { plugins.append(await plugin(bundle)) }
    // Deliveries that began on another version end on it.
    let current = Set(generation.bundles.map(\.digest))
    for bundle in try await registry.pinnedByDeliveries() where !current.contains(bundle.digest) {
      plugins.append(await plugin(bundle))
    }
    return plugins
  }

  private func plugin(_ bundle: StoredBundle) async -> InstalledPlugin {
    do {
      return compose(try await stored(bundle))
    } catch {
      logger.error(
        "A plugin can not be used on this host; its deliveries wait",
        ["plugin": "\(bundle.id)", "version": "\(bundle.version)", "error": "\(error)"]
      )
      let reason = "\(error)"
      return InstalledPlugin(manifest: bundle.manifest.manifest, digest: bundle.digest) {
        throw LaunchRefused(reason)
      }
    }
  }

  /// The bundle on this host; fetched and unpacked when it is not there yet.
  private func stored(_ bundle: StoredBundle) async throws -> StoredPlugin {
    let folder = folder
    if !folder.has(bundle.digest) {
      let file = try folder.receive()
      try await registry.download(bundle.digest, into: file)
      let path = file.path
      _ = try await Disk.run { try folder.unpack(path, expecting: bundle.digest) }
      withExtendedLifetime(file) {}
    }
    return try folder.plugin(bundle.digest, isFirstParty: bundle.isFirstParty)
  }

  // MARK: Events

  /// Stores what happens to the plugins, and lets every host go back when a version failed here.
  private func store(_ host: PluginHost) async {
    for await event in host.events {
      await orLog("Storing what happened to a plugin", logger) { try await store(event) }
    }
  }

  private func store(_ event: PluginEvent) async throws {
    guard let record = PluginEventRecord(event) else { return }
    try await registry.record(
      record.kind,
      plugin: record.subject.id,
      version: record.subject.version,
      message: record.message,
      details: record.details,
      by: node
    )
    guard let reason = record.failure else { return }
    do {
      let back = try await registry.rollBack(
        record.subject.id,
        onlyFrom: record.subject.digest,
        reason: reason,
        by: node
      )
      // The host works with the former version already; the new generation is the same set.
      if let back { applied.withLock { $0 = max($0, back.generation) } }
    } catch let error as StoreError where error.code == .notFound {
      // The first version of a plugin has nothing to go back to; its event says what is wrong.
      logger.notice("There is no earlier version to go back to", ["plugin": "\(record.subject.id)"])
    }
  }
}
