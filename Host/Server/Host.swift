internal import FoundationEssentials
package import Logging
internal import Migrations
internal import Postgres
internal import Processes
internal import ServiceTree

/// The whole host as one service: its home, its database, and everything that works with it.
package struct Host: Service {
  package static let version = "0.1.0"
  /// How long requests on their way may take when the host stops.
  static let shutdownDeadline: Duration = .seconds(30)

  package let name = "host"
  private let configuration: HostConfiguration
  private let logger: Logger
  private let ready: @Sendable (RunningHost) async -> Void

  /// - Parameter ready: Called once when clients can connect.
  package init(
    _ configuration: HostConfiguration,
    logger: Logger,
    ready: @escaping @Sendable (RunningHost) async -> Void = { _ in }
  ) {
    self.configuration = configuration
    self.logger = logger
    self.ready = ready
  }

  /// Runs a host until SIGTERM or SIGINT.
  ///
  /// - Throws: What keeps the host from starting, or made it stop.
  package static func serve(
    _ configuration: HostConfiguration,
    logger: Logger,
    ready: @escaping @Sendable (RunningHost) async -> Void = { _ in }
  ) async throws {
    DescriptorLimit.raise(logger)
    let group = ServiceGroup(
      name: "rostrum",
      services: [SignalWatcher(), Host(configuration, logger: logger, ready: ready)],
      shutdownDeadline: shutdownDeadline * 3,
      logger: logger
    )
    try await group.run()
  }

  package func run() async throws {
    for warning in configuration.warnings {
      logger.warning("A setting deserves a look", ["setting": "\(warning)"])
    }
    let lock = try HomeLock(home: configuration.home)
    defer { lock.release() }
    let spawner = try Spawner()
    if let database = configuration.database {
      logger.info("Using the database of DATABASE_URL", ["database": "\(database)"])
      let direct = configuration.directDatabase ?? database
      try await work(HostDatabase(pooled: database, direct: direct), spawner)
      return
    }
    var options = PrivateCluster.Options()
    options.binaries = configuration.postgresBinaries
    let cluster = PrivateCluster(lock: lock, spawner: spawner, options: options, logger: logger)
    let database = try await cluster.startPatiently()
    // The database is stopped after everything that uses it.
    let group = ServiceGroup(
      services: [
        cluster,
        ClosureService(name: "work") { try await work(HostDatabase(pooled: database, direct: database), spawner) },
      ],
      shutdownDeadline: Host.shutdownDeadline * 2,
      logger: logger
    )
    try await group.run()
  }

  /// Brings the schema up to date, then runs the services until the shutdown.
  private func work(_ database: HostDatabase, _ spawner: Spawner) async throws {
    if Shutdown.current.isRequested { return }
    try await database.migrate(configuration.migrations, logger: logger)
    let assembly = try await HostAssembly(configuration, database: database, spawner: spawner, logger: logger)
    do {
      try await assembly.run(ready: ready)
    } catch {
      await assembly.close()
      throw error
    }
    await assembly.close()
  }
}
