import Egress
package import FoundationEssentials
import JSONText
import JobQueue
import PluginManifest
package import Postgres

/// Reads and writes of the effect journal that are not on the hot path.
package struct JournalStore: Sendable {
  package let pool: Pool

  package init(pool: Pool) {
    self.pool = pool
  }

  /// All rows of a delivery's prepares, commits and kept reads, oldest first.
  package func records(of delivery: Int64) async throws -> [EffectRecord] {
    try await pool.query(
      """
      SELECT run, step, try, rule, class, digest, outcome, status, answer, remote_id, remote_url, fence,
        started_at, sent_at, last_byte_at, platform_date, closed_by
      FROM delivery_effects WHERE delivery_id = \(delivery) ORDER BY run, started_at, try
      """
    ).map(Self.record)
  }

  /// What the run was started with, if it has started.
  package func inputs(of delivery: Int64, run: Int) async throws -> RunInputs? {
    try await pool.query(
      """
      SELECT variant::text AS variant, started_at, seed, plugin_version
      FROM delivery_inputs WHERE delivery_id = \(delivery) AND run = \(Int32(clamping: run))
      """
    ).first.map { row in
      RunInputs(
        variant: try row.get("variant"),
        startedAt: try row.get("started_at"),
        seed: try row.get("seed"),
        pluginVersion: try row.get("plugin_version")
      )
    }
  }

  /// What an earlier step captured, still sealed; that of the newest run first.
  func capture(_ handle: CaptureHandle, of delivery: Int64) async throws -> (row: CaptureRow, place: CapturePlace)? {
    try await pool.query(
      """
      SELECT run, try, site_id, kind, sealed, key_id FROM delivery_captures
      WHERE delivery_id = \(delivery) AND step = \(handle.step) AND name = \(handle.name)
      ORDER BY run DESC LIMIT 1
      """
    ).first.map { row in
      (
        CaptureRow(
          step: handle.step,
          name: handle.name,
          kind: try row.get("kind"),
          sealed: try row.get("sealed"),
          keyID: try row.get("key_id")
        ),
        CapturePlace(
          site: try row.get("site_id"),
          delivery: delivery,
          run: Int(try row.get("run", as: Int32.self)),
          attempt: Int(try row.get("try", as: Int32.self))
        )
      )
    }
  }

  /// Whether the started row with this nonce is durable: asked after a lost COMMIT answer.
  package func isStarted(nonce: UUID, delivery: Int64, fence: Int64) async throws -> Bool {
    try await !pool.query(
      """
      SELECT FROM delivery_effects e JOIN leases l ON l.job_id = e.delivery_id
      WHERE e.delivery_id = \(delivery) AND e.nonce = \(nonce) AND e.class <> 'read' AND l.fence = \(fence)
      """
    ).isEmpty
  }

  /// Notes for commits of dead processes that their last byte can not have left after now.
  ///
  /// The rows stay open, because the true outcome may still arrive and the first outcome wins.
  package func closeLastByte(delivery: Int64) async throws {
    try await pool.execute(
      """
      UPDATE delivery_effects SET last_byte_at = clock_timestamp()
      WHERE delivery_id = \(delivery) AND (state = 'started' OR outcome = 'unknown') AND last_byte_at IS NULL
      """
    )
  }

  /// Whether another delivery of the account already has this remote id.
  package func isTaken(remoteID: String, lane: Int64, by delivery: Int64) async throws -> Bool {
    try await !pool.query(
      "SELECT FROM deliveries WHERE lane_id = \(lane) AND remote_id = \(remoteID) AND id <> \(delivery)"
    ).isEmpty
  }

  /// Marks a job as partly done, so that pause and cancel no longer stop it.
  package func markLive(_ delivery: Int64) async throws {
    try await pool.execute("WITH \(fragment: LeaseGuard.markLive([delivery])) SELECT")
  }

  /// The long text of the post version, for plugins that want it.
  func content(of task: DeliveryTask) async throws -> String? {
    try await pool.query(
      "SELECT content FROM post_versions WHERE post_id = \(task.postID) AND version = \(Int32(clamping: task.postVersion))"
    ).first?.get("content")
  }

  /// Notes that the platform no longer takes the account's credentials.
  func markExpired(_ connection: Int64, why: String?) async throws {
    try await pool.execute(
      """
      WITH c AS (
        UPDATE platform_connections SET status = 'expired', status_reason = \(why), updated_at = now()
        WHERE id = \(connection) AND status = 'active' RETURNING id, site_id, platform
      )
      INSERT INTO outbox (site_id, kind, subject_id, data)
      SELECT site_id, 'connection.expired', id, jsonb_build_object('id', id, 'platform', platform) FROM c
      """
    )
  }

  /// Makes a run forget the answers of its prepares: those of the named steps, or all.
  ///
  /// - Parameter version: the plugin version that makes them anew, where that is another one than before.
  func forgetPrepares(delivery: Int64, run: Int, steps: [String]?, version: String? = nil) async throws {
    let run = Int32(clamping: run)
    let isAll = steps == nil
    try await pool.batch([
      """
      UPDATE delivery_effects SET closed_by = \(EffectRecord.forgotten)
      WHERE delivery_id = \(delivery) AND run = \(run) AND class = 'prepare' AND outcome = 'accepted'
        AND (\(isAll) OR step = ANY(\(steps ?? [])))
      """,
      """
      UPDATE delivery_inputs SET plugin_version = coalesce(\(version), plugin_version)
      WHERE delivery_id = \(delivery) AND run = \(run)
      """,
    ])
  }

  /// Ends an unconfirmed delivery as sent, or a thread with posts missing as partial, when the outcome that was thought lost has arrived, and no other is missing.
  ///
  /// - Returns: whether the delivery changed.
  package func settleLate(_ delivery: Int64) async throws -> Bool {
    try await !pool.query(
      """
      WITH a AS (
        SELECT remote_id, remote_url FROM delivery_effects
        WHERE delivery_id = \(delivery) AND class = 'commit' AND outcome = 'accepted' ORDER BY started_at LIMIT 1
      ), d AS (
        UPDATE deliveries v SET error = NULL, ended_at = clock_timestamp(),
          ended_as = CASE WHEN \(fragment: ThreadParts.areMissing(of: "v")) THEN 'partial' ELSE 'sent' END,
          remote_id = CASE WHEN EXISTS (SELECT FROM deliveries t
            WHERE t.lane_id = v.lane_id AND t.remote_id = a.remote_id AND t.id <> v.id)
            THEN v.remote_id ELSE coalesce(a.remote_id, v.remote_id) END,
          remote_url = coalesce(v.remote_url, a.remote_url), segments = \(fragment: ThreadParts.posts(of: "v"))
        FROM a WHERE v.id = \(delivery) AND v.ended_as = 'unconfirmed' AND NOT EXISTS (
          SELECT FROM delivery_effects e WHERE e.delivery_id = v.id AND \(fragment: OpenCommit.condition))
        RETURNING v.id, v.site_id, v.distribution_id, v.connection_id, v.platform, v.ended_as, v.remote_url
      ), o AS (
        INSERT INTO outbox (site_id, kind, subject_id, data)
        SELECT site_id, 'delivery.' || ended_as, id, jsonb_strip_nulls(jsonb_build_object('id', id,
          'distributionId', distribution_id, 'connectionId', connection_id, 'platform', platform, 'state', ended_as,
          'url', remote_url)) FROM d
      )
      SELECT id FROM d
      """
    ).isEmpty
  }

  /// Why a started row was refused.
  ///
  /// - Parameter server: The run of the server that the started row named.
  package func refusal(of delivery: Int64, fence: Int64, server: Int64? = nil) async throws -> StartRefusal {
    let rows = try await pool.query(
      """
      SELECT l.fence, l.stop, g.canceled_at IS NOT NULL AS canceled,
        g.paused_at IS NOT NULL OR coalesce(o.paused, false) OR coalesce(q.paused, false) AS paused,
        EXISTS (SELECT FROM holds h WHERE h.ended_at IS NULL) OR \(fragment: ServerExpression.startedAt) <> \(server)
          AS held
      FROM leases l LEFT JOIN job_groups g ON g.group_id = l.group_id LEFT JOIN lanes o ON o.lane_id = l.lane_id
        LEFT JOIN queue_sites q ON q.site_id = l.site_id
      WHERE l.job_id = \(delivery)
      """
    )
    guard let row = rows.first, try row.get("fence", as: Int64.self) == fence else { return .leaseLost }
    if try row.get("canceled", as: Bool?.self) ?? false { return .canceled }
    if try row.get("paused", as: Bool?.self) ?? false { return .paused }
    // A single job is withdrawn with the stop mark alone.
    if try row.get("stop", as: Bool.self) { return .canceled }
    return try row.get("held", as: Bool?.self) ?? false ? .held : .leaseLost
  }

  /// Closes open commits after a look-up found what they published; the rest of the thread then goes out.
  func confirmOpen(_ delivery: Int64, remoteID: String) async throws {
    try await pool.execute(
      """
      UPDATE delivery_effects SET state = 'done', outcome = 'accepted', closed_by = 'reconcile', remote_id = \(remoteID)
      WHERE delivery_id = \(delivery) AND class = 'commit' AND (outcome IS NULL OR outcome = 'unknown')
      """
    )
  }

  /// Closes open commits after a look-up proved that nothing was published.
  ///
  /// A complete refusal (such as “duplicate”, which may mean success) then is what it says: the adapter gets it again.
  package func closeAbsent(_ delivery: Int64) async throws {
    try await pool.execute(
      """
      UPDATE delivery_effects SET state = 'done', closed_by = 'reconcile',
        outcome = CASE WHEN answer IS NOT NULL AND status BETWEEN 400 AND 499 AND status NOT IN (408, 409, 425, 429)
          THEN 'rejected' ELSE 'notSent' END
      WHERE delivery_id = \(delivery) AND class = 'commit' AND (outcome IS NULL OR outcome = 'unknown')
      """
    )
  }

  /// A delivery whose posts are to be deleted on the platform.
  struct Removal: Sendable {
    struct Post: Sendable {
      let remoteID: String
      /// Whether an earlier deletion got it.
      let isRemoved: Bool
    }

    let task: DeliveryTask
    /// Its posts, in the order in which they were published.
    let posts: [Post]
    /// Posts of a thread that are out under an id that nobody knows.
    let unknown: Int
  }

  /// What is to be deleted of a delivery; nil when nobody asks for that.
  func removal(of delivery: Int64) async throws -> Removal? {
    let rows = try await pool.query(
      """
      SELECT d.job_id, d.site_id, d.posts, d.published, d.parts, x.*
      FROM (SELECT d.id AS job_id, d.site_id, \(fragment: ThreadParts.published(of: "d")) AS published,
          \(fragment: ThreadParts.parts(of: "d")) AS parts,
          coalesce(d.segments, jsonb_build_array(jsonb_build_object('remoteId', d.remote_id)))::text AS posts
        FROM deliveries d WHERE d.id = \(delivery) AND d.removal = 'asked') d
      CROSS JOIN LATERAL (\(fragment: DeliveryTask.claimColumns)) x
      """
    )
    guard let row = rows.first else { return nil }
    let posts = try RawJSON(text: row.get("posts")).array().compactMap { element -> Removal.Post? in
      let post = try element.object()
      guard let id = try post.optionalString("remoteId") else { return nil }
      return Removal.Post(remoteID: id, isRemoved: try post.optionalBool("removed") ?? false)
    }
    let isThread = try row.get("parts", as: Int64.self) > 1
    let published = Int(try row.get("published", as: Int64.self))
    return Removal(
      task: try DeliveryTask(row: row),
      posts: posts,
      unknown: isThread ? max(0, published - posts.count) : 0
    )
  }

  /// Closes what a run left without an outcome, because the same request is made again whatever became of it.
  func closeForRepeat(_ delivery: Int64, run: Int) async throws {
    try await pool.execute(
      """
      UPDATE delivery_effects SET state = 'done', outcome = 'notSent', closed_by = 'repeat'
      WHERE delivery_id = \(delivery) AND run = \(Int32(clamping: run)) AND class = 'commit'
        AND (outcome IS NULL OR outcome = 'unknown')
      """
    )
  }

  private static func record(_ row: Row) throws -> EffectRecord {
    EffectRecord(
      key: EffectKey(
        run: Int(try row.get("run", as: Int32.self)),
        step: try row.get("step"),
        attempt: Int(try row.get("try", as: Int32.self))
      ),
      rule: try row.get("rule"),
      effectClass: EffectClass(rawValue: try row.get("class")) ?? .commit,
      digest: try row.get("digest"),
      outcome: try row.get("outcome", as: String?.self).flatMap(OutcomeClass.init),
      status: try row.get("status", as: Int16?.self).map(Int.init),
      answer: try row.get("answer"),
      remoteID: try row.get("remote_id"),
      remoteURL: try row.get("remote_url"),
      claim: try row.get("fence"),
      startedAt: try row.get("started_at"),
      sentAt: try row.get("sent_at"),
      lastByteAt: try row.get("last_byte_at"),
      platformDate: try row.get("platform_date"),
      closedBy: try row.get("closed_by")
    )
  }
}

/// What SQL calls an open commit; the same as ``JournalState/openCommits``.
enum OpenCommit {
  /// A condition over `delivery_effects e`. A later try speaks for the ones before.
  static let condition: SQL = """
    e.class = 'commit' AND (e.outcome IS NULL OR e.outcome = 'unknown') AND NOT EXISTS (
      SELECT FROM delivery_effects n
      WHERE n.delivery_id = e.delivery_id AND n.run = e.run AND n.step = e.step AND n.try > e.try)
    """
}

/// Why nothing may be sent for a delivery any more.
package enum StartRefusal: String, Sendable {
  case leaseLost
  case paused
  case canceled
  /// The installation is on hold, or this node has not examined its database since the server was started.
  case held
}
