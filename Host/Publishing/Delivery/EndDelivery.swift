package import FoundationEssentials
package import JSONText
package import JobQueue
import PluginProtocol
package import Postgres

/// Stores the end of one delivery and its event, guarded by the lease, in the same flush that finishes the job.
///
/// Whatever went wrong in the host, the statement itself holds the promise: what was accepted never ends as failed, and
/// what may have been accepted ends as unconfirmed. An id that another delivery of the account has is not stored.
package struct EndDelivery: BatchOperation {
  /// Before the queue deletes the lease in the same transaction.
  package static let rank = 30

  package var lease: Lease
  package var end: DeliveryEnd
  package var attempts: Int
  package var latency: TimeInterval?
  package var pluginVersion: String?
  /// Whether this attempt used the account's credentials.
  package var usedCredentials = false

  /// Whether the end was stored; false when the lease was lost or the delivery has ended already.
  package typealias Output = Bool

  package static func statement(for operations: [EndDelivery]) -> SQL {
    """
    WITH i AS (
      SELECT * FROM unnest(
        \(operations.map(\.lease.jobID)),
        \(operations.map(\.end.state.rawValue)), \(operations.map(\.end.remoteID)), \(operations.map(\.end.url)),
        \(operations.map { $0.end.problem.map { String(decoding: $0.json().bytes, as: UTF8.self) } }),
        \(operations.map { $0.end.warnings.isEmpty ? nil : Self.list($0.end.warnings) }),
        \(operations.map { Int32(clamping: $0.attempts) }),
        \(operations.map { $0.latency.map { Int32(clamping: Int($0 * 1000)) } }), \(operations.map(\.pluginVersion)),
        \(operations.map(\.end.confirmsOpen)),
        \(operations.map { $0.end.segments.isEmpty ? nil : Self.list($0.end.segments) }),
        \(operations.map(\.usedCredentials))
      ) AS t(job_id, ended_as, remote_id, remote_url, error, warnings, attempts, latency_ms,
             plugin_version, confirms_open, segments, used_credentials)
    ),
    \(fragment: LeaseGuard.held(operations.map(\.lease))),
    u AS (
      UPDATE deliveries d SET ended_as = CASE
          WHEN i.ended_as NOT IN ('failed', 'canceled') THEN i.ended_as
          WHEN EXISTS (SELECT FROM delivery_effects e WHERE e.delivery_id = i.job_id AND \(fragment: OpenCommit.condition))
            THEN 'unconfirmed'
          WHEN EXISTS (SELECT FROM delivery_effects e WHERE e.delivery_id = i.job_id AND e.class = 'commit'
            AND e.outcome = 'accepted')
            THEN CASE WHEN \(fragment: ThreadParts.areMissing(of: "d")) THEN 'partial' ELSE 'sent' END
          ELSE i.ended_as END, remote_url = i.remote_url,
        remote_id = CASE WHEN x.is_taken THEN NULL ELSE i.remote_id END,
        segments = i.segments::jsonb, error = i.error::jsonb, attempts = i.attempts, latency_ms = i.latency_ms, ended_at = clock_timestamp(),
        plugin_version = coalesce(i.plugin_version, d.plugin_version),
        warnings = CASE WHEN i.warnings IS NULL THEN '{}'
            ELSE ARRAY(SELECT jsonb_array_elements_text(i.warnings::jsonb)) END
          || CASE WHEN x.is_taken THEN ARRAY['The platform named the post as it named another one: ' || i.remote_id]
            ELSE '{}' END
      FROM i JOIN g USING (job_id)
      CROSS JOIN LATERAL (
        SELECT i.remote_id IS NOT NULL AND EXISTS (
          SELECT FROM deliveries o
          WHERE o.lane_id = g.lane_id AND o.remote_id = i.remote_id AND o.id <> i.job_id) AS is_taken
      ) x
      WHERE d.id = i.job_id AND d.ended_as IS NULL
      RETURNING d.id, d.site_id, d.distribution_id, d.connection_id, d.platform, d.ended_as, d.remote_url, d.error,
        d.segments, d.attempts, d.run, \(fragment: CredentialUse.condition("i.used_credentials", "d")) AS used
    ),
    a AS (\(fragment: CredentialUse.rows(from: "u WHERE used", purpose: "publish"))),
    o AS (
      INSERT INTO outbox (site_id, kind, subject_id, data)
      SELECT site_id, 'delivery.' || ended_as, id, jsonb_strip_nulls(jsonb_build_object(
        'id', id, 'distributionId', distribution_id, 'connectionId', connection_id, 'platform', platform,
        'state', ended_as, 'url', remote_url, 'segments', segments, 'attempts', attempts, 'error', error))
      FROM u
    ),
    c AS (
      UPDATE delivery_effects e SET state = 'done', outcome = 'accepted', closed_by = 'reconcile',
        remote_id = coalesce(e.remote_id, i.remote_id)
      FROM i JOIN u ON u.id = i.job_id
      WHERE i.confirms_open AND e.delivery_id = i.job_id AND e.class = 'commit'
        AND (e.outcome IS NULL OR e.outcome = 'unknown')
    )
    SELECT id FROM u
    """
  }

  package static func outputs(of rows: [Row], for operations: [EndDelivery]) throws -> [Bool] {
    var stored = Set<Int64>(minimumCapacity: rows.count)
    for row in rows { stored.insert(try row.get(0, as: Int64.self)) }
    return operations.map { stored.contains($0.lease.jobID) }
  }

  private static func list(_ values: [PublishedSegment]) -> String {
    RawJSON.array(values) { writer, value in value.write(to: &writer) }.text
  }

  private static func list(_ values: [String]) -> String {
    RawJSON.array(values) { writer, value in writer.string(value) }.text
  }
}

extension DeliveryProblem {
  /// The problem as the API and the events show it.
  package func json() -> RawJSON {
    RawJSON.object { writer in
      writer.field("kind", kind)
      writer.field("retry", retry.rawValue)
      writer.field("message", message)
      writer.field("userMessage", userMessage)
      writer.field("field", field)
      writer.field("retryAfterMs", retryAfter.map { Int64($0 * 1000) })
      writer.field("upstreamStatus", upstreamStatus)
    }
  }
}
