package import Egress
import FoundationEssentials
import PluginManifest
package import Postgres
import Synchronization

/// Keeps what platforms say about their limits, and which accounts were used, and stores it for people, a few times a
/// minute. Who has used up four fifths of a limit is warned, once a window.
package final class LimitRecorder: Sendable {
  private struct Key: Hashable {
    var connection: Int64
    var rule: String
    var place: Int16
  }

  private struct Entry {
    var site: Int64
    var platform: String
    var reading: RateLimitSnapshot.Reading
  }

  /// The name under which the host's own count of an account stands.
  package static let ownRule = ""

  private let latest = Mutex<[Key: Entry]>([:])
  private let used = Mutex<Set<Int64>>([])

  package init() {}

  /// Notes an answer's limits; the newest wins.
  package func note(_ snapshot: RateLimitSnapshot, site: Int64, connection: Int64, platform: String, rule: String) {
    latest.withLock { latest in
      for (place, reading) in snapshot.readings.enumerated() {
        latest[Key(connection: connection, rule: rule, place: Int16(clamping: place))] = Entry(
          site: site,
          platform: platform,
          reading: reading
        )
      }
    }
  }

  /// Notes that a request was made for an account.
  package func noteUse(connection: Int64) {
    used.withLock { _ = $0.insert(connection) }
  }

  /// Stores what was noted since the last call.
  package func flush(_ pool: Pool) async throws {
    let ids = used.withLock { used in
      defer { used.removeAll() }
      return used.sorted()
    }
    if !ids.isEmpty {
      try await pool.execute("UPDATE platform_connections SET last_used_at = now() WHERE id = ANY(\(ids))")
      try await pool.batch([Self.ownCounts(ids), Self.warn(ids)])
    }
    try await flushLimits(pool)
  }

  private func flushLimits(_ pool: Pool) async throws {
    let taken = latest.withLock { latest in
      defer { latest.removeAll() }
      return latest
    }
    guard !taken.isEmpty else { return }
    let rows = taken.sorted { left, right in
      (left.key.connection, left.key.rule, left.key.place) < (right.key.connection, right.key.rule, right.key.place)
    }
    let store: SQL = """
      INSERT INTO rate_limit_tracking (connection_id, rule, place, scope, site_id, platform, request_limit, remaining,
        resets_at)
      SELECT * FROM unnest(\(rows.map(\.key.connection)), \(rows.map(\.key.rule)), \(rows.map(\.key.place)),
        \(rows.map(\.value.reading.scope.rawValue)), \(rows.map(\.value.site)), \(rows.map(\.value.platform)),
        \(rows.map { $0.value.reading.limit.map(Int32.init(clamping:)) }),
        \(rows.map { $0.value.reading.remaining.map(Int32.init(clamping:)) }), \(rows.map(\.value.reading.resetAt)))
      ON CONFLICT (connection_id, rule, place) DO UPDATE SET request_limit = excluded.request_limit,
        scope = excluded.scope, remaining = excluded.remaining, resets_at = excluded.resets_at, updated_at = now()
      """
    try await pool.batch([store, Self.warn(Array(Set(rows.map(\.key.connection))))])
  }

  /// What the buckets of the lanes still allow at once.
  private static func ownCounts(_ connections: [Int64]) -> SQL {
    """
    INSERT INTO rate_limit_tracking (connection_id, rule, place, scope, site_id, platform, request_limit, remaining,
      resets_at)
    SELECT c.id, \(ownRule), 0, 'perAccount', c.site_id, c.platform, \(fragment: bucketSize), \(fragment: bucketLeft),
      CASE WHEN l.tat > clock_timestamp() THEN l.tat END
    FROM platform_connections c JOIN lanes l ON l.lane_id = c.lane_id
    WHERE c.id = ANY(\(connections)) AND l.rate_interval IS NOT NULL
    ORDER BY c.id
    ON CONFLICT (connection_id, rule, place) DO UPDATE SET request_limit = excluded.request_limit,
      remaining = excluded.remaining, resets_at = excluded.resets_at, updated_at = now()
    """
  }

  /// Jobs that may go at once when nothing went for a while; `l` has a rate. Intervals are kept in whole microseconds, so
  /// their quotient can be a little less than the number that it was made of.
  static let bucketSize: SQL = """
    least(1000000, 1 + floor(0.001 + extract(epoch FROM l.rate_burst) / extract(epoch FROM l.rate_interval)))::int
    """

  /// Jobs that may go now.
  static let bucketLeft: SQL = """
    least(1000000, greatest(0, 1 + floor(0.001 + extract(epoch FROM (
      clock_timestamp() + l.rate_burst - greatest(l.tat, clock_timestamp()))) / extract(epoch FROM l.rate_interval))))::int
    """

  /// Writes `connection.quota` for each limit of which four fifths are used, once for each of its windows.
  ///
  /// The end of a window can differ by a little from answer to answer.
  private static func warn(_ connections: [Int64]) -> SQL {
    """
    WITH w AS (
      UPDATE rate_limit_tracking t SET warned_for = t.resets_at
      WHERE t.connection_id = ANY(\(connections)) AND t.request_limit >= 5
        AND t.remaining::bigint * 5 <= t.request_limit AND t.resets_at > clock_timestamp()
        AND (t.warned_for IS NULL OR t.resets_at > t.warned_for + interval '1 minute'
          AND t.warned_for < clock_timestamp())
      RETURNING t.*
    )
    INSERT INTO outbox (site_id, kind, subject_id, data)
    SELECT w.site_id, 'connection.quota', w.connection_id, jsonb_build_object(
      'connectionId', w.connection_id, 'platform', w.platform, 'scope', w.scope, 'rule', nullif(w.rule, ''),
      'source', CASE WHEN w.rule = '' THEN 'ownCount' ELSE 'headers' END, 'limit', w.request_limit,
      'remaining', w.remaining, 'resetsAt', w.resets_at)
    FROM w
    """
  }
}
