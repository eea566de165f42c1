import Glibc
import Logging
import Migrations
import Postgres
import Processes
import ServiceTree
import Testing

@Suite(.timeLimit(.minutes(15))) struct PrivateClusterTests {
  private let folder: TemporaryFolder
  private let lock: HomeLock
  private let spawner: Spawner

  init() throws {
    folder = try TemporaryFolder()
    lock = try HomeLock(home: folder.path + "/home")
    spawner = try Spawner()
    // The server's user must pass through; otherwise the data would lie outside this folder.
    #expect(unsafe chmod(lock.home, 0o711) == 0)
  }

  private func makeCluster(_ logger: Logger = .current) -> PrivateCluster {
    var options = PrivateCluster.Options()
    options.isDurable = false
    return PrivateCluster(lock: lock, spawner: spawner, options: options, logger: logger)
  }

  /// Runs one statement on a new connection.
  private func ask<Value: PostgresDecodable>(_ statement: SQL, _ configuration: Configuration) async throws -> Value {
    let session = Session(configuration)
    let value: Value = try await session.query(statement)[0][0]
    await session.close()
    return value
  }

  @Test func startsStopsAndKeepsItsData() async throws {
    let first = makeCluster()
    let configuration = try await first.start()
    #expect(configuration.isLocal)
    #expect(try PrivateCluster.configuration(home: lock.home)?.place == configuration.place)
    let session = Session(configuration)
    try await session.execute(script: "CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)")
    let settings: String = try await session.query(
      """
      SELECT concat_ws(' ', current_setting('listen_addresses'), current_setting('server_encoding'),
        current_setting('data_checksums'), current_setting('shared_buffers'), datcollate, datctype)
      FROM pg_database WHERE datname = current_database()
      """
    )[0][0]
    #expect(settings == " UTF8 on 128MB C.UTF-8 C.UTF-8")
    await session.close()
    await first.stop()
    #expect(try PrivateCluster.configuration(home: lock.home) == nil)
    let second = makeCluster()
    let again = try await second.start()
    #expect(try await ask("SELECT count(*) FROM kept", again) == 1)
    await second.stop()
  }

  @Test func endsWhatADeadHostLeftBehind() async throws {
    let dead = makeCluster()
    let configuration = try await dead.start()
    let old = try #require(await dead.postmasterPID)
    // The second cluster knows nothing of the first one's process.
    let next = makeCluster()
    #expect(try await ask("SELECT pg_backend_pid() > 0", try await next.start()) == true)
    #expect(await next.postmasterPID != old)
    // The spawner reaps it when it gets to it.
    while kill(old, 0) == 0 { await Task.yield() }
    #expect(try await ask("SELECT 1", configuration) == Int32(1))
    await next.stop()
  }

  /// A note may name a process that is none of the server's: a zombie, or another program after a reboot.
  @Test func startsOverTheNoteOfAServerThatIsGone() async throws {
    let first = makeCluster()
    _ = try await first.start()
    await first.stop()
    let data = lock.home + "/postgres/data"
    // A process of the server's own user that lives.
    var owner = stat()
    try #require(unsafe stat(data, &owner) == 0)
    var request = SpawnRequest(executable: "/bin/sleep", arguments: ["3600"])
    request.user = SpawnRequest.User(uid: owner.st_uid, gid: owner.st_gid)
    let other = try await spawner.spawn(request)
    let note = "\(other.pid)\n\(data)\n1\n5432\n\(lock.home)/postgres/run\n\n  1 1\nready   \n"
    try folder.write(note, to: "home/postgres/data/postmaster.pid")
    try #require(unsafe chown(data + "/postmaster.pid", owner.st_uid, owner.st_gid) == 0)
    let sink = MemorySink()
    let second = makeCluster(Logger(sink: sink, minimumLevel: .debug))
    #expect(try await ask("SELECT 1", try await second.start()) == Int32(1))
    #expect(!sink.records.contains { "\($0.fields)".contains("postmaster.pid") })
    await second.stop()
    _ = await other.terminate(ladder: .immediate)
  }

  @Test func restartsAKilledServer() async throws {
    let sink = MemorySink()
    let cluster = makeCluster(Logger(sink: sink))
    let configuration = try await cluster.start()
    let pool = Pool(configuration, size: 2, patience: .seconds(60))
    try await pool.execute("CREATE TABLE kept AS SELECT 1 AS id")
    // The test's cluster does not sync, so what must be there after a kill is written out first.
    try await pool.execute("CHECKPOINT")
    let shutdown = Shutdown()
    let running = Task { try await Shutdown.$current.withValue(shutdown) { try await cluster.run() } }
    for _ in 0..<2 {
      let pid = try #require(await cluster.postmasterPID)
      let session = Session(configuration)
      try await session.connect()
      #expect(kill(pid, SIGKILL) == 0)
      while await session.isConnected {
        await Task.yield()
      }
      // A statement that meets a connection of the dead server may fail once for each of the pool's sessions.
      var count: Int?
      while count == nil {
        do {
          count = try await pool.query("SELECT * FROM kept").count
        } catch {
          guard error.isConnectionLost else { throw error }
        }
      }
      #expect(count == 1)
    }
    await pool.close()
    shutdown.request()
    try await running.value
    #expect(await cluster.postmasterPID == nil)
    #expect(sink.records.contains { $0.message.contains("starting it again") })
  }

  @Test func ridesOverAKilledBackend() async throws {
    let cluster = makeCluster()
    let configuration = try await cluster.start()
    let pool = Pool(configuration, size: 1, patience: .seconds(60))
    let pid: Int32 = try await pool.query("SELECT pg_backend_pid()")[0][0]
    #expect(kill(pid, SIGKILL) == 0)
    // The server restarts by itself; at most the statement that met the broken connection fails.
    var answer: Int32?
    while answer == nil {
      do {
        answer = try await pool.query("SELECT 1")[0][0]
      } catch {
        guard error.isConnectionLost else { throw error }
      }
    }
    #expect(answer == 1)
    await pool.close()
    await cluster.stop()
  }

  @Test func interruptedInitialisationIsRepeated() async throws {
    let first = makeCluster()
    _ = try await first.start()
    await first.stop()
    let root = lock.home + "/postgres"
    #expect(unsafe rename(root + "/data", root + "/data.unfinished") == 0)
    let second = makeCluster()
    #expect(try await ask("SELECT 1", try await second.start()) == Int32(1))
    await second.stop()
  }

  @Test func brokenConfigurationIsReportedWithTheServersReason() async throws {
    let sink = MemorySink()
    let first = makeCluster()
    _ = try await first.start()
    await first.stop()
    let file = lock.home + "/postgres/data/local.conf"
    try folder.write("no_such_setting = 1\n", to: "home/postgres/data/local.conf")
    #expect(unsafe chmod(file, 0o644) == 0)
    let second = makeCluster(Logger(sink: sink, minimumLevel: .debug))
    let error = await #expect(throws: ClusterError.self) { try await second.start() }
    #expect(error?.code == .notReady)
    _ = await sink.first { "\($0.fields)".contains("no_such_setting") }
  }
}
