internal import JSONDocument
internal import Migrations
internal import Postgres
internal import Processes

/// A private database server with the host's own settings, for the lines that need no host.
struct BenchCluster {
  let home: String
  let migrations: String

  /// Starts the server, makes the database `bench` with every migration, says where it is, and stops with the input.
  func hold() async throws {
    let lock = try HomeLock(home: home)
    defer { lock.release() }
    let cluster = PrivateCluster(lock: lock, spawner: try Spawner())
    let server = try await cluster.start()
    do {
      try await prepare(server)
      while readLine() != nil {}
    } catch {
      await cluster.stop()
      throw error
    }
    await cluster.stop()
  }

  private func prepare(_ server: Configuration) async throws {
    let administration = Session(server)
    try await administration.execute("CREATE DATABASE bench")
    let place = try await administration.query(
      "SELECT current_setting('unix_socket_directories') AS folder, current_user::text AS name"
    )
    await administration.close()
    let session = Session(server.with(database: "bench"))
    try await Migrator(directory: migrations).apply(session)
    await session.close()
    RostrumBench.show([
      "folder": .string(try place[0].get("folder")), "user": .string(try place[0].get("name")), "database": "bench",
    ])
  }
}
