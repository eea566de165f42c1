package import Postgres

/// Statements of the queue's users that run whenever the queue itself drops a cancelled job.
///
/// Each is a data-modifying statement over `closed(job_id, site_id, group_id, kind)`, such as
/// `UPDATE deliveries d SET ended_as = 'canceled' FROM closed c WHERE c.kind = 'delivery' AND d.id = c.job_id`.
/// It runs in the transaction that drops the jobs.
package struct ClosingHooks: Sendable {
  /// The hooks as common table expressions, each with a comma before it.
  let expressions: SQL

  package init(_ statements: [SQL] = []) {
    expressions = SQL.joined(
      statements.enumerated().map { index, statement in
        ", \(identifier: "hook_\(index)") AS (\(fragment: statement))"
      },
      separator: ""
    )
  }
}
