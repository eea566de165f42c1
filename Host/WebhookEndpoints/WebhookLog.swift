internal import Cryptography
package import FoundationEssentials
internal import Outbox
package import Postgres

extension WebhookEndpoints {
  /// The messages of an endpoint, newest first.
  package func messages(
    of endpoint: Int64,
    site: Int64,
    state: WebhookMessage.State? = nil,
    before: Int64? = nil,
    limit: Int = 50
  ) async throws -> [WebhookMessage] {
    _ = try await self.endpoint(endpoint, site: site)
    return try await pool.query(
      """
      SELECT \(fragment: WebhookMessage.columns) FROM event_deliveries m
      WHERE m.endpoint_id = \(endpoint) AND m.id < \(before ?? .max)
        AND (\(state?.rawValue)::text IS NULL OR m.state = \(state?.rawValue))
      ORDER BY m.id DESC LIMIT \(Int64(limit))
      """,
      scope: .site(site)
    ).map { row throws(PostgresError) in try WebhookMessage(row) }
  }

  /// A message and every request that was made for it.
  package func message(
    _ id: Int64,
    of endpoint: Int64,
    site: Int64
  ) async throws -> (message: WebhookMessage, attempts: [WebhookAttempt]) {
    let rows = try await pool.query(
      """
      SELECT \(fragment: WebhookMessage.columns) FROM event_deliveries m
      WHERE m.id = \(id) AND m.endpoint_id = \(endpoint)
      """,
      scope: .site(site)
    )
    guard let row = rows.first else { throw WebhookError.messageNotFound(id) }
    let attempts = try await pool.query(
      """
      SELECT \(fragment: WebhookAttempt.columns) FROM event_attempts a WHERE a.event_delivery_id = \(id)
      ORDER BY a.id DESC LIMIT 100
      """,
      scope: .site(site)
    ).map { row throws(PostgresError) in try WebhookAttempt(row) }
    return (try WebhookMessage(row), attempts)
  }

  /// Puts a message of the kind `webhook.test` into the queue; answers with its number.
  ///
  /// It takes the same way as every other message.
  package func test(_ endpoint: Int64, site: Int64, also: [SQL] = []) async throws -> Int64 {
    try await pool.transaction { tx in
      let lane = try await activeLane(endpoint, site: site, tx)
      let event = OutboxEvent(
        eventID: UUID(),
        site: site,
        kind: "webhook.test",
        subject: endpoint,
        data: #"{"endpointId":\#(endpoint)}"#,
        createdAt: Date()
      )
      let id: Int64 = try await tx.query(
        """
        INSERT INTO event_deliveries (site_id, endpoint_id, event_id, kind, body)
        VALUES (\(site), \(endpoint), \(event.eventID), \(event.kind), \(try WebhookBody.text(event))) RETURNING id
        """
      )[0].get(0)
      try await WebhookQueue.enqueue([(id, site, lane)], tx)
      try await tx.batch(also)
      return id
    }
  }

  /// Sends one message again, whatever became of it; a message that waits is tried at its time.
  package func replay(message id: Int64, of endpoint: Int64, site: Int64, also: [SQL] = []) async throws {
    try await pool.transaction { tx in
      let lane = try await activeLane(endpoint, site: site, tx)
      let rows = try await tx.query(
        "SELECT FROM event_deliveries WHERE id = \(id) AND endpoint_id = \(endpoint)"
      )
      guard !rows.isEmpty else { throw WebhookError.messageNotFound(id) }
      // A message that is being sent is not waited for.
      let ended = try await tx.query("SELECT FROM event_deliveries WHERE id = \(id) AND state <> 'pending' FOR UPDATE")
      guard !ended.isEmpty else {
        throw WebhookError(.conflict, "still_pending", "Message \(id) is in the queue already")
      }
      try await WebhookQueue.enqueue([(id, site, lane)], tx)
      try await tx.batch(also)
    }
  }

  /// Sends everything again since a time that failed, and what the endpoint missed while it was switched off.
  ///
  /// - Returns: how many messages were put into the queue, and whether there are more than one call takes.
  package func replay(
    since: Date,
    of endpoint: Int64,
    site: Int64,
    also: [SQL] = []
  ) async throws -> (count: Int, hasMore: Bool) {
    var total = 0
    try await pool.transaction { tx in
      _ = try await activeLane(endpoint, site: site, tx)
      try await tx.batch(also)
    }
    while total < Self.replayLimit {
      let count = try await pool.transaction { tx in
        let lane = try await activeLane(endpoint, site: site, tx)
        let ids: [Int64] = try await tx.query(
          """
          SELECT id FROM event_deliveries WHERE endpoint_id = \(endpoint) AND state = 'failed' AND created_at >= \(since)
          ORDER BY id LIMIT \(Int64(WebhookQueue.pageSize)) FOR UPDATE
          """
        ).map { try $0.get(0) }
        try await WebhookQueue.enqueue(ids.map { ($0, site, lane) }, tx)
        return ids.count
      }
      total += count
      if count < WebhookQueue.pageSize { break }
    }
    var place: Int64? = 0
    while total < Self.replayLimit, let from = place {
      let (made, next) = try await pool.transaction { tx in
        _ = try await activeLane(endpoint, site: site, tx)
        return try await WebhookQueue.catchUp(endpoint, since: since, after: from, tx)
      }
      total += made
      place = next
    }
    return (total, total >= Self.replayLimit)
  }

  /// Messages that one call puts into the queue.
  private static var replayLimit: Int { 10_000 }

  private func activeLane(_ endpoint: Int64, site: Int64, _ tx: Transaction) async throws -> Int64 {
    let rows = try await tx.query(
      """
      SELECT lane_id, is_active FROM event_endpoints
      WHERE id = \(endpoint) AND site_id = \(site) AND deleted_at IS NULL FOR KEY SHARE
      """
    )
    guard let row = rows.first else { throw WebhookError.endpointNotFound(endpoint) }
    guard try row.get("is_active", as: Bool.self) else {
      throw WebhookError(
        .conflict,
        "webhook_inactive",
        "Webhook \(endpoint) is switched off; switch it on first",
        field: "isActive"
      )
    }
    return try row.get("lane_id")
  }
}

/// The log of messages and requests.
package enum WebhookLog {
  /// Removes what is older; answers how many messages there were.
  package static func clean(_ pool: Pool, olderThan age: Duration) async throws -> Int {
    var total = 0
    while true {
      let count = try await pool.execute(
        """
        DELETE FROM event_deliveries WHERE id IN (
          SELECT id FROM event_deliveries
          WHERE created_at < clock_timestamp() - \(age.components.seconds) * interval '1 s'
            AND (state <> 'pending' OR queued_at < clock_timestamp() - interval '3 days')
          LIMIT 5000)
        """
      )
      total += count
      if count < 5_000 { break }
    }
    while true {
      let count = try await pool.execute(
        """
        DELETE FROM event_attempts WHERE id IN (
          SELECT id FROM event_attempts
          WHERE requested_at < clock_timestamp() - \(age.components.seconds) * interval '1 s' LIMIT 5000)
        """
      )
      if count < 5_000 { return total }
    }
  }
}
