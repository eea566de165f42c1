package import Egress
import FoundationEssentials
package import Postgres
import Synchronization

/// Keeps what platforms say about their limits, and which accounts were used, and stores it for people, a few times a
/// minute.
package final class LimitRecorder: Sendable {
  private struct Key: Hashable {
    var connection: Int64
    var rule: String
  }

  private struct Entry {
    var site: Int64
    var platform: String
    var snapshot: RateLimitSnapshot
  }

  private let latest = Mutex<[Key: Entry]>([:])
  private let used = Mutex<Set<Int64>>([])

  package init() {}

  /// Notes an answer's limits; the newest wins.
  package func note(_ snapshot: RateLimitSnapshot, site: Int64, connection: Int64, platform: String, rule: String) {
    latest.withLock {
      $0[Key(connection: connection, rule: rule)] = Entry(site: site, platform: platform, snapshot: snapshot)
    }
  }

  /// Notes that a request was made for an account.
  package func noteUse(connection: Int64) {
    used.withLock { _ = $0.insert(connection) }
  }

  /// Stores what was noted since the last call.
  package func flush(_ pool: Pool) async throws {
    try await flushUse(pool)
    try await flushLimits(pool)
  }

  private func flushUse(_ pool: Pool) async throws {
    let ids = used.withLock { used in
      defer { used.removeAll() }
      return used.sorted()
    }
    guard !ids.isEmpty else { return }
    try await pool.execute("UPDATE platform_connections SET last_used_at = now() WHERE id = ANY(\(ids))")
  }

  private func flushLimits(_ pool: Pool) async throws {
    let taken = latest.withLock { latest in
      defer { latest.removeAll() }
      return latest
    }
    guard !taken.isEmpty else { return }
    let rows = taken.sorted { ($0.key.connection, $0.key.rule) < ($1.key.connection, $1.key.rule) }
    try await pool.execute(
      """
      INSERT INTO rate_limit_tracking (connection_id, rule, site_id, platform, request_limit, remaining, resets_at)
      SELECT * FROM unnest(\(rows.map(\.key.connection)), \(rows.map(\.key.rule)), \(rows.map(\.value.site)),
        \(rows.map(\.value.platform)), \(rows.map { $0.value.snapshot.limit.map(Int32.init(clamping:)) }),
        \(rows.map { $0.value.snapshot.remaining.map(Int32.init(clamping:)) }), \(rows.map(\.value.snapshot.resetAt)))
      ON CONFLICT (connection_id, rule) DO UPDATE SET request_limit = excluded.request_limit,
        remaining = excluded.remaining, resets_at = excluded.resets_at, updated_at = now()
      """
    )
  }
}
