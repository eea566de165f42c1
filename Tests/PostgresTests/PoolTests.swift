import Postgres
import Synchronization
import TestSupport
import Testing

@Suite(.emptyDatabase) struct PoolTests {
  @Test func manyCallersShareFewSessions() async throws {
    let pool = Pool(try TestDatabase.current.configuration, size: 3)
    let pids = try await withThrowingTaskGroup(of: Int32.self) { group in
      for number in 0..<200 {
        group.addTask {
          let row = try await pool.query("SELECT pg_backend_pid(), \(number)")[0]
          #expect(try row.get(1, as: Int.self) == number)
          return try row[0]
        }
      }
      return try await group.reduce(into: Set<Int32>()) { $0.insert($1) }
    }
    #expect((1...3).contains(pids.count))
    await pool.close()
  }

  @Test func transactionsDoNotMix() async throws {
    let pool = Pool(try TestDatabase.current.configuration, size: 2)
    try await pool.execute("CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL)")
    try await pool.execute("INSERT INTO counters VALUES (1, 0)")
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<40 {
        group.addTask {
          try await pool.transaction { transaction in
            let n: Int = try await transaction.query("SELECT n FROM counters WHERE id = 1 FOR UPDATE")[0][0]
            try await transaction.execute("UPDATE counters SET n = \(Int32(n + 1)) WHERE id = 1")
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(try await pool.query("SELECT n FROM counters")[0].get(0, as: Int.self) == 40)
    await pool.close()
  }

  @Test func reconnectsKilledIdleSessions() async throws {
    let pool = Pool(try TestDatabase.current.configuration, size: 2)
    let killer = Session(try TestDatabase.current.configuration)
    for _ in 0..<3 {
      let pid: Int32 = try await pool.query("SELECT pg_backend_pid()")[0][0]
      try await killer.execute("SELECT pg_terminate_backend(\(pid), 5000)")
      let other: Int32 = try await pool.query("SELECT pg_backend_pid()")[0][0]
      #expect(other != pid)
    }
    await pool.close()
  }

  @Test func lossDuringAStatementReachesTheCallerOnce() async throws {
    let pool = Pool(try TestDatabase.current.configuration, size: 1)
    try await pool.execute("CREATE TABLE t (id int)")
    let error = await #expect(throws: PostgresError.self) {
      try await pool.batch(["INSERT INTO t VALUES (1)", "SELECT pg_terminate_backend(pg_backend_pid())", "SELECT 1"])
    }
    #expect(error?.isConnectionLost == true)
    #expect(try await pool.query("SELECT * FROM t").isEmpty)
    await pool.close()
  }

  @Test func waitingCallerCanBeCancelled() async throws {
    let pool = Pool(try TestDatabase.current.configuration, size: 1)
    try await pool.withSession { _ in
      let waiting = Task { try await pool.query("SELECT 1") }
      waiting.cancel()
      let error = await #expect(throws: PostgresError.self) { try await waiting.value }
      #expect(error?.code == .canceled)
    }
    #expect(try await pool.query("SELECT 1").count == 1)
    await pool.close()
  }

  @Test func patienceEnds() async throws {
    let pool = Pool(try TestDatabase.current.configuration, size: 1, patience: .milliseconds(20))
    try await pool.withSession { _ in
      let error = await #expect(throws: PostgresError.self) { try await pool.query("SELECT 1") }
      #expect(error?.code == .timeout)
      #expect(error?.isNotSent == true)
    }
    await pool.close()
  }

  @Test func unreachableServerIsReportedAfterPatience() async throws {
    let nowhere = Configuration(socketDirectory: "/nonexistent", database: "x", user: "x")
    let pool = Pool(nowhere, size: 2, patience: .milliseconds(60))
    let error = await #expect(throws: PostgresError.self) { try await pool.query("SELECT 1") }
    #expect(error?.code == .connection)
    #expect(error?.message.contains("/nonexistent") == true)
    await pool.close()
  }

  @Test func permanentRefusalIsReportedAtOnce() async throws {
    let wrong = try TestDatabase.current.configuration.with(database: "no_such_database")
    let pool = Pool(wrong, size: 1, patience: .seconds(3_600))
    let error = await #expect(throws: PostgresError.self) { try await pool.query("SELECT 1") }
    #expect(error?.sqlState == "3D000")
    await pool.close()
  }

  @Test func closedPoolRefuses() async throws {
    let pool = Pool(try TestDatabase.current.configuration, size: 2)
    _ = try await pool.query("SELECT 1")
    await pool.close()
    let error = await #expect(throws: PostgresError.self) { try await pool.query("SELECT 1") }
    #expect(error?.code == .closed)
    await pool.close()
  }
}
