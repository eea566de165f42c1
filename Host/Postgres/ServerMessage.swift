internal import CPostgres

/// Reads errors and notices of the server without taking over values of the data.
enum ServerMessage {
  /// Makes an error from a failed answer.
  static func error(_ result: OpaquePointer) -> PostgresError {
    let state = unsafe field(result, CPostgres_sqlState) ?? ""
    var error = unsafe PostgresError(.server(state), message(result, state: state))
    error.constraint = unsafe field(result, CPostgres_constraintName)
    error.table = unsafe field(result, CPostgres_tableName)
    error.column = unsafe field(result, CPostgres_columnName)
    return error
  }

  /// Returns the primary text, unless its class is known to quote values.
  static func message(_ result: OpaquePointer, state: String) -> String {
    // Class 22 quotes the input ("invalid input syntax for type integer: …"); 23 quotes it only in the detail.
    if state.hasPrefix("22") { return "The server refused a value" }
    return unsafe field(result, CPostgres_messagePrimary) ?? "The server gave no reason"
  }

  static func field(_ result: OpaquePointer, _ code: Int32) -> String? {
    guard let text = unsafe PQresultErrorField(result, code) else { return nil }
    return unsafe String(cString: text)
  }
}
