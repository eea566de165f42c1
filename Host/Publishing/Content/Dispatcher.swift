internal import Audit
import FoundationEssentials
internal import JSONDocument
import JSONText
package import JobQueue
package import PluginHost
import PluginManifest
package import Postgres

/// Accepts distributions: one read, the adapters' own checks, one transaction.
package struct Dispatcher: Sendable {
  /// The most accounts of one distribution.
  package static let maximumEntries = 100

  private let pool: Pool
  private let queue: JobQueue
  private let plugins: PluginHost
  private let maximumAttempts: Int
  private let contentGuard: ContentGuard

  package init(
    pool: Pool,
    queue: JobQueue,
    plugins: PluginHost,
    maximumAttempts: Int,
    contentGuard: ContentGuard = ContentGuard()
  ) {
    self.pool = pool
    self.queue = queue
    self.plugins = plugins
    self.maximumAttempts = maximumAttempts
    self.contentGuard = contentGuard
  }

  private struct Entry {
    var connection: Int64
    var target: Int64?
    var field: String
    var platform = ""
    var lane: Int64 = 0
    var payload: String?
    var account: RawJSON = RawJSON.emptyObject
    var digest: [UInt8] = []
  }

  /// Accepts a distribution.
  ///
  /// - Parameter record: statements that belong to the same transaction (an idempotency key, a schedule), made from
  ///   what was accepted.
  package func dispatch(
    _ request: DispatchRequest,
    recording record: (Dispatched) throws -> DispatchRecord = { _ in DispatchRecord() }
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
    var entries = try entries(of: request, connections: read[1], targets: read[2])
    let source = try Self.source(post, options: request.options)
    for index in entries.indices {
      let (variant, manifest) = try variant(for: entries[index], source)
      entries[index].digest = variant.contentDigest(isWholeRecord: manifest.inputs.contains(.content))
    }
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
    let extra = try record(dispatched)
    let inserts = extra.first + inserts(request, dispatched, entries: entries, ids: ids) + extra.last
    do throws(PostgresError) {
      try await pool.batch(inserts, scope: .owner)
    } catch {
      if let earlier = ContentGuard.earlier(error) { throw try await repeated(earlier, site: request.siteID, entries) }
      // The post was deleted after it was read, so there is no distribution that the deliveries could belong to.
      guard error.constraint == "deliveries_distribution_id_fkey" else { throw error }
      throw PublishingError.notFound("post", request.postID, field: "postId")
    }
    queue.wake(dueAt: due)
    return dispatched
  }

  /// The refusal of what an account has said already, with all that a person needs to decide.
  private func repeated(_ earlier: Int64, site: Int64, _ entries: [Entry]) async throws -> PublishingError {
    let delivery = try await pool.transaction(scope: .site(site)) { tx in
      try await DeliveryStore().delivery(earlier, in: tx)
    }
    let field = entries.first { $0.connection == delivery.connectionID }?.field
    let details = RawJSON.object { writer in
      writer.field("deliveryId", delivery.id)
      writer.field("distributionId", delivery.distributionID)
      writer.field("connectionId", delivery.connectionID)
      writer.field("state", delivery.state.rawValue)
      writer.field("scheduledFor", RFC3339.format(delivery.scheduledFor))
      writer.field("endedAt", delivery.endedAt.map(RFC3339.format))
      writer.field("url", delivery.url)
    }
    return PublishingError(
      .conflict,
      "content_repeated",
      "\(delivery.accountName) gets the same text and media by delivery \(delivery.id) (\(delivery.state.rawValue)"
        + (delivery.url.map { ", \($0)" } ?? "") + "); send allowDuplicate: true to publish it once more",
      field: field,
      details: details.text
    )
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
    // The request's reader has refused values of another kind.
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

  /// What an account is to get, and whose adapter gets it.
  private func variant(for entry: Entry, _ source: VariantSource) throws -> (Variant, PluginManifest) {
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
    return (try Self.variant(source, for: entry.connection), manifest)
  }

  private func check(_ entry: Entry, source: VariantSource) async throws {
    let (variant, manifest) = try variant(for: entry, source)
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
        priority: request.priority ?? (request.isManual && request.scheduledFor == nil ? .urgent : .high),
        dueAt: dispatched.scheduledFor,
        maximumAttempts: maximumAttempts
      )
    }
    let contents = zip(ids, entries).map { id, entry in
      ContentGuard.Content(delivery: id, lane: entry.lane, digest: entry.digest)
    }
    return [
      contentGuard.refusal(of: contents, at: dispatched.scheduledFor, allowsRepeats: request.allowsRepeats),
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
      ContentGuard.store(contents, site: site),
      Enqueue.group(id, siteID: site),
      Enqueue.jobs(jobs),
      """
      INSERT INTO outbox (site_id, kind, subject_id, data)
      VALUES (\(site), 'distribution.created', \(id), jsonb_build_object('id', \(id)::bigint, 'postId',
        \(request.postID)::bigint, 'deliveries', \(Int32(clamping: ids.count))::int))
      """,
      AuditEntry(
        .distributionCreate,
        "distribution:\(id)",
        site: site,
        user: request.userID,
        details: """
          jsonb_build_object('postId', \(request.postID)::bigint, 'connections', \(entries.map(\.connection))::bigint[])
          """
      ).insertion,
    ]
  }
}
