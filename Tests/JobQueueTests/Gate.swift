import Postgres

@testable import JobQueue

/// Holds a statement of one session between its snapshot and its first row lock, so that others can change rows that it
/// sees in their old state.
///
/// A table that the statement reads before it locks anything becomes a view, whose condition waits for an advisory lock
/// in the sessions that asked for it.
struct Gate: Sendable {
  private static let key = 4_711
  private static let patience = Duration.seconds(30)

  private let keeper: Session

  /// Puts the gate in front of a table and closes it.
  static func close(before table: String, in database: QueueDatabase) async throws -> Gate {
    let hidden = "gated_\(table)"
    try await database.pool.execute("ALTER TABLE \(identifier: table) RENAME TO \(identifier: hidden)")
    try await database.pool.execute(
      """
      CREATE FUNCTION pass_gate() RETURNS boolean LANGUAGE plpgsql AS $$
      BEGIN
        IF current_setting('test.gate', true) = 'on' THEN
          PERFORM pg_advisory_lock_shared(4711);
          PERFORM pg_advisory_unlock_shared(4711);
        END IF;
        RETURN true;
      END $$
      """
    )
    try await database.pool.execute(
      "CREATE VIEW \(identifier: table) AS SELECT * FROM \(identifier: hidden) WHERE pass_gate()"
    )
    let keeper = Session(database.configuration)
    try await keeper.execute("SELECT pg_advisory_lock(\(key))")
    return Gate(keeper: keeper)
  }

  /// Makes the session's statements wait at the gate.
  func stops(_ session: Session) async throws {
    try await session.execute("SELECT set_config('test.gate', 'on', false)")
  }

  /// Waits until a statement stands before the gate of this database; other tests have their own.
  func reached() async throws {
    let clock = ContinuousClock()
    let end = clock.now + Self.patience
    while true {
      let rows = try await keeper.query(
        """
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = \(Self.key)::oid AND NOT granted
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """
      )
      if !rows.isEmpty { return }
      guard clock.now < end else { throw GateError() }
      // Only paces the look.
      try await clock.sleep(for: .milliseconds(2))
    }
  }

  func open() async throws {
    try await keeper.execute("SELECT pg_advisory_unlock(\(Self.key))")
    await keeper.close()
  }

  struct GateError: Error, CustomStringConvertible {
    let description = "No statement came to the gate"
  }
}
