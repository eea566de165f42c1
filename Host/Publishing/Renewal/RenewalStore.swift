import Audit
import FoundationEssentials
import Postgres

/// The rows of renewals. Every write after the lease names its fence, so that a late process changes nothing.
struct RenewalStore: Sendable {
  let pool: Pool
  let permit: SendPermit

  /// A connection as a renewal needs it.
  struct Line: Sendable {
    let connection: Int64
    let site: Int64
    let platform: String
    let origin: String?
    let app: Int64?
    /// Whether it is connected and its credentials are not revoked.
    let isConnected: Bool
    let facts: RenewalFacts
  }

  /// The right to ask the platform, for a while.
  struct Lease: Sendable {
    let line: Line
    let fence: Int64
    let sealed: [UInt8]
    let keyID: Int64
    /// What the account was connected for; nil for credentials that were entered.
    let scopes: [String]?
  }

  private static let columns: SQL = """
    c.id, c.site_id, c.platform, c.origin, c.app_id, c.deleted_at IS NULL AND c.status <> 'revoked' AS is_connected,
    \(fragment: RenewalFacts.columns)
    """

  func line(_ connection: Int64) async throws -> Line? {
    try await pool.query("SELECT \(fragment: Self.columns) FROM platform_connections c WHERE c.id = \(connection)")
      .first.map(Self.line)
  }

  /// Takes the lease, if the credentials are still these and nobody else has it.
  func take(_ connection: Int64, generation: Int64, owner: String, for length: Duration) async throws -> Lease? {
    let rows = try await pool.query(
      """
      UPDATE platform_connections c SET renewal_owner = \(owner), renewal_fence = renewal_fence + 1,
        renewal_until = clock_timestamp() + \(length.seconds) * interval '1 s', renewal_generation = generation,
        renewal_state = CASE WHEN renewal_generation = generation THEN renewal_state END,
        renewal_sent_at = CASE WHEN renewal_generation = generation THEN renewal_sent_at END,
        renewal_unknown = CASE WHEN renewal_generation = generation THEN renewal_unknown ELSE 0 END,
        renewal_failures = CASE WHEN renewal_generation = generation THEN renewal_failures ELSE 0 END,
        renewal_retry_at = CASE WHEN renewal_generation = generation THEN renewal_retry_at END,
        renewal_fault = CASE WHEN renewal_generation = generation THEN renewal_fault END,
        renewal_error = CASE WHEN renewal_generation = generation THEN renewal_error END,
        renewal_failed_at = CASE WHEN renewal_generation = generation THEN renewal_failed_at END
      WHERE id = \(connection) AND generation = \(generation) AND deleted_at IS NULL AND status <> 'revoked'
        AND (renewal_until IS NULL OR renewal_until <= clock_timestamp()
          OR renewal_generation IS DISTINCT FROM generation)
      RETURNING \(fragment: Self.columns), c.renewal_fence, c.sealed_credentials, c.key_id, c.scopes
      """
    )
    return try rows.first.map { row in
      Lease(
        line: try Self.line(row),
        fence: try row.get("renewal_fence"),
        sealed: try row.get("sealed_credentials"),
        keyID: try row.get("key_id"),
        scopes: try row.get("scopes")
      )
    }
  }

  /// Notes durably that a request is about to leave; nil when it must not.
  ///
  /// - Parameter left: how much of the lease must be left.
  /// - Returns: the database's clock, from which the new token's life is counted.
  func journal(_ lease: Lease, left: Duration) async throws -> Date? {
    try await pool.query(
      """
      UPDATE platform_connections SET renewal_state = 'sent', renewal_sent_at = clock_timestamp(),
        renewal_unknown = renewal_unknown + 1
      WHERE id = \(lease.line.connection) AND generation = \(lease.line.facts.generation)
        AND renewal_fence = \(lease.fence) AND deleted_at IS NULL AND status <> 'revoked'
        AND renewal_until > clock_timestamp() + \(left.seconds) * interval '1 s'
        AND \(fragment: SendGate.isOpen(server: permit.server))
      RETURNING renewal_sent_at
      """
    ).first?.get(0)
  }

  /// Whether nothing may leave on its own now.
  func isOnHold() async throws -> Bool {
    try await !pool.query("SELECT WHERE NOT (\(fragment: SendGate.isOpen(server: permit.server)))").isEmpty
  }

  /// Stores new credentials, if those that they follow are still the present ones.
  ///
  /// - Parameter fence: of the lease; nil for an answer that waited for the database, where the generation alone tells.
  /// - Returns: whether they are stored.
  func store(_ token: RenewedToken, fence: Int64?) async throws -> Bool {
    let audit = AuditEntry.insertions(
      .connectionRenew,
      site: "site_id",
      subject: "'connection:' || id",
      details: "jsonb_build_object('generation', \(token.generation)::bigint)",
      from: "c"
    )
    let rows = try await pool.query(
      """
      WITH b AS (
        SELECT id, status FROM platform_connections WHERE id = \(token.connection) FOR UPDATE
      ), c AS (
        UPDATE platform_connections c SET sealed_credentials = \(token.sealed), key_id = \(token.keyID),
          generation = c.generation + 1, token_issued_at = \(token.issuedAt), expires_at = \(token.expiresAt),
          renew_at = \(token.renewAt), scopes = coalesce(\(token.scopes as [String]?), c.scopes), renewed_at = now(),
          renewal_until = NULL, renewal_owner = NULL,
          must_renew_since = CASE WHEN \(token.replacesAll) THEN NULL ELSE c.must_renew_since END,
          status = CASE WHEN c.must_renew_since IS NULL OR \(token.replacesAll) THEN 'active' ELSE 'expired' END,
          status_reason = CASE WHEN c.must_renew_since IS NULL OR \(token.replacesAll) THEN NULL
            ELSE \(Self.stillKnown) END
        FROM b
        WHERE c.id = b.id AND c.generation = \(token.generation - 1) AND c.deleted_at IS NULL AND c.status <> 'revoked'
          AND (\(fence)::bigint IS NULL OR c.renewal_fence = \(fence))
        RETURNING c.id, c.site_id, c.platform, c.status, b.status AS former
      ), a AS (
        \(fragment: audit)
      ), o AS (
        INSERT INTO outbox (site_id, kind, subject_id, data)
        SELECT site_id, 'connection.' || status, id, jsonb_build_object('id', id, 'platform', platform) FROM c
        WHERE status <> former
      )
      SELECT FROM c
      """
    )
    return !rows.isEmpty
  }

  /// Notes why there are no new credentials, and gives the lease back.
  func fail(
    _ lease: Lease,
    state: RenewalFacts.State?,
    unknown: Int,
    after wait: Duration,
    fault: RenewalFault,
    error: String
  ) async throws {
    try await pool.execute(
      """
      UPDATE platform_connections SET renewal_until = NULL, renewal_owner = NULL, renewal_state = \(state?.rawValue),
        renewal_unknown = \(Int16(clamping: unknown)), renewal_failures = renewal_failures + 1,
        renewal_retry_at = clock_timestamp() + \(wait.seconds) * interval '1 s', renewal_fault = \(fault.rawValue),
        renewal_error = \(String(error.prefix(500))), renewal_failed_at = now()
      WHERE id = \(lease.line.connection) AND generation = \(lease.line.facts.generation)
        AND renewal_fence = \(lease.fence)
      """
    )
  }

  /// Gives the lease back with nothing changed.
  func release(_ lease: Lease) async throws {
    try await pool.execute(
      """
      UPDATE platform_connections SET renewal_until = NULL, renewal_owner = NULL
      WHERE id = \(lease.line.connection) AND renewal_fence = \(lease.fence)
      """
    )
  }

  /// Notes that only connecting again helps, if the credentials are still these.
  ///
  /// - Returns: false when there are others, which may be good.
  func end(_ lease: Lease, reason: String) async throws -> Bool {
    let rows = try await pool.query(
      """
      WITH b AS (
        SELECT id, status FROM platform_connections WHERE id = \(lease.line.connection) FOR UPDATE
      ), c AS (
        UPDATE platform_connections c SET renewal_until = NULL, renewal_owner = NULL, renewal_state = 'dead',
          renewal_error = \(String(reason.prefix(500))), renewal_failed_at = now(), status = 'expired',
          status_reason = \(reason + ". Connect the account again."), updated_at = now()
        FROM b
        WHERE c.id = b.id AND c.generation = \(lease.line.facts.generation) AND c.renewal_fence = \(lease.fence)
          AND c.deleted_at IS NULL AND c.status <> 'revoked'
        RETURNING c.id, c.site_id, c.platform, b.status AS former
      ), o AS (
        INSERT INTO outbox (site_id, kind, subject_id, data)
        SELECT site_id, 'connection.expired', id, jsonb_build_object('id', id, 'platform', platform) FROM c
        WHERE former <> 'expired'
      )
      SELECT FROM c
      """
    )
    return !rows.isEmpty
  }

  /// One page of the connections whose time has come, ordered by it.
  func due(after last: (at: Date, id: Int64)?, limit: Int) async throws -> [(at: Date, line: Line)] {
    try await pool.query(
      """
      SELECT \(fragment: Self.columns) FROM platform_connections c
      WHERE c.renew_at <= now() AND c.deleted_at IS NULL AND c.status = 'active'
        AND (c.renewal_generation IS DISTINCT FROM c.generation OR c.renewal_retry_at IS NULL
          OR c.renewal_retry_at <= now())
        AND (\(last?.at)::timestamptz IS NULL OR (c.renew_at, c.id) > (\(last?.at), \(last?.id)))
      ORDER BY c.renew_at, c.id LIMIT \(Int64(limit))
      """
    ).map { (try $0.get("renew_at"), try Self.line($0)) }
  }

  private static let stillKnown =
    "The key that sealed the credentials may be known to others, and the platform gave no wholly new ones; "
    + "connect the account again"

  private static func line(_ row: Row) throws -> Line {
    Line(
      connection: try row.get("id"),
      site: try row.get("site_id"),
      platform: try row.get("platform"),
      origin: try row.get("origin"),
      app: try row.get("app_id"),
      isConnected: try row.get("is_connected"),
      facts: try RenewalFacts(row)
    )
  }
}

/// Credentials that a renewal brought, sealed for their row.
struct RenewedToken: Sendable, Equatable {
  var connection: Int64
  var site: Int64
  var platform: String
  /// The number that they get.
  var generation: Int64
  var sealed: [UInt8]
  var keyID: Int64
  var issuedAt: Date
  /// Nil if it is not known.
  var expiresAt: Date?
  var renewAt: Date?
  /// Nil if the answer says nothing of them.
  var scopes: [String]?
  /// Whether nothing of the former credentials is good any more.
  var replacesAll: Bool
}
