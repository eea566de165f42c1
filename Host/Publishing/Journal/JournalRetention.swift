internal import FoundationEssentials
package import Postgres

/// Drops what ended deliveries need no more: captured secrets and addresses, the platforms' answers, and the bodies that
/// runs were started with. What was sent, when, and how it ended stays.
///
/// A delivery that is open, or that waits for a person's word, keeps everything. One that is retried afterwards starts
/// with the post as it is; for what it published already the adapter is told the platform's id, or where there is none it
/// is looked for on the platform.
package struct JournalRetention: Sendable {
  /// Deliveries of one statement, so that no transaction is long.
  static let pieceSize = 1_000

  private let pool: Pool
  private let days: Int

  /// - Parameter days: How long after their end deliveries keep it, 1 or more.
  package init(pool: Pool, days: Int) {
    self.pool = pool
    self.days = days
  }

  /// Drops what is old enough; answers how many deliveries there were.
  package func clean() async throws -> Int {
    let before: Date = try await pool.query("SELECT clock_timestamp() - \(Int64(days)) * interval '1 day'")[0].get(0)
    let end = try await firstDelivery(since: before)
    var (after, total) = (Int64(0), 0)
    while true {
      let row = try await pool.query(Self.piece(after: after, end: end, before: before))[0]
      guard let last = try row.get("last", as: Int64?.self) else { return total }
      total += Int(try row.get("cleaned", as: Int64.self))
      after = last
    }
  }

  /// Rows of `delivery_inputs` stand for all three kinds: the first effect of a run brings one, and it is dropped last.
  private static func piece(after: Int64, end: Int64, before: Date) -> SQL {
    """
    WITH page AS MATERIALIZED (
      SELECT DISTINCT delivery_id FROM delivery_inputs
      WHERE delivery_id > \(after) AND delivery_id < \(end) ORDER BY delivery_id LIMIT \(Int64(pieceSize))
    ), old AS MATERIALIZED (
      SELECT d.id FROM deliveries d JOIN page ON page.delivery_id = d.id
      WHERE d.ended_as IN ('sent', 'partial', 'failed', 'canceled') AND d.ended_at < \(before)
      FOR SHARE OF d SKIP LOCKED
    ), captures AS (
      DELETE FROM delivery_captures c USING old WHERE c.delivery_id = old.id
    ), answers AS (
      UPDATE delivery_effects e SET answer = NULL FROM old WHERE e.delivery_id = old.id AND e.answer IS NOT NULL
    ), inputs AS (
      DELETE FROM delivery_inputs i USING old WHERE i.delivery_id = old.id
    )
    SELECT (SELECT max(delivery_id) FROM page) AS last, (SELECT count(*) FROM old) AS cleaned
    """
  }

  /// The first delivery that was made at that time or later, found by halving: numbers grow with time, and only they
  /// have an index. What ended before was made before.
  private func firstDelivery(since time: Date) async throws -> Int64 {
    var low: Int64 = 0
    var high = try await pool.query("SELECT coalesce(max(id), 0) + 1 FROM deliveries")[0].get(0, as: Int64.self)
    while low < high {
      let middle = low + (high - low) / 2
      let rows = try await pool.query(
        "SELECT id, created_at < \(time) AS is_before FROM deliveries WHERE id >= \(middle) ORDER BY id LIMIT 1"
      )
      if let row = rows.first, try row.get("is_before", as: Bool.self) {
        low = try row.get("id", as: Int64.self) + 1
      } else {
        high = middle
      }
    }
    return low
  }
}
