import Postgres
import TestSupport
import Testing

@Suite(.emptyDatabase) struct SessionTests {
  private func makeSession(_ change: (inout Configuration) -> Void = { _ in }) throws -> Session {
    var configuration = try TestDatabase.current.configuration
    change(&configuration)
    return Session(configuration)
  }

  @Test func countsAffectedRows() async throws {
    let session = try makeSession()
    try await session.execute(script: "CREATE TABLE t (id bigint PRIMARY KEY, note text)")
    #expect(try await session.execute("INSERT INTO t SELECT n FROM generate_series(1, 5) AS n") == 5)
    #expect(try await session.execute("UPDATE t SET note = 'x' WHERE id > 3") == 2)
    #expect(try await session.execute("DELETE FROM t WHERE id = 99") == 0)
  }

  @Test func batchIsOneTransaction() async throws {
    let session = try makeSession()
    try await session.execute(script: "CREATE TABLE t (id bigint PRIMARY KEY)")
    let error = await #expect(throws: PostgresError.self) {
      try await session.batch([
        "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (3)",
      ])
    }
    #expect(error?.statementIndex == 2)
    #expect(error?.isUniqueViolation == true)
    #expect(error?.constraint == "t_pkey")
    #expect(error?.table == "t")
    #expect(try await session.query("SELECT * FROM t").isEmpty)
    let rows = try await session.batch(["INSERT INTO t VALUES (1) RETURNING id", "SELECT count(*) FROM t"])
    #expect(try rows[1][0].get(0, as: Int.self) == 1)
  }

  @Test func errorsAtPrepareNameTheStatement() async throws {
    let session = try makeSession()
    let error = await #expect(throws: PostgresError.self) {
      try await session.batch(["SELECT 1", "SELECT * FROM nowhere", "SELECT 2"])
    }
    #expect(error?.code == .server("42P01"))
    #expect(error?.statementIndex == 1)
    #expect(try await session.query("SELECT 2").count == 1)
  }

  @Test func errorsAtCommitAreReported() async throws {
    let session = try makeSession()
    try await session.execute(
      script: "CREATE TABLE t (id bigint PRIMARY KEY, other bigint REFERENCES t DEFERRABLE INITIALLY DEFERRED)"
    )
    let error = await #expect(throws: PostgresError.self) { try await session.execute("INSERT INTO t VALUES (1, 2)") }
    #expect(error?.code == .server("23503"))
    #expect(try await session.query("SELECT * FROM t").isEmpty)
  }

  @Test func errorsDoNotQuoteValues() async throws {
    let session = try makeSession()
    let error = await #expect(throws: PostgresError.self) { try await session.query("SELECT \("hunter2")::bigint") }
    #expect(error?.sqlState == "22P02")
    #expect(error.map { "\($0)\(String(reflecting: $0))" }?.contains("hunter2") == false)
  }

  @Test func largeBatchesDoNotBlockEachOther() async throws {
    let session = try makeSession()
    let text = String(repeating: "x", count: 2 << 20)
    let rows = try await session.batch((0..<12).map { _ in "SELECT \(text)" })
    #expect(rows.count == 12)
    #expect(try rows.allSatisfy { try $0[0].get(0, as: String.self).utf8.count == 2 << 20 })
  }

  @Test func statementTimeoutIsAServerError() async throws {
    let session = try makeSession { $0.statementTimeout = .milliseconds(30) }
    let error = await #expect(throws: PostgresError.self) { try await session.query("SELECT pg_sleep(30)") }
    #expect(error?.code == .server("57014"))
    #expect(try await session.query("SELECT 1").count == 1)
  }

  @Test func cancellationInterruptsTheServer() async throws {
    let session = try makeSession()
    let watcher = try makeSession()
    try await session.connect()
    let task = Task { try await session.query("SELECT pg_sleep(600)") }
    try await watcher.waitUntil("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active'")
    task.cancel()
    let error = await #expect(throws: PostgresError.self) { try await task.value }
    #expect(error?.code == .canceled)
    #expect(try await session.query("SELECT 1").count == 1)
  }

  @Test func cancelledTaskSendsNothing() async throws {
    let session = try makeSession()
    try await session.execute(script: "CREATE TABLE t (id bigint)")
    let task = Task {
      unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
      return try await session.execute("INSERT INTO t VALUES (1)")
    }
    let error = await #expect(throws: PostgresError.self) { try await task.value }
    #expect(error?.code == .canceled)
    #expect(try await session.query("SELECT * FROM t").isEmpty)
  }

  @Test func lossIsReportedAndNotHidden() async throws {
    let session = try makeSession()
    let killer = try makeSession()
    try await session.connect()
    let pid = try #require(await session.backendPID)
    let task = Task { try await session.query("SELECT pg_sleep(600)") }
    try await killer.waitUntil("SELECT 1 FROM pg_stat_activity WHERE pid = \(pid) AND state = 'active'")
    try await killer.execute("SELECT pg_terminate_backend(\(pid))")
    let error = await #expect(throws: PostgresError.self) { try await task.value }
    #expect(error?.isConnectionLost == true)
    let again = await #expect(throws: PostgresError.self) { try await session.query("SELECT 1") }
    #expect(again?.isConnectionLost == true)
    try await session.connect()
    #expect(try await session.query("SELECT 1").count == 1)
  }

  @Test func closedIdleConnectionIsNoticedBeforeSending() async throws {
    let session = Session(try TestDatabase.current.configuration, reconnects: true)
    let killer = try makeSession()
    try await session.connect()
    let pid = try #require(await session.backendPID)
    try await killer.execute("SELECT pg_terminate_backend(\(pid), 5000)")
    #expect(try await session.query("SELECT 1").count == 1)
  }

  @Test func strayTransactionIsRolledBack() async throws {
    let session = try makeSession()
    let error = await #expect(throws: PostgresError.self) { try await session.query("BEGIN") }
    #expect(error?.code == .misuse)
    #expect(try await session.query("SELECT 1").count == 1)
  }

  @Test func schemaChangeReplansPreparedStatements() async throws {
    let session = try makeSession()
    try await session.execute(script: "CREATE TABLE t (id bigint); INSERT INTO t VALUES (1)")
    #expect(try await session.query("SELECT * FROM t")[0].columnCount == 1)
    try await session.execute(script: "ALTER TABLE t ADD COLUMN note text")
    #expect(try await session.query("SELECT * FROM t")[0].columnCount == 2)
    try await session.execute(script: "DEALLOCATE ALL")
    #expect(try await session.query("SELECT * FROM t")[0].columnCount == 2)
  }

  @Test(arguments: [0, 1, 3]) func preparedStatementsAreBounded(limit: Int) async throws {
    let session = try makeSession { $0.preparedStatements = limit }
    for number in 0..<10 {
      let column = SQL(stringLiteral: "SELECT \(number) + ")
      let sum: Int = try await session.query("\(fragment: column)\(1)")[0][0]
      #expect(sum == number + 1)
    }
    let count: Int = try await session.query("SELECT count(*) FROM pg_prepared_statements")[0][0]
    #expect(count <= max(limit, 1))
  }

  @Test func sameStatementTwiceInABatchIsPreparedOnce() async throws {
    let session = try makeSession()
    let rows = try await session.batch((0..<5).map { "SELECT \($0) + 1" })
    #expect(try rows.map { try $0[0].get(0, as: Int.self) } == [1, 2, 3, 4, 5])
    let count: Int = try await session.query("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%+ 1'")[
      0
    ][0]
    #expect(count == 1)
  }

  @Test func settingsAreMadeAtConnect() async throws {
    let session = Session(try TestDatabase.current.configuration.forWorkers)
    let mode: String = try await session.query("SELECT current_setting('plan_cache_mode')")[0][0]
    #expect(mode == "force_generic_plan")
  }

  @Test func transactionCommitsAndRollsBack() async throws {
    let session = try makeSession()
    try await session.execute(script: "CREATE TABLE t (id bigint PRIMARY KEY)")
    try await session.transaction { transaction in
      try await transaction.execute("INSERT INTO t VALUES (1)")
      try await transaction.execute("INSERT INTO t VALUES (2)")
    }
    struct Stop: Error {}
    await #expect(throws: Stop.self) {
      try await session.transaction { transaction in
        try await transaction.execute("INSERT INTO t VALUES (3)")
        throw Stop()
      }
    }
    #expect(try await session.query("SELECT * FROM t").count == 2)
  }

  @Test func swallowedErrorCannotCommit() async throws {
    let session = try makeSession()
    try await session.execute(script: "CREATE TABLE t (id bigint PRIMARY KEY)")
    let error = await #expect(throws: PostgresError.self) {
      try await session.transaction { transaction in
        try await transaction.execute("INSERT INTO t VALUES (1)")
        _ = try? await transaction.execute("INSERT INTO t VALUES (1)")
      }
    }
    #expect(error?.code == .transactionAborted)
    #expect(try await session.query("SELECT * FROM t").isEmpty)
  }

  @Test func othersCannotSlipIntoATransaction() async throws {
    let session = try makeSession()
    try await session.transaction { transaction in
      try await transaction.execute("SELECT 1")
      let error = await #expect(throws: PostgresError.self) { try await session.query("SELECT 1") }
      #expect(error?.code == .misuse)
    }
    #expect(try await session.query("SELECT 1").count == 1)
  }
}

extension Session {
  /// Asks until the statement returns a row; the test's own time limit ends a wait in vain.
  func waitUntil(_ statement: SQL) async throws {
    while try await query(statement).isEmpty {
      await Task.yield()
    }
  }
}
