package import Postgres

/// Removes events that nobody comes back for any more.
///
/// A client that was away for longer gets a `gap` and loads its state anew.
package struct OutboxRetention: Sendable {
  /// How long an event stays.
  package static let age: Duration = .seconds(30 * 86_400)
  /// Rows of one statement, so that no transaction is long.
  private static let pieceSize = 5_000

  private let pool: Pool

  package init(pool: Pool) {
    self.pool = pool
  }

  /// Removes what is older than `age`; answers how many events there were.
  package func clean() async throws -> Int {
    var total = 0
    while true {
      let count = try await pool.execute(
        """
        DELETE FROM outbox WHERE id IN (
          SELECT id FROM outbox WHERE created_at < clock_timestamp() - \(Self.age.components.seconds) * interval '1 s'
          LIMIT \(Int64(Self.pieceSize)))
        """
      )
      total += count
      if count < Self.pieceSize { return total }
    }
  }
}
