/// An open transaction; it ends with the body that received it.
package struct Transaction: Sendable {
  let session: Session
  let id: UInt64

  /// Runs one statement and returns its rows.
  package func query(_ statement: SQL) async throws(PostgresError) -> [Row] {
    try await session.results([statement], scope: .owner, inside: id)[0].rows
  }

  /// Runs one statement and returns how many rows it touched.
  @discardableResult
  package func execute(_ statement: SQL) async throws(PostgresError) -> Int {
    try await session.results([statement], scope: .owner, inside: id)[0].affectedRows
  }

  /// Runs the statements in one round trip.
  @discardableResult
  package func batch(_ statements: [SQL]) async throws(PostgresError) -> [[Row]] {
    guard !statements.isEmpty else { return [] }
    return try await session.results(statements, scope: .owner, inside: id).map(\.rows)
  }

  /// Runs text with any number of statements and without parameters; it must not end the transaction.
  package func execute(script: String) async throws(PostgresError) {
    try await session.execute(script: script, inside: id)
  }
}
