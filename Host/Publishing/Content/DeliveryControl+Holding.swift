internal import Audit
package import JobQueue
import Postgres

/// Whole distributions, accounts and sites held, let go and withdrawn.
///
/// The word counts from its COMMIT on: after it no request starts for what is held. A request that had left, and a post
/// that is partly out, run to their end; the answer says how many of these there are.
extension DeliveryControl {
  /// What became of the deliveries that were open.
  package struct Held: Sendable, Equatable {
    /// Deliveries that wait; nil for a whole site, where they are not counted.
    package var waiting: Int?
    /// Deliveries that run to their end.
    package var sending: Int
  }

  package func pause(distribution id: Int64, site: Int64, user: Int64?) async throws -> Held {
    try await requireDistribution(id, site: site)
    _ = try await queue.pauseGroup(
      id,
      also: [
        event("distribution.paused", of: id, when: "g.paused_at IS NULL"),
        Self.audit(.distributionPause, subject: "distribution:\(id)", site: site, user: user),
      ]
    )
    return try await held("d.distribution_id = \(id)")
  }

  /// - Returns: what is open: all of it may run.
  package func resume(distribution id: Int64, site: Int64, user: Int64?) async throws -> Held {
    try await requireDistribution(id, site: site)
    try await queue.resumeGroup(
      id,
      also: [
        event("distribution.resumed", of: id, when: "g.paused_at IS NOT NULL"),
        Self.audit(.distributionResume, subject: "distribution:\(id)", site: site, user: user),
      ]
    )
    return try await held("d.distribution_id = \(id)")
  }

  package func cancel(distribution id: Int64, site: Int64, user: Int64?) async throws -> CancelResult {
    try await requireDistribution(id, site: site)
    return try await queue.cancelGroup(
      id,
      also: [
        event("distribution.canceled", of: id, when: "g.canceled_at IS NULL"),
        Self.audit(.distributionCancel, subject: "distribution:\(id)", site: site, user: user),
      ]
    )
  }

  /// Holds an account, or lets it go; what is due meanwhile waits in its order.
  package func hold(connection id: Int64, _ isHeld: Bool, site: Int64, user: Int64?) async throws -> Held {
    let word = isHeld ? "paused" : "resumed"
    try await pool.transaction(scope: .owner) { tx in
      let rows = try await tx.query(
        "SELECT lane_id FROM platform_connections WHERE id = \(id) AND site_id = \(site) AND deleted_at IS NULL"
      )
      guard let row = rows.first else { throw PublishingError.notFound("connection", id) }
      let lane: Int64 = try row.get("lane_id")
      let changed = try await tx.query(
        "SELECT FROM lanes WHERE lane_id = \(lane) AND paused <> \(isHeld) FOR NO KEY UPDATE"
      )
      guard !changed.isEmpty else { return }
      try await tx.batch([
        LaneStatements.setPaused(lane, isHeld),
        """
        INSERT INTO outbox (site_id, kind, subject_id, data)
        VALUES (\(site), \("connection.\(word)"), \(id), jsonb_build_object('id', \(id)::bigint))
        """,
        Self.audit(isHeld ? .connectionPause : .connectionResume, subject: "connection:\(id)", site: site, user: user),
      ])
    }
    if !isHeld { queue.wake() }
    return try await held("d.connection_id = \(id)")
  }

  /// Holds everything of a site, or lets it go.
  package func hold(site: Int64, _ isHeld: Bool, user: Int64?) async throws -> Held {
    let word = isHeld ? "paused" : "resumed"
    try await pool.batch([
      """
      INSERT INTO outbox (site_id, kind, subject_id, data)
      SELECT q.site_id, \("site.\(word)"), q.site_id, jsonb_build_object('id', q.site_id)
      FROM queue_sites q WHERE q.site_id = \(site) AND q.paused <> \(isHeld) FOR UPDATE
      """,
      LaneStatements.setSitePaused(site, isHeld),
      Self.audit(isHeld ? .sitePause : .siteResume, subject: "site:\(site)", site: site, user: user),
    ])
    if !isHeld { queue.wake() }
    let rows = try await pool.query(
      "SELECT count(*) FILTER (WHERE l.phase <> 1 OR l.live) AS sending FROM leases l WHERE l.site_id = \(site)"
    )
    return Held(waiting: nil, sending: Int(try rows.first?.get("sending", as: Int64.self) ?? 0))
  }

  // MARK: Rows

  private func requireDistribution(_ id: Int64, site: Int64) async throws {
    try await pool.transaction(scope: .owner) { tx in try await requireDistribution(id, site: site, in: tx) }
  }

  /// An event of a change that is about to happen; who comes second finds it done and tells nothing.
  private func event(_ kind: String, of group: Int64, when condition: SQL) -> SQL {
    """
    INSERT INTO outbox (site_id, kind, subject_id, data)
    SELECT g.site_id, \(kind), g.group_id, jsonb_build_object('id', g.group_id)
    FROM job_groups g WHERE g.group_id = \(group) AND \(fragment: condition) FOR UPDATE
    """
  }

  private func held(_ condition: SQL) async throws -> Held {
    let rows = try await pool.query(
      """
      SELECT count(*) FILTER (WHERE l.job_id IS NULL OR (l.phase = 1 AND NOT l.live)) AS waiting,
        count(*) FILTER (WHERE l.phase <> 1 OR l.live) AS sending
      FROM deliveries d LEFT JOIN leases l ON l.job_id = d.id WHERE d.ended_as IS NULL AND \(fragment: condition)
      """
    )
    guard let row = rows.first else { return Held(waiting: 0, sending: 0) }
    return Held(
      waiting: Int(try row.get("waiting", as: Int64.self)),
      sending: Int(try row.get("sending", as: Int64.self))
    )
  }
}
