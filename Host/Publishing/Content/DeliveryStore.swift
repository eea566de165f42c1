package import FoundationEssentials
import JSONText
package import Postgres

/// A delivery as people see it.
package struct Delivery: Sendable, Equatable {
  package var id: Int64
  package var siteID: Int64
  package var distributionID: Int64
  package var connectionID: Int64
  package var targetID: Int64?
  package var platform: String
  package var accountName: String
  package var postID: Int64
  package var postVersion: Int
  package var postTitle: String
  package var state: DeliveryState
  package var attempts: Int
  package var run: Int
  package var scheduledFor: Date
  /// When the queue looks at it next; nil when that is now, or never.
  package var nextAttemptAt: Date?
  package var remoteID: String?
  package var url: String?
  /// Of a thread: the posts that are out, as JSON text.
  package var segments: String?
  /// Why it stopped, or was put off last, as JSON text.
  package var error: String?
  package var warnings: [String]
  package var latencyMs: Int?
  package var createdAt: Date
  package var endedAt: Date?
  /// Whether a person posted it by hand.
  package var isByHand: Bool
  /// The delivery to another account that this one is sent instead of.
  package var replaces: Int64?
  /// The delivery that is sent instead of this one.
  package var replacedBy: Int64?
  /// What became of the wish to delete it on the platform.
  package var removal: Removal?
  package var removedAt: Date?
  /// Why it could not be deleted, as JSON text.
  package var removalError: String?

  /// How many posts of a thread are known, and how many of them were deleted on the platform.
  package var removedPosts: (removed: Int, count: Int) {
    // The host wrote the text itself; of what can not be read nothing is claimed.
    let posts = try? segments.map { text in
      try RawJSON(text: text).array().map { try $0.object().optionalBool("removed") ?? false }
    }
    return (posts?.count { $0 } ?? 0, posts?.count ?? 0)
  }

  package enum Removal: String, Sendable, CaseIterable {
    case asked
    case removed
    case failed
  }
}

/// What a list of deliveries is limited to; nil: everything.
package struct DeliveryFilter: Sendable, Equatable {
  package var state: DeliveryState?
  package var platform: String?
  package var connectionID: Int64?
  package var distributionID: Int64?
  package var postID: Int64?

  package init(
    state: DeliveryState? = nil,
    platform: String? = nil,
    connectionID: Int64? = nil,
    distributionID: Int64? = nil,
    postID: Int64? = nil
  ) {
    self.state = state
    self.platform = platform
    self.connectionID = connectionID
    self.distributionID = distributionID
    self.postID = postID
  }
}

/// One row of a delivery's story.
package struct DeliveryStep: Sendable, Equatable {
  package var run: Int
  package var step: String
  package var attempt: Int
  package var rule: String
  package var effectClass: String
  /// SHA-256 over what was sent, but for what the host adds.
  package var digest: String
  package var outcome: String?
  package var status: Int?
  package var remoteID: String?
  package var startedAt: Date
  package var sentAt: Date?
  package var lastByteAt: Date?
  package var closedBy: String?
}

/// Reads of deliveries. Every call runs in a transaction confined to the site.
package struct DeliveryStore: Sendable {
  package init() {}

  private static let selection: SQL = """
    SELECT d.id, d.site_id, d.distribution_id, d.connection_id, d.target_id, d.platform, c.account_name, d.post_id,
      d.post_version, p.title, s.state, d.attempts, d.run, d.scheduled_for, s.due_at, d.remote_id, d.remote_url,
      d.segments::text AS segments, d.error::text AS error, d.warnings, d.latency_ms, d.created_at, d.ended_at,
      d.by_hand, d.replaces_id, d.removal, d.removed_at, d.removal_error::text AS removal_error,
      (SELECT max(n.id) FROM deliveries n WHERE n.replaces_id = d.id
        AND coalesce(n.ended_as, 'open') NOT IN ('failed', 'canceled')) AS replaced_by
    FROM deliveries d
    JOIN delivery_states s ON s.id = d.id
    JOIN platform_connections c ON c.id = d.connection_id
    JOIN post_versions p ON p.post_id = d.post_id AND p.version = d.post_version
    """

  package func delivery(_ id: Int64, in tx: Transaction) async throws -> Delivery {
    let rows = try await tx.query("\(fragment: Self.selection) WHERE d.id = \(id)")
    guard let row = rows.first else { throw PublishingError.notFound("delivery", id) }
    return try Self.delivery(row)
  }

  /// Deliveries, newest first, with ids below `before`.
  package func list(_ filter: DeliveryFilter, before: Int64?, limit: Int, in tx: Transaction) async throws -> [Delivery]
  {
    let ended = filter.state.map(\.isEnd)
    return try await tx.query(
      """
      \(fragment: Self.selection)
      WHERE d.id < \(before ?? Int64.max)
        AND (\(ended)::bool IS NULL OR (d.ended_as IS NOT NULL) = \(ended))
        AND (\(filter.state?.rawValue)::text IS NULL OR s.state = \(filter.state?.rawValue))
        AND (\(filter.platform)::text IS NULL OR d.platform = \(filter.platform))
        AND (\(filter.connectionID)::bigint IS NULL OR d.connection_id = \(filter.connectionID))
        AND (\(filter.distributionID)::bigint IS NULL OR d.distribution_id = \(filter.distributionID))
        AND (\(filter.postID)::bigint IS NULL OR d.post_id = \(filter.postID))
      ORDER BY d.id DESC LIMIT \(limit)
      """
    ).map(Self.delivery)
  }

  /// How many deliveries of the site are in each state.
  package func counts(in tx: Transaction) async throws -> [DeliveryState: Int] {
    let rows = try await tx.query("SELECT state, count(*) AS count FROM delivery_states GROUP BY state")
    var counts: [DeliveryState: Int] = [:]
    for row in rows {
      guard let state = DeliveryState(rawValue: try row.get("state")) else { continue }
      counts[state] = Int(try row.get("count", as: Int64.self))
    }
    return counts
  }

  /// The journal of a delivery, oldest first, without the texts.
  package func steps(of id: Int64, in tx: Transaction) async throws -> [DeliveryStep] {
    try await tx.query(
      """
      SELECT run, step, try, rule, class, digest, outcome, status, remote_id, started_at, sent_at, last_byte_at, closed_by
      FROM delivery_effects WHERE delivery_id = \(id) ORDER BY started_at, try
      """
    ).map { row in
      DeliveryStep(
        run: Int(try row.get("run", as: Int32.self)),
        step: try row.get("step"),
        attempt: Int(try row.get("try", as: Int32.self)),
        rule: try row.get("rule"),
        effectClass: try row.get("class"),
        digest: try row.get("digest"),
        outcome: try row.get("outcome"),
        status: try row.get("status", as: Int16?.self).map(Int.init),
        remoteID: try row.get("remote_id"),
        startedAt: try row.get("started_at"),
        sentAt: try row.get("sent_at"),
        lastByteAt: try row.get("last_byte_at"),
        closedBy: try row.get("closed_by")
      )
    }
  }

  private static func delivery(_ row: Row) throws -> Delivery {
    Delivery(
      id: try row.get("id"),
      siteID: try row.get("site_id"),
      distributionID: try row.get("distribution_id"),
      connectionID: try row.get("connection_id"),
      targetID: try row.get("target_id"),
      platform: try row.get("platform"),
      accountName: try row.get("account_name"),
      postID: try row.get("post_id"),
      postVersion: Int(try row.get("post_version", as: Int32.self)),
      postTitle: try row.get("title"),
      state: DeliveryState(rawValue: try row.get("state")) ?? .queued,
      attempts: Int(try row.get("attempts", as: Int32.self)),
      run: Int(try row.get("run", as: Int32.self)),
      scheduledFor: try row.get("scheduled_for"),
      nextAttemptAt: try row.get("due_at"),
      remoteID: try row.get("remote_id"),
      url: try row.get("remote_url"),
      segments: try row.get("segments"),
      error: try row.get("error"),
      warnings: try row.get("warnings"),
      latencyMs: try row.get("latency_ms", as: Int32?.self).map(Int.init),
      createdAt: try row.get("created_at"),
      endedAt: try row.get("ended_at"),
      isByHand: try row.get("by_hand"),
      replaces: try row.get("replaces_id"),
      replacedBy: try row.get("replaced_by"),
      removal: try row.get("removal", as: String?.self).flatMap(Delivery.Removal.init),
      removedAt: try row.get("removed_at"),
      removalError: try row.get("removal_error")
    )
  }
}
