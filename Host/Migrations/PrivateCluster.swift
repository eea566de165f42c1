internal import Glibc
package import Logging
package import Postgres
package import Processes
internal import ServiceTree

/// The database server that the host initialises, starts, watches and stops in its own home.
///
/// It listens on a unix socket only. ``start()`` is called before the tree of services runs; as a service it restarts
/// the server when it dies and stops it last.
package actor PrivateCluster: Service {
  package struct Options: Sendable {
    /// The folder with the programs, or nil to look for them.
    package var binaries: String?
    /// Whether commits survive a power failure; only tests may go without.
    package var isDurable = true
    /// How long the server may take to become ready, recovery included.
    package var startDeadline = Duration.seconds(120)
    /// How often in a row the server may end before it was ready.
    package var attempts = 8

    package init() {}
  }

  private enum Wake {
    case ended(ExitStatus)
    case shutdown
  }

  package nonisolated let name = "private-database"

  private static let database = "rostrum"
  private static let role = "rostrum"
  private static let stopLadder = TeardownLadder(
    steps: [.init(.signal(SIGINT), grace: .seconds(20)), .init(.signal(SIGQUIT), grace: .seconds(5))]
  )

  private let lock: HomeLock
  private let spawner: Spawner
  private let options: Options
  private let logger: Logger
  private let backoff = Backoff(initial: .milliseconds(50), maximum: .seconds(5))
  private var layout: ClusterLayout?
  private var server: ChildProcess?

  /// Prepares nothing yet; the lock makes sure that no other process cares for the same home.
  package init(lock: HomeLock, spawner: Spawner, options: Options = Options(), logger: Logger = .current) {
    self.lock = lock
    self.spawner = spawner
    self.options = options
    self.logger = logger
  }

  /// Says how to reach the server of a home that another process runs, or nil when the home has none.
  package nonisolated static func configuration(home: String) throws(ClusterError) -> Configuration? {
    let layout = try ClusterLayout(home: home)
    guard Folder.exists(socket(layout)) else { return nil }
    return configuration(layout)
  }

  private nonisolated static func socket(_ layout: ClusterLayout) -> String {
    layout.socketDirectory + "/.s.PGSQL.5432"
  }

  /// Starts the server, initialising the data at the first time, and returns when it answers.
  package func start() async throws -> Configuration {
    let layout = try ClusterLayout(home: lock.home)
    self.layout = layout
    try layout.prepare(home: lock.home)
    let leftovers = await ClusterProcesses(data: layout.data).endAll(grace: .seconds(5))
    if leftovers > 0 {
      logger.notice("Ended a database server that an earlier host left running", ["processes": .int(leftovers)])
    }
    let isNew = !Folder.exists(layout.data + "/PG_VERSION")
    if isNew {
      try await initialize(layout)
    }
    try await startServer(layout)
    return PrivateCluster.configuration(layout)
  }

  /// Watches the server that ``start()`` started until the shutdown, then stops it.
  package func run() async throws {
    if server?.exitStatus != nil || server == nil, !Shutdown.current.isRequested {
      _ = try await start()
    }
    var failures = 0
    while let server {
      switch await wait(for: server) {
      case .shutdown:
        await stop()
        return
      case .ended(let status):
        logger.error("The database server ended; starting it again", ["status": .string(status.description)])
      }
      failures = try await restart(failures)
      if Shutdown.current.isRequested {
        await stop()
        return
      }
    }
  }

  /// Stops the server: first in order, then without the last checkpoint, then by force.
  package func stop() async {
    guard let server else { return }
    self.server = nil
    let status = await server.terminate(ladder: PrivateCluster.stopLadder)
    if let layout {
      _ = await ClusterProcesses(data: layout.data).endAll(grace: .seconds(1))
      // A server that was ended by force leaves its socket, which would look like a server.
      _ = unsafe unlink(PrivateCluster.socket(layout))
    }
    logger.info("The database server stopped", ["status": .string(status.description)])
  }

  /// The first process of the server, for tests that kill it.
  package var postmasterPID: Int32? { server?.pid }

  // MARK: Supervision

  private func wait(for server: ChildProcess) async -> Wake {
    await withTaskGroup(of: Wake?.self) { group in
      group.addTask {
        await Shutdown.current.requested()
        return .shutdown
      }
      group.addTask {
        // The exit cannot be cancelled, so it is looked at in stretches and the group can end.
        while !Task.isCancelled {
          if let status = await server.exit(within: .seconds(1)) { return .ended(status) }
        }
        return nil
      }
      let first = await group.next() ?? nil
      group.cancelAll()
      return first ?? .shutdown
    }
  }

  /// Starts the server again until it answers; returns how many attempts failed in a row.
  private func restart(_ before: Int) async throws -> Int {
    guard let layout else { return before }
    var failures = before
    while !Shutdown.current.isRequested {
      // The dead server's other processes must go before the shared memory can be used again.
      _ = await ClusterProcesses(data: layout.data).endAll(grace: .milliseconds(500))
      do {
        try await startServer(layout)
        return 0
      } catch {
        failures += 1
        logger.error("The database server does not start", ["error": .error(error), "attempt": .int(failures)])
        guard failures < options.attempts else { throw error }
        let pause = backoff.delay(afterAttempt: failures, jitter: Double.random(in: 0..<1))
        guard await Shutdown.current.sleep(for: pause) else { return failures }
      }
    }
    return failures
  }

  // MARK: Starting

  private func initialize(_ layout: ClusterLayout) async throws {
    logger.info("Initialising the private database", ["folder": .string(layout.data)])
    let binaries = try await PostgresBinaries.find(in: options.binaries, spawner: spawner)
    // Renamed when complete, so that an interrupted start leaves nothing that looks like data.
    let unfinished = layout.data + ".unfinished"
    _ = await ClusterProcesses(data: unfinished).endAll(grace: .milliseconds(100))
    try removeFolder(unfinished)
    var arguments = [
      "--pgdata", unfinished, "--username", PrivateCluster.role, "--auth", "trust", "--encoding", "UTF8",
      "--locale", "C.UTF-8", "--data-checksums",
    ]
    if !options.isDurable { arguments.append("--no-sync") }
    let request = SpawnRequest(
      executable: binaries.initializer,
      arguments: arguments,
      environment: environment,
      workingDirectory: layout.root,
      user: layout.user
    )
    let output = try await spawner.output(of: request, deadline: options.startDeadline)
    guard output.status.isSuccess else {
      let reason = String(decoding: output.standardError.suffix(1_000), as: UTF8.self)
      throw ClusterError(.initialization, "initdb ended with \(output.status): \(reason)")
    }
    guard unsafe rename(unfinished, layout.data) == 0 else {
      throw ClusterError(.folder, "\(layout.data) cannot be made: \(Folder.reason(errno))")
    }
  }

  private func startServer(_ layout: ClusterLayout) async throws {
    let version = Folder.read(layout.data + "/PG_VERSION").flatMap { Int($0.prefix { $0.isNumber }) }
    let binaries = try await PostgresBinaries.find(in: options.binaries, version: version, spawner: spawner)
    let files = ClusterConfiguration(socketDirectory: layout.socketDirectory, isDurable: options.isDurable)
    try Folder.write(files.server, to: layout.data + "/postgresql.conf", owner: layout.user)
    try Folder.write(files.access, to: layout.data + "/pg_hba.conf", owner: layout.user)
    let request = SpawnRequest(
      executable: binaries.server,
      arguments: ["-D", layout.data],
      environment: environment,
      workingDirectory: layout.root,
      standardError: .pipe,
      user: layout.user
    )
    ClusterProcesses(data: layout.data).removeStaleNote()
    let child = try await spawner.spawn(request)
    server = child
    if let descriptor = child.standardError {
      ClusterLog(descriptor, logger: logger).start()
    }
    do {
      try await waitUntilReady(child, layout)
    } catch {
      server = nil
      await child.terminate(ladder: .immediate)
      throw error
    }
    logger.info("The private database is ready", ["process": .int(child.pid)])
  }

  /// The server's programs get nothing of the host's environment.
  private var environment: [String: String] {
    ["LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "TZ": "UTC"]
  }

  private func removeFolder(_ path: String) throws {
    guard Folder.exists(path) else { return }
    try Folder.remove(path)
  }

  // MARK: Readiness

  private func waitUntilReady(_ child: ChildProcess, _ layout: ClusterLayout) async throws {
    let configuration = PrivateCluster.configuration(layout)
    let deadline = ContinuousClock.now + options.startDeadline
    var pause = Duration.milliseconds(4)
    while true {
      let session = Session(configuration, logger: logger)
      do throws(PostgresError) {
        try await session.connect()
        await session.close()
        return
      } catch {
        if error.sqlState == "3D000" {
          try await createDatabase(configuration)
          continue
        }
        if let status = child.exitStatus {
          throw ClusterError(.notReady, "The database server ended with \(status); its messages stand in the log above")
        }
        guard ContinuousClock.now < deadline else {
          throw ClusterError(.notReady, "The database server did not become ready in time: \(error)")
        }
      }
      // The server tells nobody that it is ready, so it is asked in short intervals.
      _ = await child.exit(within: pause)
      pause = min(pause * 2, .milliseconds(40))
    }
  }

  private func createDatabase(_ configuration: Configuration) async throws {
    let session = Session(configuration.with(database: "postgres"), logger: logger)
    try await session.execute("CREATE DATABASE \(identifier: PrivateCluster.database)")
    await session.close()
  }

  private nonisolated static func configuration(_ layout: ClusterLayout) -> Configuration {
    Configuration(socketDirectory: layout.socketDirectory, database: database, user: role)
  }
}
