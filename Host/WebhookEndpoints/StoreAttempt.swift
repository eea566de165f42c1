internal import FoundationEssentials
internal import JobQueue
internal import Postgres

/// Stores one request of a message and what follows from it for message and endpoint.
///
/// It needs no lease: that a request was made, and what came, is a fact whoever reports it. Only an open message ends.
struct StoreAttempt: BatchOperation {
  static let rank = 40

  var message: Int64
  var endpoint: Int64
  var site: Int64
  /// Nil when no request was made.
  var requestedAt: Date?
  var status: Int?
  var milliseconds: Int = 0
  var error: String?
  var answer: String?
  /// The end of the message; nil while it is tried again.
  var end: WebhookMessage.State?
  var disabledReason: String?

  static func statement(for operations: [StoreAttempt]) -> SQL {
    """
    WITH i AS MATERIALIZED (
      SELECT * FROM unnest(
        \(operations.map(\.message)), \(operations.map(\.endpoint)), \(operations.map(\.site)),
        \(operations.map(\.requestedAt)), \(operations.map { $0.status.map { Int16(clamping: $0) } }),
        \(operations.map { Int32(clamping: $0.milliseconds) }), \(operations.map(\.error)), \(operations.map(\.answer)),
        \(operations.map { $0.end?.rawValue }), \(operations.map(\.disabledReason)),
        \(operations.map { $0.end == .delivered })
      ) AS t(message, endpoint, site, requested_at, status, duration_ms, error, answer, ended_as, disabled, is_ok)
    ), a AS (
      INSERT INTO event_attempts (site_id, endpoint_id, event_delivery_id, requested_at, status, duration_ms, error,
        answer)
      SELECT i.site, i.endpoint, i.message, i.requested_at, i.status, i.duration_ms, i.error, i.answer FROM i
      WHERE i.requested_at IS NOT NULL
    ), m AS (
      UPDATE event_deliveries d SET attempts = d.attempts + CASE WHEN i.requested_at IS NULL THEN 0 ELSE 1 END,
        state = coalesce(i.ended_as, d.state),
        ended_at = CASE WHEN i.ended_as IS NULL THEN d.ended_at ELSE clock_timestamp() END
      FROM i WHERE d.id = i.message AND d.state = 'pending'
    ), s AS (
      SELECT i.endpoint, bool_or(i.is_ok) AS is_ok, count(*) FILTER (WHERE NOT i.is_ok) AS failed,
        max(i.disabled) AS disabled, min(i.requested_at) AS first_at
      FROM i WHERE i.requested_at IS NOT NULL GROUP BY i.endpoint
    ), o AS (
      SELECT e.id, e.is_active FROM event_endpoints e JOIN s ON s.endpoint = e.id ORDER BY e.id FOR NO KEY UPDATE OF e
    ), e AS (
      UPDATE event_endpoints e SET failures = CASE WHEN s.is_ok THEN 0 ELSE e.failures + s.failed::int END,
        failing_since = CASE WHEN s.is_ok THEN NULL ELSE coalesce(e.failing_since, s.first_at) END,
        last_success_at = CASE WHEN s.is_ok THEN clock_timestamp() ELSE e.last_success_at END,
        is_active = e.is_active AND (s.is_ok OR s.disabled IS NULL),
        disabled_reason = CASE WHEN e.is_active AND NOT s.is_ok THEN s.disabled ELSE e.disabled_reason END
      FROM s JOIN o ON o.id = s.endpoint WHERE e.id = s.endpoint
      RETURNING e.id, e.site_id, o.is_active AND NOT e.is_active AS is_news, e.disabled_reason
    )
    INSERT INTO outbox (site_id, kind, subject_id, data)
    SELECT e.site_id, 'webhook.disabled', e.id, jsonb_build_object('id', e.id, 'reason', e.disabled_reason)
    FROM e WHERE e.is_news
    """
  }

  static func outputs(of rows: [Row], for operations: [StoreAttempt]) throws -> [Void] {
    operations.map { _ in () }
  }
}
