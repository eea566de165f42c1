internal import Audit
package import FoundationEssentials
package import Postgres

/// Deliveries of a post that was edited after they were planned.
extension DeliveryControl {
  /// An open delivery that carries another version than the newest.
  package struct Outdated: Sendable, Equatable {
    package var delivery: Int64
    package var connection: Int64
    package var platform: String
    package var accountName: String
    package var version: Int
    package var state: DeliveryState
    package var scheduledFor: Date
    /// Why it keeps its version: it has begun; nil when it can take the newest.
    package var obstacle: String?
  }

  /// The most rows that are told of at once.
  package static let outdatedLimit = 500

  /// What still carries an older version of a post, in the order in which it is due. Runs in a transaction confined to
  /// the site, or as the owner.
  package static func outdated(_ post: Int64, in tx: Transaction) async throws -> [Outdated] {
    try await tx.query(
      """
      SELECT d.id, d.connection_id, d.platform, c.account_name, d.post_version, s.state, d.scheduled_for,
        CASE WHEN l.job_id IS NOT NULL THEN 'sending' WHEN \(fragment: hasCommit) THEN 'begun' END AS obstacle
      FROM posts p
      JOIN distributions g ON g.post_id = p.id
      JOIN deliveries d ON d.distribution_id = g.id AND d.ended_as IS NULL AND d.post_version < p.version
      JOIN delivery_states s ON s.id = d.id
      JOIN platform_connections c ON c.id = d.connection_id
      LEFT JOIN leases l ON l.job_id = d.id
      WHERE p.id = \(post) AND p.deleted_at IS NULL
      ORDER BY d.scheduled_for, d.id LIMIT \(outdatedLimit)
      """
    ).map { row in
      Outdated(
        delivery: try row.get("id"),
        connection: try row.get("connection_id"),
        platform: try row.get("platform"),
        accountName: try row.get("account_name"),
        version: Int(try row.get("post_version", as: Int32.self)),
        state: DeliveryState(rawValue: try row.get("state")) ?? .queued,
        scheduledFor: try row.get("scheduled_for"),
        obstacle: try row.get("obstacle")
      )
    }
  }

  /// What an update of deliveries did.
  package struct Updated: Sendable, Equatable {
    /// The version that they carry now.
    package var version: Int
    package var deliveries: [Int64]
    /// Deliveries that keep their older version.
    package var left: [Outdated]
  }

  /// Gives deliveries the newest version of their post: all that carry an older one, or those that are named.
  ///
  /// Only deliveries that are not being sent and for which no request that publishes was ever started. What an adapter
  /// had prepared for the older version is prepared anew, in a new run.
  package func updateDeliveries(
    of post: Int64,
    only named: [Int64]?,
    site: Int64,
    user: Int64?
  ) async throws -> Updated {
    try await pool.transaction(scope: .owner) { tx in
      // Locked, so that no edit comes between.
      let posts = try await tx.query(
        "SELECT version FROM posts WHERE id = \(post) AND site_id = \(site) AND deleted_at IS NULL FOR SHARE"
      )
      guard let row = posts.first else { throw PublishingError.notFound("post", post) }
      let version: Int32 = try row.get("version")
      let candidates = try await tx.query(
        """
        SELECT d.id, d.lane_id FROM distributions g JOIN deliveries d ON d.distribution_id = g.id
        WHERE g.post_id = \(post) AND d.ended_as IS NULL AND d.post_version < \(version)
          AND (\(named == nil) OR d.id = ANY(\(named ?? [])))
        """
      )
      let ids = try candidates.map { try $0.get("id", as: Int64.self) }
      let lanes = Array(Set(try candidates.map { try $0.get("lane_id", as: Int64.self) })).sorted()
      try await tx.batch([
        // Nothing is claimed from a locked lane, and a claim that was under way is visible to the next statement.
        "SELECT FROM lanes WHERE lane_id = ANY(\(lanes)) ORDER BY lane_id FOR NO KEY UPDATE",
        // A claim that began before this transaction ends has read the older version. It misses what was moved.
        "UPDATE ready SET due_at = due_at WHERE lane_id = ANY(\(lanes)) AND job_id = ANY(\(ids))",
      ])
      let updated = try await tx.query(
        """
        UPDATE deliveries d SET post_version = \(version), error = NULL,
          run = d.run + (EXISTS (SELECT FROM delivery_inputs i WHERE i.delivery_id = d.id AND i.run = d.run))::int
        WHERE d.id = ANY(\(ids)) AND d.ended_as IS NULL
          AND NOT EXISTS (SELECT FROM leases l WHERE l.job_id = d.id) AND NOT \(fragment: Self.hasCommit)
        RETURNING d.id
        """
      ).map { try $0.get("id", as: Int64.self) }.sorted()
      try await contents.store(updated, site: site, in: tx)
      if !updated.isEmpty {
        try await tx.batch([
          """
          INSERT INTO outbox (site_id, kind, subject_id, data) VALUES (\(site), 'post.deliveriesUpdated', \(post),
            jsonb_build_object('id', \(post)::bigint, 'version', \(version)::int, 'deliveries', \(updated)::bigint[]))
          """,
          Self.audit(.postUpdateDeliveries, subject: "post:\(post)", site: site, user: user),
        ])
      }
      let left = try await Self.outdated(post, in: tx)
      return Updated(
        version: Int(version),
        deliveries: updated,
        left: named == nil ? left : left.filter { named?.contains($0.delivery) ?? true }
      )
    }
  }

  /// Whether a request that publishes was ever started for `d`.
  private static let hasCommit: SQL = """
    EXISTS (SELECT FROM delivery_effects e WHERE e.delivery_id = d.id AND e.class = 'commit')
    """
}
