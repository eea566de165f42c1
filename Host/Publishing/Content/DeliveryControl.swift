import Egress
import FoundationEssentials
package import JobQueue
package import Postgres

/// What people do to deliveries: withdraw them, ask for another try, answer what nobody else can know.
package struct DeliveryControl: Sendable {
  let pool: Pool
  let queue: JobQueue
  private let maximumAttempts: Int

  package init(pool: Pool, queue: JobQueue, maximumAttempts: Int) {
    self.pool = pool
    self.queue = queue
    self.maximumAttempts = maximumAttempts
  }

  /// Withdraws a delivery that has not been sent yet.
  ///
  /// - Throws: a conflict when it has ended, or when a request is on its way.
  package func cancel(_ id: Int64, site: Int64, user: Int64?) async throws {
    try await requireOpen(id, site: site)
    switch try await queue.cancelJob(id, also: [Self.audit("delivery.cancel", id, site: site, user: user)]) {
    case .dropped: return
    case .alreadySending:
      throw PublishingError(.conflict, "already_sending", "Delivery \(id) is being sent and can not be called back")
    case .notFound:
      throw PublishingError(.conflict, "already_ended", "Delivery \(id) has ended already")
    }
  }

  /// Sends a delivery now that is planned for later.
  ///
  /// - Throws: a conflict when it waits for nothing any more.
  package func sendNow(_ id: Int64, site: Int64) async throws {
    try await requireOpen(id, site: site)
    let moved = try await queue.reschedule([id], to: Date())
    guard moved == 1 else {
      throw PublishingError(.conflict, "not_pending", "Delivery \(id) is on its way already")
    }
    try await pool.execute("UPDATE deliveries SET scheduled_for = now() WHERE id = \(id) AND ended_as IS NULL")
  }

  /// Sends a delivery again that failed, or went out in part.
  ///
  /// A failed one takes the newest version of its post. Refused while it is not known whether an earlier request was
  /// accepted, because that could publish twice.
  package func retry(_ id: Int64, site: Int64, user: Int64?) async throws {
    try await pool.transaction(scope: .owner) { tx in
      let rows = try await tx.query(
        "SELECT ended_as, lane_id, distribution_id FROM deliveries WHERE id = \(id) AND site_id = \(site) FOR UPDATE"
      )
      guard let row = rows.first else { throw PublishingError.notFound("delivery", id) }
      let state = try row.get("ended_as", as: String?.self).flatMap(DeliveryState.init)
      guard let state, state.after(.askedAgain) != nil else {
        throw PublishingError(
          .conflict,
          "not_retryable",
          "Delivery \(id) is \(state?.rawValue ?? "still open"); only failed and partial deliveries can be retried"
        )
      }
      let open = try await tx.query(
        """
        SELECT FROM delivery_effects e WHERE e.delivery_id = \(id) AND \(fragment: OpenCommit.condition) LIMIT 1
        """
      )
      guard open.isEmpty else {
        throw PublishingError(
          .conflict,
          "outcome_unknown",
          "It is not known whether delivery \(id) was published; say first whether the post is on the platform"
        )
      }
      try await restart(id, row: row, state: state, site: site, in: tx)
      try await tx.execute(Self.audit("delivery.retry", id, site: site, user: user))
    }
    queue.wake()
  }

  /// A person's word on a delivery that nobody else can settle.
  package enum Answer: Sendable, Equatable {
    /// It is on the platform, at this address if one is known.
    case published(url: String?)
    /// It is not on the platform: send it.
    case notPublished
    /// Leave it.
    case giveUp
  }

  /// Settles an unconfirmed delivery with what a person saw.
  package func answer(_ answer: Answer, for id: Int64, site: Int64, user: Int64) async throws {
    try await pool.transaction(scope: .owner) { tx in
      let rows = try await tx.query(
        "SELECT ended_as, lane_id, distribution_id FROM deliveries WHERE id = \(id) AND site_id = \(site) FOR UPDATE"
      )
      guard let row = rows.first else { throw PublishingError.notFound("delivery", id) }
      guard try row.get("ended_as", as: String?.self) == DeliveryState.unconfirmed.rawValue else {
        throw PublishingError(.conflict, "nothing_to_answer", "Delivery \(id) waits for no answer")
      }
      let outcome: OutcomeClass = if case .published = answer { .accepted } else { .notSent }
      try await tx.execute(
        """
        UPDATE delivery_effects SET state = 'done', outcome = \(outcome.rawValue), closed_by = \("user:\(user)")
        WHERE delivery_id = \(id) AND class = 'commit' AND (outcome IS NULL OR outcome = 'unknown')
        """
      )
      try await tx.batch([Self.audit("delivery.answer", id, site: site, user: user)])
      switch answer {
      case .published(let url):
        try await tx.execute(
          """
          UPDATE deliveries d SET remote_url = coalesce(remote_url, \(url)), error = NULL,
            ended_as = CASE WHEN \(fragment: ThreadParts.areMissing(of: "d")) THEN 'partial' ELSE 'sent' END,
            ended_at = clock_timestamp() WHERE id = \(id)
          """
        )
        try await tx.execute(Self.ended(id))
      case .notPublished:
        try await restart(id, row: row, state: .unconfirmed, site: site, in: tx)
      case .giveUp:
        // What an earlier segment published stays published.
        try await tx.execute(
          """
          UPDATE deliveries d SET ended_at = clock_timestamp(), ended_as = CASE WHEN EXISTS (
            SELECT FROM delivery_effects e WHERE e.delivery_id = d.id AND e.class = 'commit' AND e.outcome = 'accepted')
            THEN 'partial' ELSE 'failed' END
          WHERE id = \(id)
          """
        )
        try await tx.execute(Self.ended(id))
      }
    }
    queue.wake()
  }

  private func requireOpen(_ id: Int64, site: Int64) async throws {
    let rows = try await pool.query("SELECT ended_as FROM deliveries WHERE id = \(id)", scope: .site(site))
    guard let row = rows.first else { throw PublishingError.notFound("delivery", id) }
    if let ended = try row.get("ended_as", as: String?.self) {
      throw PublishingError(.conflict, "already_ended", "Delivery \(id) is \(ended) already")
    }
  }

  /// A canceled distribution is opened again by a retry; while its other deliveries are still being withdrawn, that
  /// would send them.
  private func requireSettledGroup(_ row: Row, in tx: Transaction) async throws {
    let group: Int64 = try row.get("distribution_id")
    let open = try await tx.query(
      """
      SELECT FROM job_groups g JOIN jobs j ON j.group_id = g.group_id AND j.state = 'open'
      WHERE g.group_id = \(group) AND g.canceled_at IS NOT NULL LIMIT 1
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

  /// A new run: accepted steps carry over, everything else starts afresh.
  private func restart(
    _ id: Int64,
    row: Row,
    state: DeliveryState,
    site: Int64,
    in tx: Transaction
  ) async throws {
    let job = NewJob(
      id: id,
      siteID: site,
      laneID: try row.get("lane_id"),
      groupID: try row.get("distribution_id"),
      kind: DeliveryHandler.kind,
      priority: .urgent,
      maximumAttempts: maximumAttempts
    )
    let deleted = try await tx.query(
      "SELECT FROM deliveries d JOIN posts p ON p.id = d.post_id WHERE d.id = \(id) AND p.deleted_at IS NOT NULL"
    )
    guard deleted.isEmpty else {
      throw PublishingError(
        .conflict,
        "post_deleted",
        "The post of delivery \(id) was deleted and is not sent any more"
      )
    }
    let takesNewest = state == .failed
    let answers = try await tx.batch([
      """
      UPDATE deliveries d SET ended_as = NULL, ended_at = NULL, error = NULL, run = run + 1, scheduled_for = now(),
        post_version = CASE WHEN \(takesNewest)
          THEN coalesce((SELECT p.version FROM posts p WHERE p.id = d.post_id AND p.deleted_at IS NULL), d.post_version)
          ELSE d.post_version END
      WHERE id = \(id)
      """,
      "UPDATE job_groups SET canceled_at = NULL WHERE group_id = \(try row.get("distribution_id", as: Int64.self))",
      Enqueue.jobs([job]),
    ])
    // The job of an ended delivery is gone; without a new one the delivery would wait for ever.
    guard answers.last?.isEmpty == false else {
      throw PublishingError(.conflict, "not_retryable", "Delivery \(id) is still in the queue; try again in a moment")
    }
  }

  /// The event of an end that a person decided.
  private static func ended(_ id: Int64) -> SQL {
    """
    INSERT INTO outbox (site_id, kind, subject_id, data)
    SELECT site_id, 'delivery.' || ended_as, id, jsonb_strip_nulls(jsonb_build_object('id', id,
      'distributionId', distribution_id, 'connectionId', connection_id, 'platform', platform, 'state', ended_as,
      'url', remote_url, 'attempts', attempts, 'error', error))
    FROM deliveries WHERE id = \(id)
    """
  }

  private static func audit(_ action: String, _ id: Int64, site: Int64, user: Int64?) -> SQL {
    """
    INSERT INTO audit_logs (site_id, user_id, action, subject)
    VALUES (\(site), \(user), \(action), \("delivery:\(id)"))
    """
  }
}
