internal import Dispatch
package import Logging

/// One connection to the database, used by one caller at a time on a queue of its own.
///
/// A session connects at its first use. After a loss every call throws until ``connect()`` opens it again, because
/// locks and settings of the old connection are gone; a session of a pool has no such state and reconnects by itself.
package actor Session {
  private struct OpenTransaction {
    let id: UInt64
    let scope: Scope
    /// BEGIN travels with the first statement.
    var isBegun = false
  }

  private let executor: BlockingExecutor
  package nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

  package nonisolated let configuration: Configuration
  private let logger: Logger
  private let reconnects: Bool
  private var connection: Connection?
  private var wasConnected = false
  private var isClosed = false
  private var transaction: OpenTransaction?
  private var lastTransaction: UInt64 = 0

  /// Makes a session without connecting.
  ///
  /// - Parameter reconnects: Whether a use after a loss opens a new connection.
  package init(_ configuration: Configuration, reconnects: Bool = false, logger: Logger = .current) {
    executor = BlockingExecutor(label: "postgres")
    self.configuration = configuration
    self.reconnects = reconnects
    self.logger = logger
  }

  // MARK: Connection

  /// Opens the connection when there is none; state of an earlier connection is gone.
  package func connect() async throws(PostgresError) {
    guard !isClosed else { throw PostgresError(.closed, "The session is closed") }
    if let connection, !connection.isStale() { return }
    connection = nil
    transaction = nil
    connection = try Connection(configuration, logger: logger)
    wasConnected = true
  }

  /// Closes the connection for good.
  package func close() {
    isClosed = true
    connection = nil
    transaction = nil
  }

  /// The process of the server that serves this session, or nil without a connection.
  package var backendPID: Int32? { connection?.backendPID }

  /// Whether there is a connection that the server has not closed.
  package var isConnected: Bool {
    guard let connection else { return false }
    return !connection.isStale()
  }

  // MARK: Statements

  /// Runs one statement as a transaction of its own and returns its rows.
  package func query(_ statement: SQL, scope: Scope = .owner) async throws(PostgresError) -> [Row] {
    try await results([statement], scope: scope, inside: nil)[0].rows
  }

  /// Runs one statement as a transaction of its own and returns how many rows it touched.
  @discardableResult
  package func execute(_ statement: SQL, scope: Scope = .owner) async throws(PostgresError) -> Int {
    try await results([statement], scope: scope, inside: nil)[0].affectedRows
  }

  /// Runs the statements in one round trip and one transaction: all take effect or none.
  @discardableResult
  package func batch(_ statements: [SQL], scope: Scope = .owner) async throws(PostgresError) -> [[Row]] {
    guard !statements.isEmpty else { return [] }
    return try await results(statements, scope: scope, inside: nil).map(\.rows)
  }

  /// Runs text with any number of statements and without parameters, such as a migration.
  ///
  /// Only for text that belongs to the program; unless it opens a transaction itself, it is one.
  package func execute(script: String) async throws(PostgresError) {
    try await execute(script: script, inside: nil)
  }

  /// Runs the body in a transaction: COMMIT when it returns, ROLLBACK when it throws. Nothing is retried.
  ///
  /// Other calls of this session throw while the transaction is open.
  package nonisolated func transaction<Value>(
    scope: Scope = .owner,
    _ body: (Transaction) async throws -> Value
  ) async throws -> Value {
    let transaction = Transaction(session: self, id: try await beginTransaction(scope: scope))
    let value: Value
    do {
      value = try await body(transaction)
    } catch {
      await rollBack(transaction.id)
      throw error
    }
    try await commit(transaction.id)
    return value
  }

  // MARK: Transactions

  func beginTransaction(scope: Scope) throws(PostgresError) -> UInt64 {
    guard transaction == nil else { throw Session.busy }
    lastTransaction += 1
    transaction = OpenTransaction(id: lastTransaction, scope: scope)
    return lastTransaction
  }

  func commit(_ id: UInt64) throws(PostgresError) {
    guard let open = transaction, open.id == id else { throw Session.ended }
    transaction = nil
    guard open.isBegun else { return }
    guard let connection else { throw PostgresError(.connectionLost, "The connection was lost before the COMMIT") }
    let results = try checked { () throws(PostgresError) in
      try connection.run(["COMMIT"], scope: .owner, opening: .inside)
    }
    if results[0].commandTag == "ROLLBACK" {
      throw PostgresError(.transactionAborted, "A statement had failed, so the transaction was rolled back")
    }
  }

  /// Ends the transaction; a connection that cannot even do that is dropped, which rolls back as well.
  func rollBack(_ id: UInt64) {
    guard let open = transaction, open.id == id else { return }
    transaction = nil
    guard open.isBegun else { return }
    rollBackOrDrop()
  }

  func results(
    _ statements: [SQL],
    scope: Scope,
    inside id: UInt64?
  ) async throws(PostgresError) -> [QueryResult] {
    try await cancellable { session, operation throws(PostgresError) in
      try session.run(statements, scope: scope, inside: id, operation)
    }
  }

  func execute(script: String, inside id: UInt64?) async throws(PostgresError) {
    if id != nil {
      // Nothing but the opening: a script travels by the simple protocol, which a pipeline cannot carry.
      _ = try await results(["SELECT"], scope: .owner, inside: id)
    }
    try await cancellable { session, operation throws(PostgresError) in
      try session.runScript(script, inside: id, operation)
    }
  }

  // MARK: Blocking part

  private func run(
    _ statements: [SQL],
    scope: Scope,
    inside id: UInt64?,
    _ operation: Operation
  ) throws(PostgresError) -> [QueryResult] {
    if let id {
      guard let open = transaction, open.id == id else { throw Session.ended }
      if open.isBegun {
        guard let connection else { throw PostgresError(.connectionLost, "The connection of the transaction was lost") }
        return try interruptible(connection, operation) { () throws(PostgresError) in
          try connection.run(statements, scope: open.scope, opening: .inside)
        }
      }
      let connection = try usableConnection()
      transaction?.isBegun = true
      return try interruptible(connection, operation) { () throws(PostgresError) in
        try connection.run(statements, scope: open.scope, opening: .transaction)
      }
    }
    guard transaction == nil else { throw Session.busy }
    let connection = try usableConnection()
    let attempt = { () throws(PostgresError) -> [QueryResult] in
      try connection.run(statements, scope: scope, opening: .none)
    }
    let results: [QueryResult]
    do throws(PostgresError) {
      results = try interruptible(connection, operation, attempt)
    } catch {
      leaveStrayTransaction(connection)
      // A schema change made a prepared statement useless; all was rolled back, so it may run once more.
      guard Connection.meansStaleStatement(error) else { throw error }
      return try interruptible(connection, operation, attempt)
    }
    guard !leaveStrayTransaction(connection) else {
      throw PostgresError(.misuse, "A statement left a transaction open; it was rolled back")
    }
    return results
  }

  private func runScript(_ script: String, inside id: UInt64?, _ operation: Operation) throws(PostgresError) {
    guard transaction?.id == id else { throw id == nil ? Session.busy : Session.ended }
    let connection: Connection
    if id == nil {
      connection = try usableConnection()
    } else if let open = self.connection {
      connection = open
    } else {
      throw PostgresError(.connectionLost, "The connection of the transaction was lost")
    }
    defer {
      if id == nil { leaveStrayTransaction(connection) }
    }
    try interruptible(connection, operation) { () throws(PostgresError) in
      try connection.run(script: script)
    }
  }

  private func usableConnection() throws(PostgresError) -> Connection {
    guard !isClosed else { throw PostgresError(.closed, "The session is closed") }
    if let connection, !connection.isStale() { return connection }
    connection = nil
    guard !wasConnected || reconnects else {
      throw PostgresError(.connectionLost, "The connection to the database was lost")
    }
    let opened = try Connection(configuration, logger: logger)
    connection = opened
    wasConnected = true
    return opened
  }

  /// Rolls back what a statement such as `BEGIN` left open; returns whether there was something.
  @discardableResult
  private func leaveStrayTransaction(_ connection: Connection) -> Bool {
    guard !connection.isBroken, connection.isInTransaction else { return false }
    rollBackOrDrop()
    return true
  }

  private func rollBackOrDrop() {
    do {
      try connection?.run(script: "ROLLBACK")
    } catch {
      connection = nil
    }
  }

  private func interruptible<Value>(
    _ connection: Connection,
    _ operation: Operation,
    _ body: () throws(PostgresError) -> Value
  ) throws(PostgresError) -> Value {
    guard operation.begin(connection.cancelHandle) else { throw Session.canceled }
    defer { operation.end() }
    do throws(PostgresError) {
      return try checked(body)
    } catch {
      // Only our own request explains 57014 when the task was cancelled; otherwise it was the statement timeout.
      throw error.sqlState == "57014" && operation.isCanceled && !error.isConnectionLost ? Session.canceled : error
    }
  }

  /// Drops the connection when the body lost it.
  private func checked<Value>(_ body: () throws(PostgresError) -> Value) throws(PostgresError) -> Value {
    do throws(PostgresError) {
      return try body()
    } catch {
      if error.isConnectionLost || connection?.isBroken == true {
        connection = nil
      }
      throw error
    }
  }

  private func cancellable<Value: Sendable>(
    _ body: (isolated Session, Operation) throws(PostgresError) -> Value
  ) async throws(PostgresError) -> Value {
    let operation = Operation()
    let result = await withTaskCancellationHandler {
      Result { () throws(PostgresError) in try body(self, operation) }
    } onCancel: {
      operation.cancel()
    }
    return try result.get()
  }

  private static var busy: PostgresError {
    PostgresError(.misuse, "The session has an open transaction; use that one")
  }

  private static var ended: PostgresError {
    PostgresError(.misuse, "The transaction has ended")
  }

  private static var canceled: PostgresError {
    PostgresError(.canceled, "The statement was cancelled")
  }
}
