internal import Audit
package import Postgres

/// Revokes credentials in an emergency: at once for all hosts, and then connection by connection.
///
/// The row of the revocation is what stops publishing, see `RevocationBoard`. The rest can be killed anywhere and goes on
/// from what the rows say: every connection is marked, and what was sealed is wiped, or moved to where the platform is asked
/// to end it (`PlatformRevocations`). The way back is to connect the account again.
package struct Revocations: Sendable {
  private let pool: Pool
  private static let batch = 200

  package init(pool: Pool) {
    self.pool = pool
  }

  /// Takes credentials out of use.
  ///
  /// - Parameter also: The last statements of the transaction, such as an audit row.
  package func begin(
    _ scope: Revocation.Scope,
    reason: String,
    user: Int64? = nil,
    also: [SQL] = []
  ) async throws -> Revocation {
    let id = try await pool.transaction { tx in
      try await require(scope, in: tx)
      // Numbers in the order of commits; readers go on.
      try await tx.execute("LOCK TABLE vault_revocations IN EXCLUSIVE MODE")
      let id: Int64 = try await tx.query(
        """
        INSERT INTO vault_revocations (id, scope, subject, reason, requested_by)
        SELECT coalesce(max(id), 0) + 1, \(scope.kind), \(scope.subject), \(reason), \(user) FROM vault_revocations
        RETURNING id
        """
      )[0].get(0)
      try await tx.batch(also)
      return id
    }
    return try await revocation(id)
  }

  /// Works on everything that was revoked until nothing can be done right now.
  ///
  /// - Parameter shouldStop: Asked between the batches.
  /// - Returns: How many revocations are not done yet, without those that wait for platforms alone.
  @discardableResult
  package func round(until shouldStop: @Sendable () -> Bool = { false }) async throws -> Int {
    let open = try await pool.query("SELECT id FROM vault_revocations WHERE ended_at IS NULL ORDER BY id")
    var left = open.count
    for row in open {
      let id = try row.get(0, as: Int64.self)
      while !shouldStop() {
        let progress = try await step(id)
        if progress == .goesOn { continue }
        if progress != .busy { left -= 1 }
        break
      }
    }
    return left
  }

  package func revocation(_ id: Int64) async throws -> Revocation {
    let rows = try await pool.query(
      """
      SELECT \(fragment: Revocation.columns) FROM vault_revocations r
      LEFT JOIN vault_revocation_items i ON i.revocation_id = r.id WHERE r.id = \(id) GROUP BY r.id
      """
    )
    guard let row = rows.first else { throw PublishingError.notFound("revocation", id) }
    return try Revocation(row)
  }

  /// The newest ones.
  package func list(limit: Int = 20) async throws -> [Revocation] {
    try await pool.query(
      """
      SELECT \(fragment: Revocation.columns)
      FROM (SELECT * FROM vault_revocations ORDER BY id DESC LIMIT \(Int64(limit))) r
      LEFT JOIN vault_revocation_items i ON i.revocation_id = r.id
      GROUP BY r.id, r.scope, r.subject, r.reason, r.created_at, r.ended_at ORDER BY r.id DESC
      """
    ).map { try Revocation($0) }
  }

  /// What a change of a site's key does when others may know the old one: every account must get new credentials. Those
  /// that can be renewed are, as soon as possible; for the others a person enters new ones.
  package static func renewal(site: Int64) -> [SQL] {
    [
      """
      UPDATE platform_connections SET must_renew_since = now(), renew_at = now()
      WHERE site_id = \(site) AND deleted_at IS NULL AND status = 'active' AND renew_at IS NOT NULL
      """,
      """
      WITH c AS (
        UPDATE platform_connections SET status = 'expired', must_renew_since = now(), updated_at = now(),
          status_reason = 'The key that sealed the credentials may be known to others; connect the account again'
        WHERE site_id = \(site) AND deleted_at IS NULL AND status <> 'revoked'
          AND NOT (status = 'active' AND renew_at IS NOT NULL)
        RETURNING id, site_id, platform
      )
      INSERT INTO outbox (site_id, kind, subject_id, data)
      SELECT site_id, 'connection.expired', id, jsonb_build_object('id', id, 'platform', platform) FROM c
      """,
    ]
  }

  // MARK: Steps

  private enum Progress {
    case goesOn
    /// Another process is at it.
    case busy
    /// Platforms are being asked.
    case waits
    case ended
  }

  /// One transaction.
  private func step(_ id: Int64) async throws -> Progress {
    try await pool.transaction { tx in
      let rows = try await tx.query(
        "SELECT scope, subject FROM vault_revocations WHERE id = \(id) AND ended_at IS NULL FOR UPDATE SKIP LOCKED"
      )
      guard let row = rows.first,
        let scope = Revocation.Scope(kind: try row.get("scope"), subject: try row.get("subject"))
      else { return .busy }
      if try await tx.execute(Self.marking(id, scope)) > 0 { return .goesOn }
      if try await !tx.query(Self.wiping(id)).isEmpty { return .goesOn }
      let asked = try await tx.query(
        "SELECT FROM vault_revocation_items WHERE revocation_id = \(id) AND outcome = 'asked' LIMIT 1"
      )
      if !asked.isEmpty { return .waits }
      try await tx.execute("UPDATE vault_revocations SET ended_at = now() WHERE id = \(id)")
      return .ended
    }
  }

  private static func marking(_ id: Int64, _ scope: Revocation.Scope) -> SQL {
    """
    WITH hit AS (
      SELECT c.id FROM platform_connections c
      WHERE \(fragment: scope.condition) AND c.deleted_at IS NULL AND c.status <> 'revoked' AND c.credential_epoch < \(id)
      LIMIT \(Int64(batch)) FOR NO KEY UPDATE
    ), c AS (
      UPDATE platform_connections c SET status = 'revoked', updated_at = now(),
        status_reason = 'The credentials were revoked: ' || r.reason || '. Connect the account again.'
      FROM hit, vault_revocations r WHERE c.id = hit.id AND r.id = \(id) RETURNING c.id, c.site_id, c.platform
    ), i AS (
      INSERT INTO vault_revocation_items (revocation_id, connection_id) SELECT \(id), id FROM c ON CONFLICT DO NOTHING
    ), a AS (
      \(fragment: AuditEntry.insertions(
        .connectionRevoke,
        site: "site_id",
        subject: "'connection:' || id",
        details: "jsonb_build_object('revocation', \(id)::bigint)",
        from: "c"
      ))
    )
    INSERT INTO outbox (site_id, kind, subject_id, data)
    SELECT site_id, 'connection.revoked', id, jsonb_build_object('id', id, 'platform', platform) FROM c
    """
  }

  /// Credentials that came later than the revocation stay. Those that people entered by hand they revoke by hand.
  private static func wiping(_ id: Int64) -> SQL {
    """
    WITH i AS (
      SELECT connection_id FROM vault_revocation_items WHERE revocation_id = \(id) AND outcome = 'pending'
      LIMIT \(Int64(batch))
    ), b AS (
      SELECT c.id, c.site_id, c.platform, c.app_id, c.origin, c.generation, c.sealed_credentials, c.key_id,
        c.token_issued_at
      FROM platform_connections c JOIN i ON i.connection_id = c.id
      WHERE c.status = 'revoked' AND c.credential_epoch < \(id) FOR UPDATE OF c
    ), w AS (
      UPDATE platform_connections c SET sealed_credentials = '', generation = c.generation + 1, updated_at = now()
      FROM b WHERE c.id = b.id
    ), \(fragment: PlatformRevocations.moving(revocation: id))
    UPDATE vault_revocation_items v SET outcome = CASE WHEN moved.id IS NULL THEN 'unsupported' ELSE 'asked' END,
      ended_at = CASE WHEN moved.id IS NULL THEN now() END
    FROM i LEFT JOIN moved ON moved.connection_id = i.connection_id
    WHERE v.revocation_id = \(id) AND v.connection_id = i.connection_id
    RETURNING v.connection_id
    """
  }

  private func require(_ scope: Revocation.Scope, in tx: Transaction) async throws {
    let (rows, what, id): ([Row], String, Int64)
    switch scope {
    case .connection(let connection):
      rows = try await tx.query("SELECT FROM platform_connections WHERE id = \(connection) AND deleted_at IS NULL")
      (what, id) = ("connection", connection)
    case .site(let site):
      rows = try await tx.query("SELECT FROM sites WHERE id = \(site)")
      (what, id) = ("site", site)
    case .platform, .all: return
    }
    if rows.isEmpty { throw PublishingError.notFound(what, id) }
  }
}
