internal import Audit
package import FoundationEssentials
package import JobQueue
internal import PluginManifest
package import Postgres

/// A hold of the installation: from its beginning to its end nothing is sent.
package struct Hold: Sendable, Equatable {
  /// How a person ends a hold.
  package enum End: String, Sendable, CaseIterable {
    /// This database is the installation's; what was due is looked for on its platform before it is sent.
    case adopted
    /// Nothing is missing in this database; what is due is sent.
    case released
  }

  package let id: Int64
  package let cause: String
  /// In words, for people.
  package let reason: String
  /// Of the host that noticed.
  package let home: String
  /// What was published later may be missing in this database.
  package let knownUntil: Date
  package let heldAt: Date

  /// What to do about it.
  package static let advice =
    "Make sure that no other host works for these accounts. Then run `rostrum adopt`: every post that was due is looked "
    + "for on its platform before it is sent. If you know that nothing was published meanwhile: `rostrum release`."
}

/// Begins and ends holds, and marks what may be out already.
package struct HoldStore: Sendable {
  private let pool: Pool

  package init(pool: Pool) {
    self.pool = pool
  }

  /// The hold that lasts; nil when the installation may send.
  package func current() async throws -> Hold? {
    try await pool.query(Self.currentStatement).first.map(Self.hold)
  }

  package static let currentStatement: SQL = """
    SELECT h.id, h.cause, h.reason, h.home, h.known_until, h.held_at FROM holds h WHERE h.ended_at IS NULL
    """

  package static func hold(_ row: Row) throws -> Hold {
    Hold(
      id: try row.get("id"),
      cause: try row.get("cause"),
      reason: try row.get("reason"),
      home: try row.get("home"),
      knownUntil: try row.get("known_until"),
      heldAt: try row.get("held_at")
    )
  }

  /// How many open deliveries may be out already and wait for a look at their platform.
  package func doubtful() async throws -> Int {
    let rows = try await pool.query(
      "SELECT count(*) FROM delivery_effects e WHERE e.step = \(EffectRecord.lostStep) AND e.state = 'started'"
    )
    return Int(try rows.first?.get(0, as: Int64.self) ?? 0)
  }

  /// Puts the installation on hold unless it is already, and marks what may be out.
  package func begin(_ cause: HoldCause, reason: String, home: String, knownUntil: Date?) async throws {
    // First and alone, so that nothing is sent from its COMMIT on.
    try await pool.execute(
      """
      INSERT INTO holds (cause, reason, home, known_until)
      VALUES (\(cause.rawValue), \(reason), \(home), coalesce(\(knownUntil), clock_timestamp())) ON CONFLICT DO NOTHING
      """
    )
    try await doubt()
  }

  /// Marks every delivery that was due as maybe sent, once for each hold. Repeating it is harmless.
  package func doubt() async throws {
    try await pool.transaction { tx in
      let rows = try await tx.query(
        """
        SELECT h.id, h.known_until FROM holds h WHERE h.ended_at IS NULL AND h.doubted_at IS NULL FOR NO KEY UPDATE
        """
      )
      guard let row = rows.first else { return }
      try await Self.doubt(since: try row.get("known_until"), in: tx)
      try await tx.execute(
        "UPDATE holds SET doubted_at = clock_timestamp() WHERE id = \(row.get("id", as: Int64.self))"
      )
    }
  }

  /// Moves doubtful deliveries out of their lanes to where the queue looks for outcomes; looks are allowed on hold.
  package func look(_ queue: JobQueue) async throws {
    try await queue.question(
      kind: DeliveryHandler.kind,
      where: """
        EXISTS (SELECT FROM delivery_effects e
          WHERE e.delivery_id = r.job_id AND e.step = \(EffectRecord.lostStep) AND e.state = 'started')
        """
    )
  }

  /// Ends the hold in the name of a person; false when there is none.
  package func end(as end: Hold.End, by person: String, user: Int64?) async throws -> Bool {
    try await pool.transaction { tx in
      let rows = try await tx.query(
        "SELECT h.id, h.cause, h.known_until FROM holds h WHERE h.ended_at IS NULL FOR UPDATE"
      )
      guard let row = rows.first else { return false }
      let id: Int64 = try row.get("id")
      switch end {
      case .adopted:
        // Again: another host may have gone on with the other database until now.
        try await Self.doubt(since: try row.get("known_until"), in: tx)
      case .released:
        try await tx.execute(
          """
          UPDATE delivery_effects e SET state = 'done', outcome = 'notSent', closed_by = \(person)
          FROM deliveries v WHERE v.id = e.delivery_id AND v.ended_as IS NULL
            AND e.step = \(EffectRecord.lostStep) AND e.state = 'started'
          """
        )
        try await tx.execute(
          "UPDATE leases SET check_at = clock_timestamp() WHERE kind = \(DeliveryHandler.kind) AND check_at IS NOT NULL"
        )
      }
      try await tx.execute(Self.record)
      try await tx.execute("DELETE FROM node_marks")
      try await tx.execute(
        """
        UPDATE holds SET ended_at = clock_timestamp(), ended_as = \(end.rawValue), ended_by = \(person) WHERE id = \(id)
        """
      )
      try await tx.execute(
        AuditEntry(
          end == .adopted ? .holdAdopted : .holdReleased,
          "installation",
          site: nil,
          user: user,
          details: "jsonb_build_object('by', \(person)::text, 'cause', \(row.get("cause", as: String.self))::text)"
        ).insertion
      )
      return true
    }
  }

  /// Writes down which database this is.
  package static let record: SQL = """
    UPDATE installation i SET system_identifier = c.system_identifier, database_oid = d.oid::int8,
      table_oid = i.tableoid::int8, timeline = \(fragment: ServerExpression.timeline)
    FROM pg_control_system() c, pg_database d WHERE d.datname = current_database()
    """

  /// A delivery whose time has come gets the row of a commit that may have happened: from then on all rules for an unknown
  /// outcome hold for it. What a host has claimed is taken away from it, so that no attempt goes on that does not know the
  /// row.
  ///
  /// A job that waits may be due later than its delivery was: hosts put off what they claim while nothing may be sent.
  private static func doubt(since: Date, in tx: Transaction) async throws {
    try await tx.execute(
      """
      WITH w AS (
        SELECT d.job_id, d.due_at FROM due d
        UNION ALL SELECT r.job_id, r.due_at FROM ready r
        UNION ALL SELECT p.job_id, p.due_at FROM parked p
        UNION ALL SELECT l.job_id, l.due_at FROM leases l
      )
      INSERT INTO delivery_effects (delivery_id, run, step, try, site_id, nonce, rule, class, digest, state, fence,
        node_epoch, started_at)
      SELECT v.id, v.run, \(EffectRecord.lostStep), 1 + coalesce((
          SELECT max(e.try) FROM delivery_effects e
          WHERE e.delivery_id = v.id AND e.run = v.run AND e.step = \(EffectRecord.lostStep)), 0),
        v.site_id, gen_random_uuid(), \(EffectRecord.lostStep), 'commit', '', 'started', 0,
        '00000000-0000-0000-0000-000000000000'::uuid,
        least(clock_timestamp(), greatest(least(w.due_at, v.scheduled_for), \(since) - interval '5 minutes'))
      FROM w JOIN deliveries v ON v.id = w.job_id
      WHERE v.ended_as IS NULL AND least(w.due_at, v.scheduled_for) <= clock_timestamp() AND NOT EXISTS (
        SELECT FROM delivery_effects e WHERE e.delivery_id = v.id AND \(fragment: OpenCommit.condition))
      """
    )
    try await tx.execute(
      """
      UPDATE leases SET phase = 3, fence = nextval('lease_fences'), check_at = clock_timestamp(),
        called_at = coalesce(called_at, clock_timestamp())
      WHERE kind = \(DeliveryHandler.kind) AND check_at IS NULL
      """
    )
  }
}
