/// A failed database operation.
///
/// `message` and `description` are safe to log: they name what the schema names and never quote a value.
package struct PostgresError: Error, Hashable, Sendable {
  /// The kind of the failure.
  package enum Code: Hashable, Sendable {
    /// The server refused a statement; the five characters are its SQLSTATE. The transaction was rolled back.
    case server(String)
    /// No connection could be opened; nothing was sent.
    case connection
    /// The connection broke while something was under way: a COMMIT may have happened or not.
    case connectionLost
    /// No session of the pool became free in time; nothing was sent.
    case timeout
    /// The calling task was cancelled and the statement did not take effect.
    case canceled
    /// A value of the answer cannot be read as the wanted type.
    case decoding
    /// The transaction had already failed, so its COMMIT became a ROLLBACK.
    case transactionAborted
    /// The pool, the writer or the session was closed; nothing was sent.
    case closed
    /// The connection string or a setting is wrong.
    case configuration
    /// The caller broke a rule of this module, such as using a session while its transaction is open.
    case misuse
  }

  package let code: Code
  /// The text of the failure, safe to log.
  package let message: String
  /// The SQLSTATE when the server sent one, also for a lost connection.
  package var sqlState: String?
  /// The violated constraint.
  package var constraint: String?
  package var table: String?
  package var column: String?
  /// The place of the failed statement in its batch, from 0.
  package var statementIndex: Int?

  package init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
    if case .server(let state) = code {
      sqlState = state
    }
  }

  /// Whether the connection broke under way, so that the effect of the operation is unknown.
  package var isConnectionLost: Bool { code == .connectionLost }

  /// Whether nothing reached the server, so that the same operation may simply be tried again.
  package var isNotSent: Bool { code == .connection || code == .timeout || code == .closed }

  /// Whether connecting again would fail in the same way: wrong password, role or database.
  var isPermanent: Bool {
    guard code == .connection, let sqlState else { return code == .configuration }
    return sqlState.hasPrefix("28") || sqlState == "3D000"
  }

  /// Whether a unique constraint was violated.
  package var isUniqueViolation: Bool { sqlState == "23505" }

  /// Whether two transactions got in each other's way and the same transaction may succeed when repeated.
  package var isRetryableConflict: Bool {
    guard case .server(let state) = code else { return false }
    return state == "40001" || state == "40P01" || state == "55P03"
  }
}

extension PostgresError: CustomStringConvertible {
  package var description: String {
    var text = message
    if let sqlState { text += " (SQLSTATE \(sqlState))" }
    if let constraint { text += ", constraint \(constraint)" }
    if let table { text += ", table \(table)" }
    if let column { text += ", column \(column)" }
    if let statementIndex { text += ", statement \(statementIndex + 1) of the batch" }
    return text
  }
}
