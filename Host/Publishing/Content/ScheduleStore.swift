package import FoundationEssentials
import JSONText
package import Postgres

/// A plan: one post to one account at an instant. Its status is the state of its delivery.
package struct Schedule: Sendable, Equatable {
  package var id: Int64
  package var siteID: Int64
  package var postID: Int64
  package var targetID: Int64?
  package var connectionID: Int64
  package var distributionID: Int64
  package var deliveryID: Int64
  package var scheduledFor: Date
  /// The options of the distribution, as JSON text.
  package var options: String
  package var state: DeliveryState
  package var createdAt: Date
}

/// Schedules. Reads run in a transaction confined to the site.
package struct ScheduleStore: Sendable {
  package init() {}

  private static let selection: SQL = """
    SELECT p.id, p.site_id, p.post_id, p.target_id, p.connection_id, p.distribution_id, p.delivery_id,
      d.scheduled_for, p.options::text AS options, s.state, p.created_at
    FROM publishing_schedules p
    JOIN deliveries d ON d.id = p.delivery_id
    JOIN delivery_states s ON s.id = p.delivery_id
    """

  /// Takes the number of a schedule to be.
  package func reserveID(_ pool: Pool) async throws -> Int64 {
    let rows = try await pool.query("SELECT nextval(pg_get_serial_sequence('publishing_schedules', 'id')) AS id")
    guard let row = rows.first else { throw PublishingError(.unavailable, "no_id", "The database gave no number") }
    return try row.get("id")
  }

  /// The schedule of a distribution with one delivery.
  package func plan(_ id: Int64, _ request: DispatchRequest, _ dispatched: Dispatched) -> Schedule {
    Schedule(
      id: id,
      siteID: request.siteID,
      postID: request.postID,
      targetID: dispatched.deliveries.first?.targetID,
      connectionID: dispatched.deliveries.first?.connectionID ?? 0,
      distributionID: dispatched.distributionID,
      deliveryID: dispatched.deliveries.first?.id ?? 0,
      scheduledFor: dispatched.scheduledFor,
      options: request.options.text,
      state: dispatched.deliveries.first?.state ?? .pending,
      createdAt: Date()
    )
  }

  /// The statement that stores a plan, for the transaction of its distribution.
  package func insert(_ plan: Schedule) -> SQL {
    """
    INSERT INTO publishing_schedules (id, site_id, post_id, distribution_id, delivery_id, target_id, connection_id,
      scheduled_for, options, created_at)
    OVERRIDING SYSTEM VALUE
    VALUES (\(plan.id), \(plan.siteID), \(plan.postID), \(plan.distributionID), \(plan.deliveryID), \(plan.targetID),
      \(plan.connectionID), \(plan.scheduledFor), \(JSONB(text: plan.options)), \(plan.createdAt))
    """
  }

  package func schedule(_ id: Int64, in tx: Transaction) async throws -> Schedule {
    let rows = try await tx.query("\(fragment: Self.selection) WHERE p.id = \(id)")
    guard let row = rows.first else { throw PublishingError.notFound("schedule", id) }
    return try Self.schedule(row)
  }

  /// Schedules, newest first, with ids below `before`.
  package func list(before: Int64?, limit: Int, in tx: Transaction) async throws -> [Schedule] {
    try await tx.query(
      "\(fragment: Self.selection) WHERE p.id < \(before ?? Int64.max) ORDER BY p.id DESC LIMIT \(limit)"
    ).map(Self.schedule)
  }

  private static func schedule(_ row: Row) throws -> Schedule {
    Schedule(
      id: try row.get("id"),
      siteID: try row.get("site_id"),
      postID: try row.get("post_id"),
      targetID: try row.get("target_id"),
      connectionID: try row.get("connection_id"),
      distributionID: try row.get("distribution_id"),
      deliveryID: try row.get("delivery_id"),
      scheduledFor: try row.get("scheduled_for"),
      options: try row.get("options"),
      state: DeliveryState(rawValue: try row.get("state")) ?? .queued,
      createdAt: try row.get("created_at")
    )
  }
}
