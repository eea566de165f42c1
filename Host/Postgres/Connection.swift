internal import CPostgres
internal import Glibc
internal import Logging

/// One connection to the server with blocking calls; used by one thread at a time.
@safe final class Connection {
  let cancelHandle: CancelHandle
  private let handle: OpaquePointer
  private let configuration: Configuration
  private let notices: NoticeReceiver
  private var statements: StatementCache
  /// The values of one statement, laid out for libpq; kept for the next one.
  private var scratch = ParameterBuffer()
  /// Set when the state of the protocol is unknown although the socket may still be open.
  private var isAbandoned = false

  /// Connects and makes the session settings.
  init(_ configuration: Configuration, logger: Logger) throws(PostgresError) {
    self.configuration = configuration
    statements = StatementCache(capacity: configuration.preparedStatements)
    let opened = unsafe try ConnectionOpener.open(configuration)
    guard let cancel = unsafe PQgetCancel(opened) else {
      unsafe PQfinish(opened)
      throw PostgresError(.connection, "No memory for a connection")
    }
    unsafe handle = opened
    cancelHandle = unsafe CancelHandle(adopting: cancel)
    notices = NoticeReceiver(logger: logger)
    unsafe notices.install(on: handle)
    if let script = configuration.settingsScript {
      try run(script: script)
    }
  }

  deinit {
    unsafe PQfinish(handle)
  }

  // MARK: State

  /// The process of the server that serves this connection.
  var backendPID: Int32 { unsafe PQbackendPID(handle) }

  var socket: Int32 { unsafe PQsocket(handle) }

  /// Whether nothing more can be sent; the connection must be dropped.
  var isBroken: Bool { unsafe isAbandoned || PQstatus(handle) != CONNECTION_OK }

  var isInTransaction: Bool { unsafe PQtransactionStatus(handle) != PQTRANS_IDLE }

  /// Looks, without sending anything, whether the server closed the idle connection.
  func isStale() -> Bool {
    // What arrives on an idle connection is a notice, a notification, or the end; more than that is not worth reading.
    for _ in 0..<64 {
      var descriptor = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
      guard unsafe poll(&descriptor, 1, 0) > 0 else { return isBroken }
      guard unsafe PQconsumeInput(handle) == 1 else { return true }
      _ = unsafe PQisBusy(handle)
    }
    return isBroken
  }

  // MARK: Running

  /// What stands around the statements of a batch.
  enum Opening {
    /// The statements are a transaction of their own.
    case none
    /// The batch begins a transaction that stays open.
    case transaction
    /// The batch belongs to a transaction that is open.
    case inside
  }

  /// Runs the statements as one pipeline with one Sync.
  ///
  /// Without an explicit transaction the server treats everything up to the Sync as one, so an error undoes it all.
  func run(_ batch: [SQL], scope: Scope, opening: Opening) throws(PostgresError) -> [QueryResult] {
    for (index, statement) in batch.enumerated() {
      let isPrepared = statements.contains(StatementCache.Key(literals: statement.literals, types: statement.types))
      if let problem = ParameterBuffer.problem(with: statement, isPrepared: isPrepared) {
        var error = PostgresError(.misuse, problem)
        error.statementIndex = batch.count > 1 ? index : nil
        throw error
      }
    }
    try makeRoom(for: batch)
    guard unsafe PQenterPipelineMode(handle) == 1 else { throw lost() }
    var pipeline = Pipeline()
    if case .transaction = opening {
      try send("BEGIN", in: &pipeline, at: nil)
    }
    if case .site(let id) = scope, opening != .inside {
      // In one statement and with `is_local`: both end with the transaction, whatever ends it.
      try send(
        "SELECT set_config('role', 'rostrum_api', true), set_config('app.site_id', \(String(id)), true)",
        in: &pipeline,
        at: nil
      )
    }
    for (index, statement) in batch.enumerated() {
      try send(statement, in: &pipeline, at: index)
    }
    guard unsafe PQpipelineSync(handle) == 1 else { throw lost() }
    return try receive(pipeline, count: batch.count)
  }

  /// Runs text with any number of statements and no parameters by the simple protocol.
  func run(script: String) throws(PostgresError) {
    guard !script.utf8.contains(0) else { throw PostgresError(.misuse, "The script contains a NUL byte") }
    let result = unsafe PQexec(handle, script)
    defer { unsafe PQclear(result) }
    guard let result = unsafe result else { throw lost() }
    if isBroken { throw unsafe lost(with: result) }
    switch unsafe PQresultStatus(result) {
    case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: return
    case PGRES_FATAL_ERROR: throw unsafe ServerMessage.error(result)
    default: throw PostgresError(.misuse, "The script contains COPY, which is not supported")
    }
  }

  /// Reads what arrived and returns the channels that were notified, or nil when the connection ended.
  func takeNotifications() -> [String]? {
    guard unsafe PQconsumeInput(handle) == 1, !isBroken else { return nil }
    var names: [String] = []
    while let notification = unsafe PQnotifies(handle) {
      names.append(unsafe String(cString: notification.pointee.relname))
      unsafe PQfreemem(notification)
    }
    return names
  }

  // MARK: Sending

  private struct Pipeline {
    enum Expectation {
      case prepared(StatementCache.Key, name: String, statement: Int?)
      case result(statement: Int?)
    }

    var expected: [Expectation] = []
    /// Statements that this pipeline prepares; the cache learns of them when the server has confirmed.
    var preparing: [StatementCache.Key: String] = [:]
  }

  private func send(_ statement: SQL, in pipeline: inout Pipeline, at index: Int?) throws(PostgresError) {
    scratch.fill(from: statement)
    guard configuration.preparedStatements > 0 else {
      let text = statement.text
      let sent = unsafe scratch.withPointers { values, lengths, formats, types in
        unsafe PQsendQueryParams(handle, text, Int32(statement.parameterCount), types, values, lengths, formats, 1)
      }
      guard sent == 1 else { throw refused(at: index) }
      pipeline.expected.append(.result(statement: index))
      return
    }
    let key = StatementCache.Key(literals: statement.literals, types: statement.types)
    let name: String
    if let known = statements.name(for: key) ?? pipeline.preparing[key] {
      name = known
    } else {
      name = statements.makeName()
      let text = statement.text
      let sent = unsafe statement.types.withUnsafeBufferPointer { types in
        unsafe PQsendPrepare(handle, name, text, Int32(types.count), types.baseAddress)
      }
      guard sent == 1 else { throw refused(at: index) }
      pipeline.preparing[key] = name
      pipeline.expected.append(.prepared(key, name: name, statement: index))
    }
    let sent = unsafe scratch.withPointers { values, lengths, formats, _ in
      unsafe PQsendQueryPrepared(handle, name, Int32(statement.parameterCount), values, lengths, formats, 1)
    }
    guard sent == 1 else { throw refused(at: index) }
    pipeline.expected.append(.result(statement: index))
  }

  /// Makes the server forget the oldest prepared statements when the cache is full.
  private func makeRoom(for batch: [SQL]) throws(PostgresError) {
    guard statements.count + batch.count + 1 > configuration.preparedStatements, statements.count > 0,
      unsafe PQtransactionStatus(handle) != PQTRANS_INERROR
    else { return }
    let keys = Set(batch.map { StatementCache.Key(literals: $0.literals, types: $0.types) })
    let new = keys.count { statements.name(for: $0) == nil }
    for name in statements.makeRoom(for: new, keeping: keys) {
      try run(script: "DEALLOCATE \(name)")
    }
  }

  // MARK: Receiving

  private func receive(_ pipeline: Pipeline, count: Int) throws(PostgresError) -> [QueryResult] {
    var results: [QueryResult] = []
    results.reserveCapacity(count)
    var failure: PostgresError?
    for expectation in pipeline.expected {
      guard let result = unsafe PQgetResult(handle) else { throw lost() }
      switch unsafe PQresultStatus(result) {
      case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
        switch expectation {
        case .prepared(let key, let name, _):
          unsafe PQclear(result)
          statements.insert(key, name: name)
        case .result(nil):
          unsafe PQclear(result)
        case .result:
          results.append(unsafe QueryResult(adopting: result))
        }
      case PGRES_PIPELINE_ABORTED:
        unsafe PQclear(result)
      default:
        let error = unsafe isBroken ? lost(with: result) : ServerMessage.error(result)
        unsafe PQclear(result)
        if isBroken { throw error }
        failure = failure ?? attributed(error, to: expectation, of: count)
      }
      // A NULL ends the results of each statement.
      while let extra = unsafe PQgetResult(handle) {
        unsafe PQclear(extra)
        if isBroken { throw lost() }
      }
    }
    // No NULL follows the result of the Sync.
    guard let sync = unsafe PQgetResult(handle) else { throw lost() }
    let isSynced = unsafe PQresultStatus(sync) == PGRES_PIPELINE_SYNC
    let problem: PostgresError? = unsafe isSynced ? nil : isBroken ? lost(with: sync) : ServerMessage.error(sync)
    unsafe PQclear(sync)
    if let problem {
      // A constraint that is checked at commit fails here, before the Sync is answered.
      guard !isBroken, try skipToSync() else { throw problem.isConnectionLost ? problem : lost() }
      failure = failure ?? problem
    }
    guard unsafe PQexitPipelineMode(handle) == 1 else { throw lost() }
    if let failure {
      forgetStatements(after: failure)
      throw failure
    }
    return results
  }

  /// Reads up to the answer of the Sync; returns false when the connection ended before.
  private func skipToSync() throws(PostgresError) -> Bool {
    var empty = 0
    while empty < 2 {
      guard let result = unsafe PQgetResult(handle) else {
        empty += 1
        continue
      }
      let status = unsafe PQresultStatus(result)
      unsafe PQclear(result)
      if status == PGRES_PIPELINE_SYNC { return true }
      if isBroken { return false }
      empty = 0
    }
    return false
  }

  private func attributed(
    _ error: PostgresError,
    to expectation: Pipeline.Expectation,
    of count: Int
  ) -> PostgresError {
    var error = error
    let index: Int?
    switch expectation {
    case .prepared(_, _, let statement): index = statement
    case .result(let statement): index = statement
    }
    if count > 1 { error.statementIndex = index }
    return error
  }

  /// Whether an error says that prepared statements no longer fit the schema or are gone.
  static func meansStaleStatement(_ error: PostgresError) -> Bool {
    error.code == .server("26000") || error.code == .server("0A000") && error.message.contains("cached plan")
  }

  private func forgetStatements(after error: PostgresError) {
    guard Connection.meansStaleStatement(error) else { return }
    // The names are never used again, so the server's leftovers only cost it memory until the connection ends.
    statements.removeAll()
  }

  // MARK: Errors

  /// libpq did not take a statement; the pipeline stands half sent, so the connection is useless now.
  private func refused(at index: Int?) -> PostgresError {
    if unsafe PQstatus(handle) != CONNECTION_OK { return lost() }
    isAbandoned = true
    var error = PostgresError(.misuse, configuration.redacted(lastMessage()))
    error.statementIndex = index
    return error
  }

  private func lost() -> PostgresError {
    isAbandoned = true
    return PostgresError(.connectionLost, "The connection to the database was lost")
  }

  private func lost(with result: OpaquePointer) -> PostgresError {
    var error = lost()
    error.sqlState = unsafe ServerMessage.field(result, CPostgres_sqlState)
    return error
  }

  private func lastMessage() -> String {
    guard let text = unsafe PQerrorMessage(handle) else { return "" }
    return unsafe String(cString: text).split(separator: "\n").joined(separator: "; ")
  }
}

@available(*, unavailable)
extension Connection: Sendable {}
