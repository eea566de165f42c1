import Postgres
import TestSupport
import Testing

/// Inserts one row; doubles as a poison when the number is negative.
private struct Insert: BatchOperation {
  let number: Int64
  static let rank = 1

  static func statement(for operations: [Insert]) -> SQL {
    let numbers = operations.map(\.number)
    return """
      INSERT INTO numbers (n) SELECT n FROM unnest(\(numbers)) WITH ORDINALITY AS u (n, place) ORDER BY place RETURNING n
      """
  }

  static func outputs(of rows: [Row], for operations: [Insert]) throws -> [Int64] {
    try rows.map { try $0[0] }
  }
}

/// Counts the rows that the statements of lower rank have inserted by then.
private struct Count: BatchOperation {
  static let rank = 2

  static func statement(for operations: [Count]) -> SQL {
    "SELECT count(*) FROM numbers"
  }

  static func outputs(of rows: [Row], for operations: [Count]) throws -> [Int] {
    let count: Int = try rows[0][0]
    return operations.map { _ in count }
  }
}

/// Takes a lock, so that a test can hold up the writer.
private struct Wait: BatchOperation {
  static let rank = 0

  static func statement(for operations: [Wait]) -> SQL {
    "SELECT pg_advisory_xact_lock(42)::text"
  }

  static func outputs(of rows: [Row], for operations: [Wait]) throws -> [Bool] {
    operations.map { _ in true }
  }
}

@Suite(.emptyDatabase) struct BatchWriterTests {
  private let configuration: Configuration
  private let session: Session

  init() throws {
    configuration = try TestDatabase.current.configuration
    session = Session(configuration)
  }

  private func makeTable() async throws {
    try await session.execute(script: "CREATE TABLE numbers (n bigint PRIMARY KEY CHECK (n >= 0))")
  }

  private func inserted() async throws -> [Int64] {
    try await session.query("SELECT n FROM numbers ORDER BY n").map { try $0[0] }
  }

  /// Submits everything at once and gathers the outcomes.
  private func submit(_ numbers: [Int64], to writer: BatchWriter) async -> [Int64: Result<Int64, any Error>] {
    await withTaskGroup(of: (Int64, Result<Int64, any Error>).self) { group in
      for number in numbers {
        group.addTask {
          do {
            return (number, .success(try await writer.submit(Insert(number: number))))
          } catch {
            return (number, .failure(error))
          }
        }
      }
      return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
    }
  }

  @Test func joinsCallersIntoFewFlushes() async throws {
    try await makeTable()
    let writer = BatchWriter(configuration)
    let outcomes = await submit((0..<2_000).map(Int64.init), to: writer)
    for (number, outcome) in outcomes {
      #expect(try outcome.get() == number)
    }
    #expect(try await inserted().count == 2_000)
    let statistics = writer.statistics
    #expect(statistics.operations == 2_000)
    #expect(statistics.flushes < 1_000)
    await writer.close()
  }

  @Test func poisonedRowsFailAlone() async throws {
    try await makeTable()
    let writer = BatchWriter(configuration)
    let good = (0..<300).map(Int64.init)
    let outcomes = await submit(good + [-1, -2], to: writer)
    for (number, outcome) in outcomes {
      if number < 0 {
        let error = #expect(throws: PostgresError.self) { try outcome.get() }
        #expect(error?.code == .server("23514"))
      } else {
        #expect(try outcome.get() == number)
      }
    }
    #expect(try await inserted() == good)
    await writer.close()
  }

  @Test func ranksOrderTheStatementsOfAFlush() async throws {
    try await makeTable()
    let writer = BatchWriter(configuration)
    try await session.execute("SELECT pg_advisory_lock(42)")
    async let waiting = writer.submit(Wait())
    try await session.waitUntil("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    // These queue behind the flush that waits for the lock.
    async let count = writer.submit(Count())
    async let insert = writer.submit(Insert(number: 7))
    while writer.queued < 2 {
      await Task.yield()
    }
    try await session.execute("SELECT pg_advisory_unlock(42)")
    #expect(try await waiting)
    #expect(try await insert == 7)
    #expect(try await count == 1)
    #expect(writer.statistics.flushes == 2)
    await writer.close()
  }

  @Test func pairsAreCommittedTogetherOrNotAtAll() async throws {
    try await makeTable()
    let writer = BatchWriter(configuration)
    let good = try await writer.submit(Insert(number: 1), with: Count())
    #expect(good == (1, 1))
    await #expect(throws: PostgresError.self) {
      try await writer.submit(Insert(number: 2), with: Insert(number: -1))
    }
    #expect(try await inserted() == [1])
    await writer.close()
  }

  @Test func lostConnectionIsReportedAndReopened() async throws {
    try await makeTable()
    let writer = BatchWriter(configuration)
    try await session.execute("SELECT pg_advisory_lock(42)")
    let waiting = Task { try await writer.submit(Wait()) }
    try await session.waitUntil("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    try await session.execute(
      "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    )
    let error = await #expect(throws: PostgresError.self) { try await waiting.value }
    #expect(error?.isConnectionLost == true)
    #expect(try await writer.submit(Insert(number: 1)) == 1)
    await writer.close()
  }

  @Test func killsUnderLoadLoseNothingSilently() async throws {
    try await makeTable()
    let writer = BatchWriter(configuration)
    let killing = Task {
      let killer = Session(configuration)
      for _ in 0..<15 {
        try await killer.execute(
          """
          SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
          WHERE datname = current_database() AND query LIKE 'INSERT INTO numbers%' AND pid <> pg_backend_pid()
          """
        )
      }
      await killer.close()
    }
    var outcomes: [Int64: Result<Int64, any Error>] = [:]
    for round in 0..<20 {
      let numbers = (0..<100).map { Int64(round * 100 + $0) }
      outcomes.merge(await submit(numbers, to: writer)) { _, new in new }
    }
    try await killing.value
    let written = Set(try await inserted())
    for (number, outcome) in outcomes {
      switch outcome {
      case .success: #expect(written.contains(number))
      case .failure(let error as PostgresError):
        #expect(error.isConnectionLost || error.isNotSent)
        if error.isNotSent { #expect(!written.contains(number)) }
      case .failure(let error): Issue.record(error)
      }
    }
    await writer.close()
  }

  @Test func patienceEndsWithoutAServer() async throws {
    let nowhere = Configuration(socketDirectory: "/nonexistent", database: "x", user: "x")
    let writer = BatchWriter(nowhere, patience: .milliseconds(50))
    let error = await #expect(throws: PostgresError.self) { try await writer.submit(Insert(number: 1)) }
    #expect(error?.code == .connection)
    await writer.close()
  }

  @Test func closeWritesWhatIsQueued() async throws {
    try await makeTable()
    let writer = BatchWriter(configuration)
    try await session.execute("SELECT pg_advisory_lock(42)")
    async let waiting = writer.submit(Wait())
    try await session.waitUntil("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    async let queued = writer.submit(Insert(number: 5))
    while writer.queued < 1 {
      await Task.yield()
    }
    async let closed: Void = writer.close()
    try await session.execute("SELECT pg_advisory_unlock(42)")
    #expect(try await waiting)
    #expect(try await queued == 5)
    await closed
    let error = await #expect(throws: PostgresError.self) { try await writer.submit(Insert(number: 6)) }
    #expect(error?.code == .closed)
  }
}
