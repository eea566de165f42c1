internal import Cryptography
internal import FoundationEssentials
internal import Glibc
internal import Logging
internal import Migrations
internal import Postgres
internal import Processes

/// The database server of the test process: a private cluster without fsync, or the one that
/// `ROSTRUM_TEST_DATABASE_URL` names, which must be on this machine.
actor TestServer {
  static let shared = TestServer()

  private struct Running {
    let configuration: Configuration
    let template: String
    /// Runs CREATE and DROP DATABASE, one at a time: the server serialises them anyway.
    let session: Session
  }

  private var running: Task<Running, any Error>?
  private var lastDatabase = 0
  /// Databases of this process start with it, so that several processes can share a server.
  private let prefix = "rostrum_test_\(getpid())_\(UInt16.random(in: .min ... .max))"

  func makeDatabase(isMigrated: Bool) async throws -> Configuration {
    let running = try await server()
    lastDatabase += 1
    let name = "\(prefix)_\(lastDatabase)"
    let template = isMigrated ? running.template : "template1"
    try await running.session.execute(
      "CREATE DATABASE \(identifier: name) TEMPLATE \(identifier: template) STRATEGY = wal_log"
    )
    return running.configuration.with(database: name)
  }

  func drop(_ configuration: Configuration) async {
    guard let name = configuration.databaseName, let running = try? await server() else { return }
    // A leftover database costs space only, and the test has already given its verdict.
    _ = try? await running.session.execute("DROP DATABASE \(identifier: name) WITH (FORCE)")
  }

  private func server() async throws -> Running {
    if let running { return try await running.value }
    let task = Task { try await start() }
    running = task
    return try await task.value
  }

  private func start() async throws -> Running {
    let migrator = try Migrator(directory: TestDatabase.migrationsFolder)
    let configuration = try await serverConfiguration()
    let session = Session(configuration, reconnects: true)
    let isHere = try await session.query("SELECT inet_server_addr() IS NULL OR inet_server_addr() <<= '127.0.0.0/8'")
    guard configuration.isLocal, try isHere[0].get(0, as: Bool.self) else {
      throw TestDatabaseError("Tests refuse a database that is not on this machine: \(configuration)")
    }
    // The name carries the migrations, so a template of other ones is never used.
    let digest = Hex.encode(SHA256.digest(migrator.migrations.flatMap(\.checksum)))
    let template = "rostrum_template_\(digest.prefix(16))"
    try await makeTemplate(template, migrator, configuration, session)
    return Running(configuration: configuration, template: template, session: session)
  }

  private func makeTemplate(
    _ name: String,
    _ migrator: Migrator,
    _ configuration: Configuration,
    _ session: Session
  ) async throws {
    // Two test processes may share the server. A template is complete once it has its final name.
    try await session.execute("SELECT pg_advisory_lock(7163)")
    let known = try await session.query("SELECT 1 FROM pg_database WHERE datname = \(name)")
    if known.isEmpty {
      let unfinished = name + "_new"
      try await session.execute("DROP DATABASE IF EXISTS \(identifier: unfinished) WITH (FORCE)")
      try await session.execute("CREATE DATABASE \(identifier: unfinished)")
      let other = Session(configuration.with(database: unfinished))
      try await migrator.apply(other)
      await other.close()
      try await session.execute("ALTER DATABASE \(identifier: unfinished) RENAME TO \(identifier: name)")
    }
    try await session.execute("SELECT pg_advisory_unlock(7163)")
  }

  private func serverConfiguration() async throws -> Configuration {
    if let url = ProcessInfo.processInfo.environment["ROSTRUM_TEST_DATABASE_URL"], !url.isEmpty {
      return try Configuration(url: url)
    }
    return try await TestCluster.start()
  }
}
