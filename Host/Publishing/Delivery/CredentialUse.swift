import Audit
import Postgres

/// The row of the audit trail that says which account's credentials were used for a delivery: one for each run, written
/// by the statement that ends it, so that it costs no transaction of its own.
///
/// What an attempt used that was put off stands in `deliveries.credential_run` until then. What was used before a crash
/// is seen by its requests.
enum CredentialUse {
  /// - Parameters:
  ///   - wasUsed: Whether this attempt used them, an SQL expression.
  ///   - delivery: The name of a row of `deliveries` as it was before the statement.
  static func condition(_ wasUsed: SQL, _ delivery: String) -> SQL {
    """
    (\(fragment: wasUsed) OR \(identifier: delivery).credential_run = \(identifier: delivery).run
      OR EXISTS (SELECT FROM delivery_effects e
        WHERE e.delivery_id = \(identifier: delivery).id AND e.run = \(identifier: delivery).run))
    """
  }

  /// - Parameters:
  ///   - source: Rows with `site_id`, `connection_id`, `id` of the delivery and `run`.
  ///   - purpose: `publish` or `delete`.
  static func rows(from source: SQL, purpose: StaticString) -> SQL {
    AuditEntry.insertions(
      .credentialUse,
      site: "site_id",
      subject: "'connection:' || connection_id",
      details: "jsonb_build_object('delivery', id, 'run', run, 'for', '\(trusted: purpose)')",
      from: source
    )
  }
}
