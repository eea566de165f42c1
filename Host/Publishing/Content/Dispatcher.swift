package import FoundationEssentials
package import JSONText
package import JobQueue
package import PluginHost
import PluginManifest
package import Postgres

/// What a person asks to be sent.
package struct DispatchRequest: Sendable {
  package var siteID: Int64
  package var postID: Int64
  package var connectionIDs: [Int64]
  package var targetIDs: [Int64]
  /// Nil: now. An instant in the past is due at once, in the order of the instants.
  package var scheduledFor: Date?
  /// `{customMessage?, overrides?, requestAiAssets?}` as JSON text.
  package var options: RawJSON
  package var userID: Int64?
  package var isManual: Bool

  package init(
    siteID: Int64,
    postID: Int64,
    connectionIDs: [Int64],
    targetIDs: [Int64],
    scheduledFor: Date?,
    options: RawJSON,
    userID: Int64?,
    isManual: Bool = true
  ) {
    self.siteID = siteID
    self.postID = postID
    self.connectionIDs = connectionIDs
    self.targetIDs = targetIDs
    self.scheduledFor = scheduledFor
    self.options = options
    self.userID = userID
    self.isManual = isManual
  }
}

/// What was accepted.
package struct Dispatched: Sendable, Equatable {
  package struct Delivery: Sendable, Equatable {
    package var id: Int64
    package var connectionID: Int64
    package var targetID: Int64?
    package var platform: String
    package var state: DeliveryState
  }

  package var distributionID: Int64
  package var postVersion: Int
  package var scheduledFor: Date
  package var deliveries: [Delivery]
  package var warnings: [String]
}

/// Accepts distributions: one read, the adapters' own checks, one transaction.
package struct Dispatcher: Sendable {
  /// The most accounts of one distribution.
  package static let maximumEntries = 100

  private let pool: Pool
  private let queue: JobQueue
  private let plugins: PluginHost
  private let maximumAttempts: Int

  package init(pool: Pool, queue: JobQueue, plugins: PluginHost, maximumAttempts: Int) {
    self.pool = pool
    self.queue = queue
    self.plugins = plugins
    self.maximumAttempts = maximumAttempts
  }

  private struct Entry {
    var connection: Int64
    var target: Int64?
    var field: String
    var platform = ""
    var lane: Int64 = 0
    var payload: String?
    var account: RawJSON = RawJSON.emptyObject
  }

  /// Accepts a distribution.
  ///
  /// - Parameter record: statements that belong to the same transaction (an idempotency key, a schedule), made from
  ///   what was accepted.
  package func dispatch(
    _ request: DispatchRequest,
    recording record: (Dispatched) throws -> [SQL] = { _ in [] }
  ) async throws -> Dispatched {
    let count = request.connectionIDs.count + request.targetIDs.count
    guard (1...Self.maximumEntries).contains(count) else {
      throw PublishingError(
        .invalid,
        "out_of_range",
        "connectionIds and targetIds name \(count) accounts together; allowed are 1 to \(Self.maximumEntries)",
        field: "connectionIds"
      )
    }
    let read = try await pool.batch(statements(for: request, count: count), scope: .site(request.siteID))
    guard let post = read[0].first else { throw PublishingError.notFound("post", request.postID, field: "postId") }
    let entries = try entries(of: request, connections: read[1], targets: read[2])
    let source = try Self.source(post, options: request.options)
    try await check(entries, source: source)

    let distribution: Int64 = try read[3][0].get("id")
    let ids = try read[4].map { try $0.get("id", as: Int64.self) }
    let due = request.scheduledFor ?? Date()
    let version: Int32 = try post.get("version")
    let dispatched = Dispatched(
      distributionID: distribution,
      postVersion: Int(version),
      scheduledFor: due,
      deliveries: zip(ids, entries).map { id, entry in
        Dispatched.Delivery(
          id: id,
          connectionID: entry.connection,
          targetID: entry.target,
          platform: entry.platform,
          state: due > Date() ? .pending : .queued
        )
      },
      warnings: Self.warnings(request.options)
    )
    let inserts = try inserts(request, dispatched, entries: entries, ids: ids) + record(dispatched)
    do throws(PostgresError) {
      try await pool.batch(inserts, scope: .owner)
    } catch {
      // The post was deleted after it was read, so there is no distribution that the deliveries could belong to.
      guard error.constraint == "deliveries_distribution_id_fkey" else { throw error }
      throw PublishingError.notFound("post", request.postID, field: "postId")
    }
    queue.wake(dueAt: due)
    return dispatched
  }

  // MARK: Reading

  private func statements(for request: DispatchRequest, count: Int) -> [SQL] {
    [
      """
      SELECT v.version, v.title, v.excerpt, v.content, v.url, v.tags, v.mentions, v.media::text AS media,
        v.segments::text AS segments
      FROM posts p JOIN post_versions v ON v.post_id = p.id AND v.version = p.version
      WHERE p.id = \(request.postID) AND p.deleted_at IS NULL
      """,
      """
      SELECT c.id, c.platform, c.lane_id, c.status, c.account_id, c.account_name, c.account_handle, c.endpoint,
        c.capabilities::text AS capabilities
      FROM platform_connections c
      WHERE c.deleted_at IS NULL AND (c.id = ANY(\(request.connectionIDs)) OR c.id IN (
        SELECT t.connection_id FROM publishing_targets t WHERE t.id = ANY(\(request.targetIDs))))
      """,
      """
      SELECT id, connection_id, is_active, default_payload::text AS default_payload FROM publishing_targets
      WHERE id = ANY(\(request.targetIDs)) AND deleted_at IS NULL
      """,
      "SELECT nextval('distributions_id_seq') AS id",
      "SELECT nextval('jobs_job_id_seq') AS id FROM generate_series(1, \(count))",
    ]
  }

  private func entries(of request: DispatchRequest, connections: [Row], targets: [Row]) throws -> [Entry] {
    var entries = request.connectionIDs.enumerated().map { index, id in
      Entry(connection: id, target: nil, field: "connectionIds[\(index)]")
    }
    var known: [Int64: Row] = [:]
    for row in targets { known[try row.get("id")] = row }
    for (index, id) in request.targetIDs.enumerated() {
      let field = "targetIds[\(index)]"
      guard let row = known[id] else {
        throw PublishingError(.invalid, "target_not_found", "There is no target \(id) in this site", field: field)
      }
      guard try row.get("is_active", as: Bool.self) else {
        throw PublishingError(.invalid, "target_inactive", "Target \(id) is switched off", field: field)
      }
      entries.append(
        Entry(
          connection: try row.get("connection_id"),
          target: id,
          field: field,
          payload: try row.get("default_payload")
        )
      )
    }
    var accounts: [Int64: Row] = [:]
    for row in connections { accounts[try row.get("id")] = row }
    var seen = Set<Int64>()
    for index in entries.indices {
      let entry = entries[index]
      guard let row = accounts[entry.connection] else {
        throw PublishingError(
          .invalid,
          "connection_not_found",
          "There is no connection \(entry.connection) in this site",
          field: entry.field
        )
      }
      guard try row.get("status", as: String.self) == "active" else {
        throw PublishingError(
          .invalid,
          "connection_not_active",
          "The account of connection \(entry.connection) is not usable; connect it again",
          field: entry.field
        )
      }
      guard seen.insert(entry.connection).inserted else {
        throw PublishingError(
          .invalid,
          "connection_named_twice",
          "Connection \(entry.connection) is named twice; one distribution sends a post once to an account",
          field: entry.field
        )
      }
      entries[index].platform = try row.get("platform")
      entries[index].lane = try row.get("lane_id")
      entries[index].account = try Self.account(row)
    }
    return entries
  }

  private static func account(_ row: Row) throws -> RawJSON {
    let capabilities = try row.get("capabilities", as: String?.self).map { try RawJSON(text: $0) }
    let id: String = try row.get("account_id")
    let name: String = try row.get("account_name")
    let handle: String? = try row.get("account_handle")
    let endpoint: String? = try row.get("endpoint")
    return RawJSON.object { writer in
      writer.field("id", id)
      writer.field("name", name)
      writer.field("handle", handle)
      writer.field("origin", endpoint)
      writer.field("capabilities", capabilities)
    }
  }

  private static func source(_ post: Row, options: RawJSON) throws -> VariantSource {
    VariantSource(
      title: try post.get("title"),
      excerpt: try post.get("excerpt"),
      content: try post.get("content"),
      url: try post.get("url"),
      tags: try post.get("tags"),
      mentions: try post.get("mentions"),
      media: try VariantMedia.list(post.get("media", as: String.self)),
      segments: try VariantSegment.list(post.get("segments", as: String.self)),
      distributionOptions: options
    )
  }

  private static func warnings(_ options: RawJSON) -> [String] {
    guard let asked = try? options.object().optionalBool("requestAiAssets"), asked else { return [] }
    return ["No AI provider is set up; the texts are sent as written"]
  }

  // MARK: Checking

  /// Asks each adapter whether it would take the post. An adapter that can not be asked now does not hold up the
  /// request: the same checks run again before sending.
  private func check(_ entries: [Entry], source: VariantSource) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for entry in entries {
        group.addTask { try await check(entry, source: source) }
      }
      try await group.waitForAll()
    }
  }

  private func check(_ entry: Entry, source: VariantSource) async throws {
    guard let manifest = plugins.manifest(for: entry.platform) else {
      throw PublishingError(
        .invalid,
        "plugin_not_installed",
        "No plugin for “\(entry.platform)” is installed",
        field: entry.field
      )
    }
    var source = source
    source.targetPayload = try entry.payload.map { try RawJSON(text: $0) }
    if !manifest.inputs.contains(.content) { source.content = nil }
    let variant = try Self.variant(source, for: entry.connection)
    try Self.checkThread(variant, for: entry, manifest.name)
    guard manifest.answers("post/validate") else { return }
    let parameters = RawJSON.object { writer in
      writer.field("account", entry.account)
      writer.field("post", variant.json())
    }
    guard let result = await plugins.ask("post/validate", plugin: manifest.id, parameters: parameters) else { return }
    let errors = try Self.errors(in: result)
    guard let first = errors.first else { return }
    throw PublishingError(
      .invalid,
      "post_not_publishable",
      "Connection \(entry.connection) (\(manifest.name)): \(first)",
      field: entry.field,
      details: result.text
    )
  }

  private static func variant(_ source: VariantSource, for connection: Int64) throws -> Variant {
    do {
      return try source.variant(for: connection)
    } catch VariantError.noSuchMedia(let id, let field) {
      throw PublishingError(.invalid, "media_not_in_post", "The post does not have the file \(id)", field: field)
    }
  }

  /// An adapter that knows no threads would publish the first post and forget the others.
  private static func checkThread(_ variant: Variant, for entry: Entry, _ platform: String) throws {
    let parts = 1 + variant.segments.count
    let allowed = try entry.account.object().optionalObject("capabilities")?.optionalInt64("segments") ?? 1
    guard parts > 1, parts > allowed else { return }
    let limit = allowed > 1 ? "takes threads of up to \(allowed) posts" : "publishes no threads"
    throw PublishingError(
      .invalid,
      "post_not_publishable",
      "Connection \(entry.connection) (\(platform)) \(limit); this one has \(parts)",
      field: entry.field
    )
  }

  private static func errors(in result: RawJSON) throws -> [String] {
    guard let findings = try result.object().optionalArray("findings") else { return [] }
    return try findings.compactMap { finding in
      let object = try finding.object()
      guard try object.string("severity") == "error" else { return nil }
      return try object.optionalString("message") ?? "The adapter refuses the post"
    }
  }

  // MARK: Writing

  private func inserts(
    _ request: DispatchRequest,
    _ dispatched: Dispatched,
    entries: [Entry],
    ids: [Int64]
  ) -> [SQL] {
    let site = request.siteID
    let id = dispatched.distributionID
    let version = Int32(clamping: dispatched.postVersion)
    let jobs = zip(ids, entries).map { job, entry in
      NewJob(
        id: job,
        siteID: site,
        laneID: entry.lane,
        groupID: id,
        kind: DeliveryHandler.kind,
        priority: request.isManual && request.scheduledFor == nil ? .urgent : .high,
        dueAt: dispatched.scheduledFor,
        maximumAttempts: maximumAttempts
      )
    }
    return [
      """
      INSERT INTO distributions (id, site_id, post_id, post_version, options, scheduled_for, created_by)
      OVERRIDING SYSTEM VALUE
      SELECT \(id), \(site), p.id, \(version), \(JSONB(text: request.options.text)), \(request.scheduledFor),
        \(request.userID)
      FROM posts p WHERE p.id = \(request.postID) AND p.deleted_at IS NULL FOR SHARE
      """,
      """
      INSERT INTO deliveries (id, site_id, distribution_id, connection_id, target_id, lane_id, platform, post_id,
        post_version, scheduled_for)
      SELECT t.id, \(site), \(id), t.connection_id, t.target_id, t.lane_id, t.platform, \(request.postID), \(version),
        \(dispatched.scheduledFor)
      FROM unnest(\(ids), \(entries.map(\.connection)), \(entries.map(\.target)), \(entries.map(\.lane)),
        \(entries.map(\.platform))) AS t(id, connection_id, target_id, lane_id, platform)
      """,
      Enqueue.group(id, siteID: site),
      Enqueue.jobs(jobs),
      """
      INSERT INTO outbox (site_id, kind, subject_id, data)
      VALUES (\(site), 'distribution.created', \(id), jsonb_build_object('id', \(id)::bigint, 'postId',
        \(request.postID)::bigint, 'deliveries', \(Int32(clamping: ids.count))::int))
      """,
      """
      INSERT INTO audit_logs (site_id, user_id, action, subject, details)
      VALUES (\(site), \(request.userID), 'distribution.create', \("distribution:\(id)"),
        jsonb_build_object('postId', \(request.postID)::bigint, 'connections', \(entries.map(\.connection))::bigint[]))
      """,
    ]
  }
}
