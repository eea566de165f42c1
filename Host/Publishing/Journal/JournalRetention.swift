package import Postgres

/// Forgets the bodies of what ended long ago: texts that were sent, answers, captures. Steps, digests, classes and
/// remote ids stay as long as their delivery, and nothing of what is open or unconfirmed is touched. One that is retried
/// afterwards starts with the post as it is; for what it published already the adapter is told the platform's id, or where
/// there is none it is looked for on the platform.
package struct JournalRetention: Sendable {
  /// Deliveries of one statement, so that no transaction is long.
  static let pieceSize = 1_000

  private let pool: Pool
  private let days: Int

  /// - Parameter days: How long after their end deliveries keep them, 1 or more.
  package init(pool: Pool, days: Int) {
    self.pool = pool
    self.days = days
  }

  /// What one cleaning did.
  package struct Result: Sendable, Equatable {
    /// Deliveries that went out or were withdrawn, and whose bodies were dropped.
    package var completed = 0
    package var failed = 0

    var total: Int { completed + failed }
  }

  /// Cleans one site, or all.
  package func clean(site: Int64? = nil) async throws -> Result {
    var result = Result()
    for state in [DeliveryState.sent, .partial, .canceled] { result.completed += try await clean(state, site: site) }
    result.failed = try await clean(.failed, site: site)
    // The guard never looks further back than its longest window; what is open is looked at however old it is.
    try await pool.execute(
      """
      DELETE FROM delivery_contents c USING deliveries d
      WHERE c.created_at < now() - \(ContentGuard.longestWindow) * interval '1 s' AND d.id = c.delivery_id
        AND d.ended_at < now() - \(ContentGuard.longestWindow) * interval '1 s'
      """
    )
    return result
  }

  private func clean(_ state: DeliveryState, site: Int64?) async throws -> Int {
    var count = 0
    while true {
      let rows = try await pool.query(
        """
        WITH d AS MATERIALIZED (
          SELECT id FROM deliveries
          WHERE ended_at < now() - \(Int64(days)) * interval '1 day' AND ended_as = \(state.rawValue) AND NOT bodies_dropped
            AND removal IS DISTINCT FROM 'asked' AND (\(site)::bigint IS NULL OR site_id = \(site))
          LIMIT \(Int64(Self.pieceSize)) FOR UPDATE SKIP LOCKED
        ),
        e AS (
          UPDATE delivery_effects x SET answer = NULL FROM d WHERE x.delivery_id = d.id AND x.answer IS NOT NULL
        ),
        i AS (DELETE FROM delivery_inputs x USING d WHERE x.delivery_id = d.id),
        c AS (DELETE FROM delivery_captures x USING d WHERE x.delivery_id = d.id),
        u AS (UPDATE deliveries x SET bodies_dropped = true FROM d WHERE x.id = d.id)
        SELECT count(*) AS count FROM d
        """
      )
      let done = Int(try rows.first?.get("count", as: Int64.self) ?? 0)
      count += done
      if done < Self.pieceSize { return count }
    }
  }
}
