package import FoundationEssentials
package import Postgres

/// A distribution as a whole: how far it is.
package struct DistributionProgress: Sendable, Equatable {
  /// Where a distribution stands, in one word.
  package enum Phase: String, Sendable, CaseIterable {
    /// Nothing of it is due yet.
    case scheduled
    case running
    /// Held by a person; nothing of it starts.
    case paused
    /// Withdrawn, while some deliveries still run to their end.
    case canceling
    /// Nothing moves without a person any more.
    case ended
  }

  package var id: Int64
  package var siteID: Int64
  package var postID: Int64
  package var postVersion: Int
  package var postTitle: String
  package var scheduledFor: Date?
  package var createdAt: Date
  package var pausedAt: Date?
  package var canceledAt: Date?
  /// When the last delivery ended; nil while one is open.
  package var endedAt: Date?
  /// How many deliveries are in each state; states without any are left out.
  package var states: [DeliveryState: Int]

  package var total: Int { states.values.reduce(0, +) }
  package var ended: Int { states.reduce(0) { $0 + ($1.key.isEnd ? $1.value : 0) } }

  package var phase: Phase {
    if ended == total { return .ended }
    if canceledAt != nil { return .canceling }
    if pausedAt != nil { return .paused }
    return states[.pending] == total ? .scheduled : .running
  }
}

/// What a list of distributions is limited to; nil: everything.
package struct DistributionFilter: Sendable, Equatable {
  /// Distributions with a delivery in this state.
  package var state: DeliveryState?
  /// Distributions with a delivery to this platform.
  package var platform: String?
  package var postID: Int64?
  package var createdFrom: Date?
  package var createdBefore: Date?

  package init(
    state: DeliveryState? = nil,
    platform: String? = nil,
    postID: Int64? = nil,
    createdFrom: Date? = nil,
    createdBefore: Date? = nil
  ) {
    self.state = state
    self.platform = platform
    self.postID = postID
    self.createdFrom = createdFrom
    self.createdBefore = createdBefore
  }
}

/// Reads of whole distributions. Every call runs in a transaction confined to the site.
package struct DistributionStore: Sendable {
  package init() {}

  private static let selection: SQL = """
    SELECT g.id, g.site_id, g.post_id, g.post_version, v.title, g.scheduled_for, g.created_at, j.paused_at, j.canceled_at,
      n.states, n.counts, n.last_end
    FROM distributions g
    JOIN post_versions v ON v.post_id = g.post_id AND v.version = g.post_version
    LEFT JOIN job_groups j ON j.group_id = g.id
    CROSS JOIN LATERAL (
      SELECT array_agg(x.state ORDER BY x.state) AS states, array_agg(x.count ORDER BY x.state) AS counts,
        max(x.last_end) AS last_end
      FROM (
        SELECT s.state, count(*) AS count, max(d.ended_at) AS last_end
        FROM deliveries d JOIN delivery_states s ON s.id = d.id WHERE d.distribution_id = g.id GROUP BY 1
      ) x
    ) n
    """

  package func progress(_ id: Int64, in tx: Transaction) async throws -> DistributionProgress {
    let rows = try await tx.query("\(fragment: Self.selection) WHERE g.id = \(id)")
    guard let row = rows.first else { throw PublishingError.notFound("distribution", id) }
    return try Self.progress(row)
  }

  /// Distributions, newest first, with ids below `before`.
  package func list(
    _ filter: DistributionFilter,
    before: Int64?,
    limit: Int,
    in tx: Transaction
  ) async throws -> [DistributionProgress] {
    let isFiltered = filter.state != nil || filter.platform != nil
    return try await tx.query(
      """
      \(fragment: Self.selection)
      WHERE g.id < \(before ?? Int64.max)
        AND (\(filter.postID)::bigint IS NULL OR g.post_id = \(filter.postID))
        AND (\(filter.createdFrom)::timestamptz IS NULL OR g.created_at >= \(filter.createdFrom))
        AND (\(filter.createdBefore)::timestamptz IS NULL OR g.created_at < \(filter.createdBefore))
        AND (NOT \(isFiltered) OR EXISTS (
          SELECT FROM deliveries d JOIN delivery_states s ON s.id = d.id
          WHERE d.distribution_id = g.id AND (\(filter.platform)::text IS NULL OR d.platform = \(filter.platform))
            AND (\(filter.state?.rawValue)::text IS NULL OR s.state = \(filter.state?.rawValue))))
      ORDER BY g.id DESC LIMIT \(limit)
      """
    ).map(Self.progress)
  }

  private static func progress(_ row: Row) throws -> DistributionProgress {
    let names = try row.get("states", as: [String]?.self) ?? []
    let counts = try row.get("counts", as: [Int64]?.self) ?? []
    var states: [DeliveryState: Int] = [:]
    for (name, count) in zip(names, counts) {
      guard let state = DeliveryState(rawValue: name) else { continue }
      states[state] = Int(count)
    }
    let isOpen = states.keys.contains { !$0.isEnd }
    return DistributionProgress(
      id: try row.get("id"),
      siteID: try row.get("site_id"),
      postID: try row.get("post_id"),
      postVersion: Int(try row.get("post_version", as: Int32.self)),
      postTitle: try row.get("title"),
      scheduledFor: try row.get("scheduled_for"),
      createdAt: try row.get("created_at"),
      pausedAt: try row.get("paused_at"),
      canceledAt: try row.get("canceled_at"),
      endedAt: isOpen ? nil : try row.get("last_end"),
      states: states
    )
  }
}
