internal import FoundationEssentials
internal import JobQueue
package import Outbox
package import Postgres

/// Turns events into messages: one row and one job for each endpoint that wants the event.
package enum WebhookQueue {
  /// An endpoint, as far as choosing events needs it.
  private struct Receiver {
    var id: Int64
    var site: Int64
    var lane: Int64
    var patterns: [String]
    var takesHostEvents: Bool

    init(_ row: Row) throws(PostgresError) {
      id = try row.get("id")
      site = try row.get("site_id")
      lane = try row.get("lane_id")
      patterns = try row.get("event_types")
      takesHostEvents = try row.get("takes_host_events")
    }

    func wants(_ event: OutboxEvent) -> Bool {
      let isOurs = event.site == site || (event.site == OutboxEvent.hostSite && takesHostEvents)
      return isOurs && EventPattern.matches(patterns, event.kind)
    }

    static let columns: SQL = "e.id, e.site_id, e.lane_id, e.event_types, e.takes_host_events"
  }

  /// The consumer of the outbox; the messages' rows come with the move of the reader's place.
  @Sendable package static func consume(_ events: [OutboxEvent], _ tx: Transaction) async throws {
    let sites = Set(events.map(\.site))
    let isForHost = sites.contains(OutboxEvent.hostSite)
    let receivers = try await tx.query(
      """
      SELECT \(fragment: Receiver.columns) FROM event_endpoints e
      WHERE e.is_active AND e.deleted_at IS NULL
        AND (e.site_id = ANY(\(Array(sites))) OR (\(isForHost) AND e.takes_host_events))
      ORDER BY e.id FOR KEY SHARE
      """
    ).map { row throws(PostgresError) in try Receiver(row) }
    try await store(events, for: receivers, tx)
  }

  /// Makes the messages that the receivers want and do not have yet; answers how many.
  @discardableResult
  private static func store(_ events: [OutboxEvent], for receivers: [Receiver], _ tx: Transaction) async throws -> Int {
    var pairs: [(event: OutboxEvent, receiver: Receiver, body: String)] = []
    for event in events {
      let wanted = receivers.filter { $0.wants(event) }
      if wanted.isEmpty { continue }
      let body = try WebhookBody.text(event)
      for receiver in wanted { pairs.append((event, receiver, body)) }
    }
    guard !pairs.isEmpty else { return 0 }
    let rows = try await tx.query(
      """
      INSERT INTO event_deliveries (site_id, endpoint_id, event_id, kind, body)
      SELECT t.site_id, t.endpoint_id, t.event_id, t.kind, t.body FROM unnest(
        \(pairs.map(\.receiver.site)), \(pairs.map(\.receiver.id)), \(pairs.map(\.event.eventID)),
        \(pairs.map(\.event.kind)), \(pairs.map(\.body))
      ) WITH ORDINALITY AS t(site_id, endpoint_id, event_id, kind, body, place)
      ORDER BY t.place
      ON CONFLICT (endpoint_id, event_id) DO NOTHING
      RETURNING id, endpoint_id
      """
    )
    let lanes = Dictionary(receivers.map { ($0.id, $0) }) { first, _ in first }
    let messages = try rows.map { row in
      (id: try row.get("id", as: Int64.self), receiver: lanes[try row.get("endpoint_id", as: Int64.self)])
    }.sorted { $0.id < $1.id }
    try await enqueue(messages.compactMap { pair in pair.receiver.map { (pair.id, $0.site, $0.lane) } }, tx)
    return messages.count
  }

  /// Puts a job for each message into the queue, in order, and starts its day.
  static func enqueue(_ messages: [(id: Int64, site: Int64, lane: Int64)], _ tx: Transaction) async throws {
    guard !messages.isEmpty else { return }
    let rows = try await tx.query(
      Enqueue.jobs(
        messages.map { message in
          NewJob(
            siteID: message.site,
            laneID: message.lane,
            kind: WebhookSender.kind,
            priority: .normal,
            // The policy ends a message after a day; the queue never does.
            maximumAttempts: 1_000,
            payload: JSONB(text: #"{"message":\#(message.id)}"#)
          )
        }
      )
    )
    let jobs = try rows.map { row -> (Int64, Int64) in
      (messages[Int(try row.get("place", as: Int64.self)) - 1].id, try row.get("job_id"))
    }
    try await tx.execute(
      """
      UPDATE event_deliveries m SET job_id = t.job_id, state = 'pending', queued_at = clock_timestamp(), ended_at = NULL
      FROM unnest(\(jobs.map(\.0)), \(jobs.map(\.1))) AS t(id, job_id) WHERE m.id = t.id
      """
    )
  }

  // MARK: What an endpoint missed

  /// Events of one page of a replay.
  static let pageSize = 500

  /// The events since a time that an endpoint wants and has no message for, because it was switched off; answers how
  /// many there were, and the place to go on from, nil at the end.
  static func catchUp(
    _ endpoint: Int64,
    since: Date,
    after: Int64,
    _ tx: Transaction
  ) async throws -> (made: Int, next: Int64?) {
    let receivers = try await tx.query(
      "SELECT \(fragment: Receiver.columns) FROM event_endpoints e WHERE e.id = \(endpoint)"
    ).map { row throws(PostgresError) in try Receiver(row) }
    guard let receiver = receivers.first else { return (0, nil) }
    // What the reader has not passed yet comes by itself.
    let rows = try await tx.query(
      """
      SELECT \(fragment: OutboxEvent.columns), o.id FROM outbox o, outbox_readers r, event_endpoints e
      WHERE r.name = 'webhooks' AND e.id = \(endpoint) AND o.created_at >= greatest(\(since), e.created_at)
        AND o.id > \(after)
        AND (o.xid, o.id) <= (r.transaction, r.id)
        AND (o.site_id = \(receiver.site) OR (\(receiver.takesHostEvents) AND o.site_id = 0))
        AND NOT EXISTS (SELECT FROM event_deliveries m WHERE m.endpoint_id = \(endpoint) AND m.event_id = o.event_id)
      ORDER BY o.id LIMIT \(Int64(pageSize))
      """
    )
    let made = try await store(rows.map { row throws(PostgresError) in try OutboxEvent(row) }, for: receivers, tx)
    return (made, rows.count == pageSize ? try rows.last?.get("id") : nil)
  }
}
