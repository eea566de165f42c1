internal import Dispatch
internal import Logging
internal import Synchronization

/// Owns the connection of a ``BatchWriter`` and writes groups of operations through it.
actor BatchFlusher {
  private let executor = BlockingExecutor(label: "postgres.writer")
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }
  nonisolated var queue: DispatchQueue { executor.queue }

  private let configuration: Configuration
  private let backoff: Backoff
  private let logger: Logger
  private nonisolated let counters = Mutex((flushes: 0, operations: 0))
  private var connection: Connection?
  /// When the statements were planned, and after what time they are planned again.
  private var planning = (at: ContinuousClock.Instant.now, age: BatchFlusher.firstPlanAge)
  private var failures = 0
  private var nextAttempt: ContinuousClock.Instant?
  /// Why the last attempt to connect failed.
  private(set) var lastError: PostgresError?

  /// The server plans a statement once, for tables as they are then. A plan for a table with a handful of rows reads
  /// all of it, which is ruinous when it holds thousands; the server notices such growth only after a minute. Planning
  /// all of a flush takes tens of milliseconds, in which every caller waits, so it is not done for ever as often.
  private static let firstPlanAge = Duration.seconds(1)
  private static let maximumPlanAge = Duration.seconds(60)
  /// A flush that takes so long may have a plan that no longer fits, which is then thrown away earlier.
  private static let slowFlush = Duration.milliseconds(100)
  private static let slowPlanAge = Duration.seconds(10)

  init(_ configuration: Configuration, backoff: Backoff, logger: Logger) {
    self.configuration = configuration
    self.backoff = backoff
    self.logger = logger
  }

  nonisolated var statistics: (flushes: Int, operations: Int) { counters.withLock { $0 } }

  /// Makes sure that there is a connection; returns how long to wait before the next attempt when there is none.
  func connectIfNeeded(_ now: ContinuousClock.Instant) -> Duration? {
    if let connection, !connection.isStale() { return nil }
    connection = nil
    if let nextAttempt, nextAttempt > now { return nextAttempt - now }
    do throws(PostgresError) {
      connection = try Connection(configuration, logger: logger)
      planning = (now, BatchFlusher.firstPlanAge)
      failures = 0
      nextAttempt = nil
      lastError = nil
      return nil
    } catch {
      failures += 1
      lastError = error
      let delay = backoff.delay(afterAttempt: failures, jitter: Double.random(in: 0..<1))
      nextAttempt = now + delay
      logger.warning("The writer cannot reach the database", ["error": .error(error), "attempt": .int(failures)])
      return delay
    }
  }

  func disconnect() {
    connection = nil
  }

  /// Writes the groups in one transaction and resumes their callers; on a refusal tries smaller parts.
  func flush(_ groups: [any BatchGroup]) {
    var failure = write(groups)
    if let error = failure, error.isRetryableConflict {
      failure = write(groups)
    }
    guard let failure else { return }
    guard case .server = failure.code, !BatchFlusher.concernsServer(failure), !parts(of: groups).isEmpty else {
      for group in groups {
        group.fail(failure)
      }
      return
    }
    for part in parts(of: groups) {
      flush(part)
    }
  }

  /// Cuts what was refused: by kind, or in halves where operations that belong together stay together.
  private func parts(of groups: [any BatchGroup]) -> [[any BatchGroup]] {
    let tickets = Set(groups.flatMap(\.tickets)).sorted()
    guard tickets.count > 1 else { return [] }
    if groups.count > 1, tickets.count == groups.reduce(0, { $0 + $1.count }) {
      return groups.map { [$0] }
    }
    let middle = tickets[tickets.count / 2]
    return [0..<middle, middle..<UInt64.max].map { range in groups.compactMap { $0.part(tickets: range) } }
  }

  /// Runs one transaction; returns its error, or nil after the callers were resumed.
  private func write(_ groups: [any BatchGroup]) -> PostgresError? {
    guard let connection else {
      // The connection went while an earlier part was written; this part was never sent.
      return PostgresError(.connection, "The connection was lost before this was sent")
    }
    do throws(PostgresError) {
      try forgetOldPlans(connection)
      let begin = ContinuousClock.now
      let results = try connection.run(groups.map(\.statement), scope: .owner, opening: .none)
      if .now - begin > BatchFlusher.slowFlush { planning.age = min(planning.age, BatchFlusher.slowPlanAge) }
      counters.withLock { counters in
        counters.flushes += 1
        counters.operations += groups.reduce(0) { $0 + $1.count }
      }
      for (group, result) in zip(groups, results) {
        group.complete(result.rows)
      }
      return nil
    } catch {
      if error.isConnectionLost || connection.isBroken {
        self.connection = nil
        logger.warning("The writer lost its connection", ["error": .error(error)])
      }
      return error
    }
  }

  private func forgetOldPlans(_ connection: Connection) throws(PostgresError) {
    let now = ContinuousClock.now
    guard now - planning.at >= planning.age else { return }
    planning = (now, min(planning.age * 2, BatchFlusher.maximumPlanAge))
    try connection.run(script: "DISCARD PLANS")
  }

  /// Whether smaller parts would fail in the same way: no resources, an operator's or a timeout's stop, a disk error.
  private static func concernsServer(_ error: PostgresError) -> Bool {
    guard let state = error.sqlState else { return true }
    return ["53", "57", "58", "XX"].contains { state.hasPrefix($0) }
  }
}
