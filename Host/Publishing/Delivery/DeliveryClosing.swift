package import JobQueue
import Postgres

/// What the rows of a delivery need when the queue drops its job, because it was canceled before anything was sent.
package enum DeliveryClosing {
  package static var hooks: ClosingHooks {
    ClosingHooks([
      """
      UPDATE deliveries d SET ended_as = \(fragment: state), ended_at = clock_timestamp()
      FROM closed c WHERE c.kind = 'delivery' AND d.id = c.job_id AND d.ended_as IS NULL
      """,
      """
      INSERT INTO outbox (site_id, kind, subject_id, data)
      SELECT d.site_id, 'delivery.' || s.state, d.id, jsonb_strip_nulls(jsonb_build_object('id', d.id,
        'distributionId', d.distribution_id, 'connectionId', d.connection_id, 'platform', d.platform,
        'state', s.state, 'error', d.error))
      FROM closed c JOIN deliveries d ON d.id = c.job_id CROSS JOIN LATERAL (SELECT \(fragment: state) AS state) s
      WHERE c.kind = 'delivery' AND d.ended_as IS NULL
      """,
      CredentialUse.rows(
        from: """
          deliveries d WHERE d.id IN (SELECT c.job_id FROM closed c WHERE c.kind = 'delivery')
            AND d.ended_as IS NULL AND \(fragment: CredentialUse.condition("false", "d"))
          """,
        purpose: "publish"
      ),
    ])
  }

  /// An earlier run may have published a part, and what is public is never called canceled.
  private static let state: SQL = """
    CASE
      WHEN EXISTS (SELECT FROM delivery_effects e WHERE e.delivery_id = d.id AND \(fragment: OpenCommit.condition))
        THEN 'unconfirmed'
      WHEN EXISTS (SELECT FROM delivery_effects e WHERE e.delivery_id = d.id AND e.class = 'commit'
        AND e.outcome = 'accepted') THEN 'partial'
      ELSE 'canceled'
    END
    """
}
