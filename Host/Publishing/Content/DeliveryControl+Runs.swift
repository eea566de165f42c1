import Audit
import FoundationEssentials
import JobQueue
import Postgres

/// Deliveries that go out again: a new run, in which accepted steps carry over.
extension DeliveryControl {
  /// An ended delivery, locked by the transaction that read it.
  struct Ended: Sendable {
    let id: Int64
    let state: DeliveryState?
    let lane: Int64
    let distribution: Int64
    let post: Int64
    /// Whether nobody knows what became of one of its requests.
    let isOpen: Bool
    /// Whether its post was deleted here.
    let isDeleted: Bool
    /// Whether somebody asked to delete it on the platform.
    let isRemoved: Bool
    /// The delivery to another account that is sent instead of this one, or instead of the same one, if that is open or
    /// out.
    let replacement: Int64?

    static let selection: SQL = """
      SELECT d.id, d.ended_as, d.lane_id, d.distribution_id, d.post_id, d.removal IS NOT NULL AS is_removed,
        EXISTS (SELECT FROM delivery_effects e WHERE e.delivery_id = d.id AND \(fragment: OpenCommit.condition)) AS is_open,
        EXISTS (SELECT FROM posts p WHERE p.id = d.post_id AND p.deleted_at IS NOT NULL) AS is_deleted,
        (SELECT n.id FROM deliveries n WHERE (n.replaces_id = d.id OR n.replaces_id = d.replaces_id AND n.id <> d.id)
          AND coalesce(n.ended_as, 'open') NOT IN ('failed', 'canceled') LIMIT 1) AS replacement
      FROM deliveries d
      """

    init(_ row: Row) throws {
      id = try row.get("id")
      state = try row.get("ended_as", as: String?.self).flatMap(DeliveryState.init)
      lane = try row.get("lane_id")
      distribution = try row.get("distribution_id")
      post = try row.get("post_id")
      isOpen = try row.get("is_open")
      isDeleted = try row.get("is_deleted")
      isRemoved = try row.get("is_removed")
      replacement = try row.get("replacement")
    }

    /// Why it can not go out again by itself; nil when it can.
    var refusal: PublishingError? {
      if let replacement {
        return PublishingError(
          .conflict,
          "replaced",
          "Delivery \(id) was replaced by delivery \(replacement); cancel that one first"
        )
      }
      if isRemoved {
        return PublishingError(.conflict, "removed", "Delivery \(id) was deleted on its platform and is not sent again")
      }
      if isDeleted {
        return PublishingError(
          .conflict,
          "post_deleted",
          "The post of delivery \(id) was deleted and is not sent any more"
        )
      }
      return nil
    }
  }

  /// Reads one ended delivery and locks it.
  func lock(_ id: Int64, site: Int64, in tx: Transaction) async throws -> Ended {
    let rows = try await tx.query(
      "\(fragment: Ended.selection) WHERE d.id = \(id) AND d.site_id = \(site) FOR UPDATE OF d"
    )
    guard let row = rows.first else { throw PublishingError.notFound("delivery", id) }
    return try Ended(row)
  }

  /// Sends a delivery again that failed, or went out in part.
  ///
  /// A failed one takes the newest version of its post. Refused while it is not known whether an earlier request was
  /// accepted, because that could publish twice.
  package func retry(_ id: Int64, site: Int64, user: Int64?) async throws {
    try await pool.transaction(scope: .owner) { tx in
      let ended = try await lock(id, site: site, in: tx)
      guard let state = ended.state, state.after(.askedAgain) != nil else {
        throw PublishingError(
          .conflict,
          "not_retryable",
          "Delivery \(id) is \(ended.state?.rawValue ?? "still open"); only failed and partial deliveries can be retried"
        )
      }
      guard !ended.isOpen else {
        throw PublishingError(
          .conflict,
          "outcome_unknown",
          "It is not known whether delivery \(id) was published; say first whether the post is on the platform"
        )
      }
      try await restart([ended], site: site, in: tx)
      try await tx.execute(Self.audit(.deliveryRetry, id, site: site, user: user))
    }
    queue.wake()
  }

  /// What a retry of a whole distribution did.
  package struct RetryResult: Sendable, Equatable {
    /// Deliveries that go out again.
    package var retried: [Int64] = []
    /// Deliveries that wait for a person's answer first.
    package var unconfirmed = 0
    /// Failed deliveries that stay as they are: replaced, or deleted on the platform.
    package var left: [Int64] = []
  }

  /// Sends again what failed or went out in part of a distribution, all in one transaction. What is unconfirmed is never
  /// among them.
  package func retryFailed(_ distribution: Int64, site: Int64, user: Int64?) async throws -> RetryResult {
    let result = try await pool.transaction(scope: .owner) { tx in
      try await requireDistribution(distribution, site: site, in: tx)
      let rows = try await tx.query(
        """
        \(fragment: Ended.selection)
        WHERE d.distribution_id = \(distribution) AND d.ended_as IN ('failed', 'partial', 'unconfirmed')
        ORDER BY d.id FOR UPDATE OF d
        """
      )
      let ended = try rows.map(Ended.init)
      let failed = ended.filter { $0.state != .unconfirmed }
      let ready = failed.filter { !$0.isOpen && $0.refusal == nil }
      let result = RetryResult(
        retried: ready.map(\.id),
        unconfirmed: ended.count - failed.count,
        left: failed.filter { $0.isOpen || $0.refusal != nil }.map(\.id)
      )
      guard !ready.isEmpty else { return result }
      try await restart(ready, site: site, in: tx)
      try await tx.batch([
        Self.audit(.distributionRetry, subject: "distribution:\(distribution)", site: site, user: user),
        """
        INSERT INTO outbox (site_id, kind, subject_id, data) VALUES (\(site), 'distribution.retried', \(distribution),
          jsonb_build_object('id', \(distribution)::bigint, 'deliveries', \(ready.map(\.id))::bigint[]))
        """,
      ])
      return result
    }
    queue.wake()
    return result
  }

  func requireDistribution(_ id: Int64, site: Int64, in tx: Transaction) async throws {
    let rows = try await tx.query("SELECT FROM distributions WHERE id = \(id) AND site_id = \(site)")
    guard !rows.isEmpty else { throw PublishingError.notFound("distribution", id) }
  }

  /// A canceled distribution is opened again by a retry; while its other deliveries are still being withdrawn, that
  /// would send them.
  private func requireSettled(_ groups: [Int64], in tx: Transaction) async throws {
    let open = try await tx.query(
      """
      SELECT FROM job_groups g JOIN jobs j ON j.group_id = g.group_id AND j.state = 'open'
      WHERE g.group_id = ANY(\(groups)) AND g.canceled_at IS NOT NULL LIMIT 1
      """
    )
    guard open.isEmpty else {
      throw PublishingError(
        .conflict,
        "still_canceling",
        "The distribution is still being canceled; try again in a moment"
      )
    }
  }

  /// Opens the distributions again, if they were canceled, and puts jobs for the deliveries in.
  func enqueue(_ jobs: [NewJob], in tx: Transaction) async throws {
    let groups = Array(Set(jobs.compactMap(\.groupID))).sorted()
    try await requireSettled(groups, in: tx)
    let answers = try await tx.batch([
      "UPDATE job_groups SET canceled_at = NULL WHERE group_id = ANY(\(groups)) AND canceled_at IS NOT NULL",
      Enqueue.jobs(jobs),
    ])
    // The job of an ended delivery is gone; without a new one the delivery would wait for ever.
    guard answers.last?.count == jobs.count else {
      let id = jobs.compactMap(\.id).first ?? 0
      throw PublishingError(.conflict, "not_retryable", "Delivery \(id) is still in the queue; try again in a moment")
    }
  }

  /// A new run of each: accepted steps carry over, everything else starts afresh. What failed takes the newest version
  /// of its post.
  func restart(_ deliveries: [Ended], site: Int64, in tx: Transaction) async throws {
    for delivery in deliveries {
      if let refusal = delivery.refusal { throw refusal }
    }
    let newest = deliveries.filter { $0.state == .failed }.map(\.id)
    try await tx.batch([
      """
      UPDATE deliveries d SET ended_as = NULL, ended_at = NULL, error = NULL, run = run + 1, scheduled_for = now(),
        by_hand = false, bodies_dropped = false
      WHERE d.id = ANY(\(deliveries.map(\.id)))
      """,
      """
      UPDATE deliveries d SET post_version = p.version FROM posts p
      WHERE d.id = ANY(\(newest)) AND p.id = d.post_id AND p.deleted_at IS NULL
      """,
    ])
    try await contents.store(newest, site: site, in: tx)
    try await enqueue(
      deliveries.map { delivery in
        NewJob(
          id: delivery.id,
          siteID: site,
          laneID: delivery.lane,
          groupID: delivery.distribution,
          kind: DeliveryHandler.kind,
          priority: .urgent,
          maximumAttempts: maximumAttempts
        )
      },
      in: tx
    )
  }
}
