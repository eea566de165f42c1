package import Logging
package import Migrations
package import Postgres
internal import Processes
internal import ServiceTree

/// How to reach the host's database, and what is done to it as a whole.
package struct HostDatabase: Sendable {
  /// For work that any session can do; maybe behind a pooler.
  package let pooled: Postgres.Configuration
  /// For locks, LISTEN and the hot writers.
  package let direct: Postgres.Configuration

  package init(pooled: Postgres.Configuration, direct: Postgres.Configuration) {
    var pooled = pooled
    // A pooler that changes the session between transactions does not keep prepared statements.
    if pooled.description != direct.description { pooled.preparedStatements = 0 }
    self.pooled = pooled
    self.direct = direct
  }

  /// Applies what is pending; answers with the names of the files.
  @discardableResult
  package func migrate(_ directory: String, logger: Logger) async throws -> [String] {
    let migrator = try Migrator(directory: directory)
    return try await withSession(logger) { try await migrator.apply($0, logger: logger) }
  }

  /// What was applied and what is pending.
  package func migrationStatus(_ directory: String, logger: Logger) async throws -> [Migrator.Status] {
    let migrator = try Migrator(directory: directory)
    return try await withSession(logger) { try await migrator.status($0) }
  }

  /// Lends a session that is closed afterwards.
  package func withSession<Value>(_ logger: Logger, _ body: (Session) async throws -> Value) async throws -> Value {
    let session = Session(direct, logger: logger)
    do {
      let value = try await body(session)
      await session.close()
      return value
    } catch {
      await session.close()
      throw error
    }
  }

  /// Runs the body with the database of a home that may be served at this moment or not: the private server is
  /// started for the time of the body when no host runs it.
  package static func using<Value>(
    _ configuration: HostConfiguration,
    logger: Logger,
    _ body: (HostDatabase) async throws -> Value
  ) async throws -> Value {
    if let database = configuration.database {
      return try await body(HostDatabase(pooled: database, direct: configuration.directDatabase ?? database))
    }
    guard let lock = try freeLock(of: configuration.home) else {
      guard let database = try PrivateCluster.configuration(home: configuration.home) else {
        throw StartError("The host of \(configuration.home) is starting or stopping; try again in a moment")
      }
      return try await body(HostDatabase(pooled: database, direct: database))
    }
    defer { lock.release() }
    var options = PrivateCluster.Options()
    options.binaries = configuration.postgresBinaries
    let cluster = PrivateCluster(lock: lock, spawner: try Spawner(), options: options, logger: logger)
    let database = try await cluster.startPatiently()
    do {
      let value = try await body(HostDatabase(pooled: database, direct: database))
      await cluster.stop()
      return value
    } catch {
      await cluster.stop()
      throw error
    }
  }

  /// Takes the lock of the home; nil when a host has it.
  private static func freeLock(of home: String) throws -> HomeLock? {
    do {
      return try HomeLock(home: home)
    } catch {
      if error.code == .homeInUse { return nil }
      throw error
    }
  }
}

extension PrivateCluster {
  /// Starts the server, again and again for a short while.
  ///
  /// The server of a host that was killed a moment ago can stand in the kernel's table of processes until its new
  /// parent has noticed its end, and so long PostgreSQL refuses to start.
  func startPatiently() async throws -> Postgres.Configuration {
    let deadline = ContinuousClock.now + .seconds(10)
    while true {
      do {
        return try await start()
      } catch let error as ClusterError {
        guard error.code == .notReady, ContinuousClock.now < deadline, !Shutdown.current.isRequested else {
          throw error
        }
        _ = await Shutdown.current.sleep(for: .milliseconds(100))
      }
    }
  }
}
