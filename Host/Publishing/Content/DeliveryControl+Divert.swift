internal import Audit
import FoundationEssentials
import JSONText
import JobQueue
import PluginHost
import PluginManifest
package import Postgres

/// Another way out: what one account can not take is sent by another one of the same site.
extension DeliveryControl {
  /// Deliveries that go another way, by the number of the one they replace.
  package struct Diverted: Sendable, Equatable {
    package struct Pair: Sendable, Equatable {
      package var from: Int64
      package var to: Int64
    }

    package var deliveries: [Pair] = []
    /// Deliveries of the account that run to their end there, because a request had left.
    package var alreadySending = 0
  }

  /// The most deliveries that one request moves; ask again for the rest.
  package static let divertLimit = 5_000

  private struct Way {
    let connection: Int64
    let lane: Int64
    let platform: String
    let name: String
  }

  /// Sends a failed delivery by another account instead: a new delivery that names the failed one.
  package func divert(
    delivery id: Int64,
    to connection: Int64?,
    site: Int64,
    user: Int64?
  ) async throws -> Diverted.Pair {
    let pair = try await pool.transaction(scope: .owner) { tx in
      let ended = try await lock(id, site: site, in: tx)
      guard ended.state == .failed else {
        throw PublishingError(
          .conflict,
          "not_failed",
          "Delivery \(id) is \(ended.state?.rawValue ?? "still open"); only a failed one can go another way"
        )
      }
      guard !ended.isOpen else {
        throw PublishingError(.conflict, "outcome_unknown", "It is not known whether delivery \(id) was published")
      }
      if let refusal = ended.refusal { throw refusal }
      let own: Int64 = try await tx.query("SELECT connection_id FROM deliveries WHERE id = \(id)")[0].get(0)
      let way = try await way(to: connection, from: own, site: site, in: tx)
      let pairs = try await replace([id], by: way, site: site, in: tx)
      try await tx.execute(Self.audit(.deliveryDivert, id, site: site, user: user))
      guard let pair = pairs.first else {
        throw PublishingError(.conflict, "replaced", "Delivery \(id) was replaced before")
      }
      return pair
    }
    queue.wake()
    return pair
  }

  /// Sends everything that waits for an account by another one instead, such as while a platform is down. Planned times
  /// stay. What has started there runs to its end.
  package func divert(connection id: Int64, to other: Int64?, site: Int64, user: Int64?) async throws -> Diverted {
    let result = try await pool.transaction(scope: .owner) { tx in
      let rows = try await tx.query(
        "SELECT lane_id FROM platform_connections WHERE id = \(id) AND site_id = \(site) FOR SHARE"
      )
      guard let row = rows.first else { throw PublishingError.notFound("connection", id) }
      let way = try await way(to: other, from: id, site: site, in: tx)
      let ids = try await waiting(for: id, in: tx)
      let reason = DeliveryProblem(kind: "diverted", retry: .never, message: "It was sent by \(way.name) instead")
      try await tx.batch(queue.withdrawal(of: ids, lanes: [try row.get("lane_id")]))
      let taken = try await tx.query(
        """
        UPDATE deliveries d SET error = \(JSONB(text: reason.json().text))
        WHERE d.id = ANY(\(ids)) AND d.ended_as IS NOT NULL RETURNING d.id, d.ended_as
        """
      )
      // A thread of which an earlier run published a part ends `partial`; another account could only repeat that part.
      let withdrawn = try taken.filter { try $0.get("ended_as", as: String.self) == DeliveryState.canceled.rawValue }
        .map { try $0.get("id", as: Int64.self) }
      let pairs = try await replace(withdrawn.sorted(), by: way, site: site, in: tx)
      try await tx.batch([
        Self.audit(.connectionDivert, subject: "connection:\(id)", site: site, user: user),
        """
        INSERT INTO outbox (site_id, kind, subject_id, data) VALUES (\(site), 'connection.diverted', \(id),
          jsonb_build_object('id', \(id)::bigint, 'to', \(way.connection)::bigint, 'deliveries', \(Int32(clamping: pairs.count))::int))
        """,
      ])
      return Diverted(deliveries: pairs, alreadySending: ids.count - taken.count)
    }
    queue.wake()
    return result
  }

  /// The open deliveries of an account that nobody has withdrawn. Their distributions are locked, so that whoever
  /// withdraws one now finds the deliveries that take their place.
  private func waiting(for connection: Int64, in tx: Transaction) async throws -> [Int64] {
    try await tx.batch([
      """
      SELECT FROM job_groups WHERE group_id IN (
        SELECT d.distribution_id FROM deliveries d WHERE d.connection_id = \(connection) AND d.ended_as IS NULL)
      ORDER BY group_id FOR SHARE
      """,
      """
      SELECT d.id FROM deliveries d JOIN jobs j ON j.job_id = d.id JOIN job_groups g ON g.group_id = d.distribution_id
      WHERE d.connection_id = \(connection) AND d.ended_as IS NULL AND j.canceled_at IS NULL AND g.canceled_at IS NULL
      ORDER BY d.id LIMIT \(Self.divertLimit)
      """,
    ])[1].map { try $0.get("id", as: Int64.self) }
  }

  /// Accounts of the site that a person can choose for another way out: those with an address of the user's own.
  package func waysOut(in tx: Transaction) async throws -> [(id: Int64, name: String)] {
    let own = ownAddressPlatforms
    return try await tx.query(
      """
      SELECT id, account_name FROM platform_connections
      WHERE platform = ANY(\(own)) AND status = 'active' AND deleted_at IS NULL ORDER BY id
      """
    ).map { (try $0.get("id"), try $0.get("account_name")) }
  }

  /// Platforms whose requests go to an address that the user entered.
  private var ownAddressPlatforms: [String] {
    plugins.manifests.filter { manifest in
      manifest.rules.values.contains { $0.effectClass == .commit && $0.origin == .accountEndpoint }
    }.map(\.id)
  }

  private func way(to connection: Int64?, from own: Int64, site: Int64, in tx: Transaction) async throws -> Way {
    let platforms = ownAddressPlatforms
    let rows = try await tx.query(
      """
      SELECT id, lane_id, platform, account_name, status FROM platform_connections
      WHERE site_id = \(site) AND deleted_at IS NULL AND id <> \(own)
        AND CASE WHEN \(connection)::bigint IS NULL THEN platform = ANY(\(platforms)) AND status = 'active'
          ELSE id = \(connection) END
      ORDER BY id LIMIT 2 FOR SHARE
      """
    )
    guard let row = rows.first else {
      if let connection { throw PublishingError.notFound("connection", connection, field: "connectionId") }
      throw PublishingError(
        .conflict,
        "no_other_way",
        "The site has no account with an address of its own to send to; connect one, or name another account",
        field: "connectionId"
      )
    }
    guard connection != nil || rows.count == 1 else {
      throw PublishingError(
        .invalid,
        "missing",
        "The site has several accounts that could take it; name one of them",
        field: "connectionId"
      )
    }
    guard try row.get("status", as: String.self) == "active" else {
      throw PublishingError(
        .invalid,
        "connection_not_active",
        "The account of connection \(connection ?? 0) is not usable; connect it again",
        field: "connectionId"
      )
    }
    return Way(
      connection: try row.get("id"),
      lane: try row.get("lane_id"),
      platform: try row.get("platform"),
      name: try row.get("account_name")
    )
  }

  /// Makes a delivery for each that was not replaced before, in the same distribution, with the same version and time.
  private func replace(_ ids: [Int64], by way: Way, site: Int64, in tx: Transaction) async throws -> [Diverted.Pair] {
    guard !ids.isEmpty else { return [] }
    let rows = try await tx.query(
      """
      INSERT INTO deliveries (id, site_id, distribution_id, connection_id, lane_id, platform, post_id, post_version,
        scheduled_for, replaces_id)
      SELECT nextval('jobs_job_id_seq'), d.site_id, d.distribution_id, \(way.connection), \(way.lane), \(way.platform),
        d.post_id, d.post_version, CASE WHEN d.ended_as = 'failed' THEN now() ELSE d.scheduled_for END, d.id
      FROM deliveries d WHERE d.id = ANY(\(ids)) ORDER BY d.scheduled_for, d.id
      ON CONFLICT DO NOTHING
      RETURNING id, replaces_id, distribution_id, scheduled_for
      """
    )
    let jobs = try rows.map { row in
      NewJob(
        id: try row.get("id"),
        siteID: site,
        laneID: way.lane,
        groupID: try row.get("distribution_id"),
        kind: DeliveryHandler.kind,
        priority: .high,
        dueAt: try row.get("scheduled_for", as: Date.self),
        maximumAttempts: maximumAttempts
      )
    }
    let made = jobs.compactMap(\.id)
    try await contents.store(made, site: site, in: tx)
    try await enqueue(jobs, in: tx)
    return try rows.map { Diverted.Pair(from: try $0.get("replaces_id"), to: try $0.get("id")) }
      .sorted { $0.from < $1.from }
  }
}
