package import Audit
internal import FoundationEssentials
internal import JSONDocument
internal import PluginManifest
package import Postgres

/// The bundles and the set of versions that all hosts of a database share.
///
/// A change locks one row, writes a new generation and moves the current one to it in the same transaction; then every
/// host is told to look. So at each moment, and after a power cut at each moment, a whole generation is the current one.
package struct PluginRegistry: Sendable {
  /// The channel on which hosts hear that there may be a new generation.
  package static let channel = "rostrum_plugins"
  /// Bytes of one row of a bundle.
  static let partBytes = 1 << 20

  package let pool: Pool
  /// The row of the audit trail for a change of a plugin; by default the host itself makes the changes.
  let audit: @Sendable (AuditAction, _ subject: String) -> AuditEntry

  /// - Parameter audit: Makes the row of a change; it is stored with the change.
  package init(
    pool: Pool,
    audit: @escaping @Sendable (AuditAction, _ subject: String) -> AuditEntry = { AuditEntry($0, $1, site: nil) }
  ) {
    self.pool = pool
    self.audit = audit
  }

  // MARK: Reading

  /// The number of the current generation.
  package func currentNumber() async throws -> Int64 {
    let rows = try await pool.query("SELECT generation FROM plugin_state")
    guard let row = rows.first else { throw StoreError(.io, "The database has lost the row of plugin_state") }
    return try row.get(0)
  }

  /// The current set of versions.
  package func current() async throws -> Generation {
    let rows = try await pool.query(
      """
      SELECT g.number, g.reason, g.made_by, g.made_at, b.digest, b.manifest, b.signature, b.bytes, b.source,
        b.is_first_party, b.approved_by, b.approved_at, b.created_at
      FROM plugin_state s JOIN plugin_generations g ON g.number = s.generation
      LEFT JOIN plugin_pins p ON p.generation = g.number LEFT JOIN plugin_bundles b ON b.digest = p.digest
      ORDER BY p.plugin
      """
    )
    guard let first = rows.first else { throw StoreError(.io, "The database has lost the row of plugin_state") }
    var bundles: [StoredBundle] = []
    for row in rows where try row.get("digest", as: String?.self) != nil { bundles.append(try Self.bundle(row)) }
    return Generation(
      number: try first.get("number"),
      reason: try first.get("reason"),
      madeBy: try first.get("made_by"),
      madeAt: try first.get("made_at"),
      bundles: bundles
    )
  }

  /// All versions of a plugin that are kept, newest first.
  package func bundles(of plugin: String) async throws -> [StoredBundle] {
    try await pool.query("\(fragment: Self.select) WHERE b.plugin = \(plugin) ORDER BY b.created_at DESC, b.digest")
      .map(Self.bundle)
  }

  /// A current version that took over from an older one a short while ago.
  package struct Takeover: Sendable {
    /// The digest of the current version.
    package let current: String
    package let previous: StoredBundle
    package let age: Duration
  }

  /// The current versions that took over within that time, with what ran before.
  ///
  /// What a generation went back to is none of them: the version before it was the worse one.
  package func takeovers(within time: Duration) async throws -> [Takeover] {
    let rows = try await pool.query(
      """
      WITH now_running AS (
        SELECT p.plugin, p.digest, b.version, (
          SELECT max(g.number) FROM plugin_generations g WHERE g.number < s.generation AND NOT EXISTS (
            SELECT FROM plugin_pins q WHERE q.generation = g.number AND q.plugin = p.plugin AND q.digest = p.digest)
        ) AS before
        FROM plugin_state s JOIN plugin_pins p ON p.generation = s.generation
        JOIN plugin_bundles b ON b.digest = p.digest
      ), taken AS (
        SELECT r.*, o.digest AS previous,
          (SELECT g.made_at FROM plugin_generations g WHERE g.number > r.before ORDER BY g.number LIMIT 1) AS at
        FROM now_running r JOIN plugin_pins o ON o.generation = r.before AND o.plugin = r.plugin
      )
      SELECT t.digest AS current, t.version AS current_version,
        extract(epoch FROM clock_timestamp() - t.at)::float8 AS age, b.digest, b.manifest, b.signature, b.bytes, b.source,
        b.is_first_party, b.approved_by, b.approved_at, b.created_at
      FROM taken t JOIN plugin_bundles b ON b.digest = t.previous
      WHERE b.approved_by IS NOT NULL AND t.at > clock_timestamp() - \(time.components.seconds) * interval '1 s'
      """
    )
    return try rows.compactMap { row in
      let previous = try Self.bundle(row)
      let version = SemanticVersion(try row.get("current_version", as: String.self))
      guard let version, previous.version <= version else { return nil }
      let age = max(0, try row.get("age", as: Double.self))
      return Takeover(current: try row.get("current"), previous: previous, age: .seconds(age))
    }
  }

  /// Versions of plugins that open deliveries began with, beside the current ones.
  package func pinnedByDeliveries() async throws -> [StoredBundle] {
    try await pool.query(
      """
      \(fragment: Self.select) WHERE (b.plugin, b.version) IN (
        SELECT DISTINCT platform, plugin_version FROM deliveries WHERE ended_as IS NULL AND plugin_version IS NOT NULL)
      ORDER BY b.plugin, b.created_at DESC
      """
    ).map(Self.bundle)
  }

  /// The versions that wait for approval.
  package func waiting() async throws -> [StoredBundle] {
    try await pool.query("\(fragment: Self.select) JOIN plugins w ON w.waiting = b.digest ORDER BY b.plugin")
      .map(Self.bundle)
  }

  /// What happened, newest first.
  package func events(of plugin: String?, before: Int64? = nil, limit: Int = 50) async throws -> [StoredEvent] {
    try await pool.query(
      """
      SELECT id, plugin, version, kind, message, details::text AS details, made_by, created_at FROM plugin_events
      WHERE (\(plugin)::text IS NULL OR plugin = \(plugin)) AND (\(before)::bigint IS NULL OR id < \(before))
      ORDER BY id DESC LIMIT \(limit)
      """
    ).map { row in
      StoredEvent(
        id: try row.get("id"),
        plugin: try row.get("plugin"),
        version: try row.get("version"),
        kind: try row.get("kind"),
        message: try row.get("message"),
        details: try row.get("details"),
        madeBy: try row.get("made_by"),
        createdAt: try row.get("created_at")
      )
    }
  }

  /// Stores that something happened to a plugin.
  package func record(
    _ kind: String,
    plugin: String,
    version: String?,
    message: String,
    details: String = "{}",
    by who: String
  ) async throws {
    try await pool.execute(
      Self.event(kind, plugin: plugin, version: version, message: message, details: details, by: who)
    )
  }

  /// The digests of what is known already, by the digest of the content.
  package func known(contents: [String]) async throws -> [String: String] {
    let rows = try await pool.query("SELECT content, digest FROM plugin_bundles WHERE content = ANY(\(contents))")
    return try rows.reduce(into: [:]) { known, row in known[try row.get("content")] = try row.get("digest") }
  }

  /// Ids of plugins that a person removed.
  package func removed() async throws -> Set<String> {
    try await Set(pool.query("SELECT id FROM plugins WHERE removed_at IS NOT NULL").map { try $0.get(0) })
  }

  // MARK: The files of bundles

  /// Reads a bundle's file part by part.
  package func download(_ digest: String, into file: IncomingBundle) async throws {
    var part: Int32 = 0
    while true {
      let rows = try await pool.query(
        "SELECT content FROM plugin_bundle_parts WHERE digest = \(digest) AND part = \(part)"
      )
      guard let row = rows.first else { break }
      let content: [UInt8] = try row.get(0)
      let file = UncheckedFile(file)
      try await Disk.run { try file.value.append(content) }
      part += 1
    }
    guard part > 0 else { throw StoreError(.notFound, "The bundle \(digest) is not in the database") }
  }

  // MARK: Rows

  static let select: SQL = """
    SELECT b.digest, b.manifest, b.signature, b.bytes, b.source, b.is_first_party, b.approved_by, b.approved_at,
      b.created_at FROM plugin_bundles b
    """

  static func bundle(_ row: Row) throws -> StoredBundle {
    let manifest = try SignedManifest(bytes: try row.get("manifest"), signature: try row.get("signature"))
    let digest: String = try row.get("digest")
    guard manifest.digest == digest else {
      throw StoreError(.tampered, "The database gives \(manifest.manifest.id) a manifest that is not \(digest)")
    }
    return StoredBundle(
      manifest: manifest,
      bytes: try row.get("bytes"),
      source: try row.get("source"),
      isFirstParty: try row.get("is_first_party"),
      approvedBy: try row.get("approved_by"),
      approvedAt: try row.get("approved_at"),
      createdAt: try row.get("created_at")
    )
  }

  static func event(
    _ kind: String,
    plugin: String,
    version: String?,
    message: String,
    details: String = "{}",
    by who: String
  ) -> SQL {
    """
    WITH e AS (
      INSERT INTO plugin_events (plugin, version, kind, message, details, made_by)
      VALUES (\(plugin), \(version), \(kind), \(message), \(JSONB(text: details)), \(who))
      RETURNING id, plugin, version, kind, message
    )
    INSERT INTO outbox (site_id, kind, subject_id, data)
    SELECT 0, 'plugin.' || kind, id, jsonb_build_object('plugin', plugin, 'version', version, 'message', message) FROM e
    """
  }
}

/// Lends a bundle's file to the queue of the disk; its owner waits until the work there is done.
struct UncheckedFile: @unchecked Sendable {
  // Sendable: the one who lends it awaits the end of the work and does not touch the file before.
  let value: IncomingBundle

  init(_ value: IncomingBundle) {
    self.value = value
  }
}
