internal import JobQueue
package import Outbox
package import Postgres

/// Opens, counts and closes notices, and tells of them: by an event, and by mail where the host sends mails.
package struct NoticeStore: Sendable {
  let pool: Pool
  private let sendsMail: Bool

  /// - Parameter sendsMail: Whether mails are prepared for those who want them.
  package init(pool: Pool, sendsMail: Bool) {
    self.pool = pool
    self.sendsMail = sendsMail
  }

  /// The consumer of the outbox.
  package func consume(_ events: [OutboxEvent], _ tx: Transaction) async throws {
    let changes = events.flatMap(NoticeRules.changes)
    if changes.isEmpty { return }
    try await apply(changes, tx)
  }

  /// Brings the notices of a state in line with what is so now.
  package func look(_ state: NoticeState) async throws {
    try await pool.transaction { tx in
      let causes = try await state.look(tx)
      for cause in causes { try await raise(cause, times: 0, tx) }
      try await close(
        """
        kind = \(state.kind) AND (\(state.cause)::text IS NULL OR cause = \(state.cause)) AND NOT (coalesce(site_id, 0), cause) IN (
          SELECT * FROM unnest(\(causes.map { $0.key.site ?? 0 }), \(causes.map(\.key.cause))))
        """,
        tx
      )
      try await announce(tx)
    }
  }

  /// Writes what follows from changes, in the caller's transaction.
  package func apply(_ changes: [NoticeChange], _ tx: Transaction) async throws {
    let ledger = NoticeLedger(changes)
    let cleared = ledger.cleared
    if !cleared.isEmpty {
      try await close(
        """
        (coalesce(site_id, 0), cause) IN (
          SELECT * FROM unnest(\(cleared.map { $0.site ?? 0 }), \(cleared.map(\.cause))))
        """,
        tx
      )
    }
    for (cause, times) in ledger.raised { try await raise(cause, times: times, tx) }
    try await announce(tx)
  }

  /// - Parameter times: How often the cause happened; 0 for a state, which goes on and does not happen again.
  private func raise(_ cause: NoticeCause, times: Int, _ tx: Transaction) async throws {
    let (times, threshold) = (Int32(clamping: times), Int32(clamping: cause.threshold))
    let connection = cause.subject.flatMap { subject in
      subject.hasPrefix("connection:") ? Int64(subject.dropFirst("connection:".count)) : nil
    }
    try await tx.execute(
      """
      WITH c AS (
        SELECT (SELECT account_name || ' (' || platform || ')' FROM platform_connections WHERE id = \(connection)) AS name
      )
      INSERT INTO notices AS n (site_id, cause, kind, severity, title, message, subject, count, opened_at)
      SELECT \(cause.key.site), \(cause.key.cause), \(cause.kind), \(cause.severity.rawValue),
        replace(\(cause.title), '{account}', coalesce(c.name, 'an account')),
        replace(\(cause.message), '{account}', coalesce(c.name, 'the account')), \(cause.subject),
        greatest(\(times), 1), CASE WHEN greatest(\(times), 1) >= \(threshold) THEN now() END
      FROM c
      ON CONFLICT (coalesce(site_id, 0), cause) WHERE closed_at IS NULL DO UPDATE SET
        count = CASE WHEN n.opened_at IS NULL AND n.last_at < now() - \(Int64(cause.window)) * interval '1 s'
          THEN \(times) ELSE n.count + \(times) END,
        last_at = CASE WHEN \(times) > 0 THEN now() ELSE n.last_at END,
        title = excluded.title, message = excluded.message, severity = excluded.severity,
        opened_at = coalesce(n.opened_at, CASE WHEN
          (CASE WHEN n.last_at < now() - \(Int64(cause.window)) * interval '1 s' THEN 0 ELSE n.count END) + \(times)
            >= \(threshold) THEN now() END)
      """
    )
  }

  /// Closes open notices that the condition names, tells of those that somebody saw, and forgets the rest.
  private func close(_ condition: SQL, _ tx: Transaction) async throws {
    try await tx.batch([
      "DELETE FROM notices WHERE closed_at IS NULL AND NOT is_announced AND \(fragment: condition)",
      """
      WITH n AS (
        UPDATE notices SET closed_at = now() WHERE closed_at IS NULL AND \(fragment: condition)
        RETURNING id, site_id, kind, severity, title, subject, count
      )
      INSERT INTO outbox (site_id, kind, subject_id, data)
      SELECT coalesce(n.site_id, 0), 'notice.closed', n.id, \(fragment: Self.data) FROM n
      """,
    ])
  }

  /// Tells of what has opened since the last time.
  private func announce(_ tx: Transaction) async throws {
    let rows = try await tx.query(
      """
      WITH n AS (
        UPDATE notices SET is_announced = true WHERE opened_at IS NOT NULL AND NOT is_announced
        RETURNING id, site_id, kind, severity, title, subject, count
      ), o AS (
        INSERT INTO outbox (site_id, kind, subject_id, data)
        SELECT coalesce(n.site_id, 0), 'notice.opened', n.id, \(fragment: Self.data) FROM n
      )
      SELECT id FROM n
      """
    )
    guard sendsMail, !rows.isEmpty else { return }
    try await NoticeMailQueue.prepare(try rows.map { try $0.get("id", as: Int64.self) }, tx)
  }

  /// What an event says of a notice. Everybody may hear that the host has one; only its owners read what it says.
  private static let data: SQL = """
    jsonb_build_object('id', n.id, 'kind', n.kind, 'severity', n.severity,
      'scope', CASE WHEN n.site_id IS NULL THEN 'host' ELSE 'site' END)
      || CASE WHEN n.site_id IS NULL THEN '{}'
        ELSE jsonb_strip_nulls(jsonb_build_object('title', n.title, 'subject', n.subject, 'count', n.count)) END
    """

  // MARK: Old rows

  /// Removes notices that were closed longer ago, and causes that never happened often enough.
  package static func clean(_ pool: Pool, olderThan age: Duration) async throws {
    try await pool.batch([
      """
      DELETE FROM notices WHERE closed_at < now() - \(age.components.seconds) * interval '1 s'
        OR (opened_at IS NULL AND last_at < now() - interval '1 day')
      """,
      "DELETE FROM notice_mails WHERE created_at < now() - \(age.components.seconds) * interval '1 s'",
    ])
  }
}
