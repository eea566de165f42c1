package import FoundationEssentials
package import Postgres

/// How good the credentials of a connection are, and what is known of their renewal.
package struct ConnectionHealth: Sendable, Equatable {
  /// Why the newest renewal failed.
  package struct Failure: Sendable, Equatable {
    /// application, or passing for what goes away by itself; nil for credentials that are dead.
    package var fault: String?
    package var message: String
    package var at: Date?
    /// When it is tried again; nil if nobody does.
    package var retryAt: Date?
    package var count: Int
  }

  package var id: Int64
  /// active, expired, revoked or error.
  package var status: String
  package var statusReason: String?
  /// Whether the credentials are in use and have not ended, as far as that is known.
  package var isValid: Bool
  /// Whether the host renews the token by itself.
  package var isRenewed: Bool
  package var issuedAt: Date?
  package var expiresAt: Date?
  package var renewAt: Date?
  package var lastRenewedAt: Date?
  package var lastValidatedAt: Date?
  package var lastUsedAt: Date?
  /// What was allowed; nil for credentials that were entered.
  package var scopes: [String]?
  /// The site's application; nil for the host's, and for credentials that were entered.
  package var appID: Int64?
  package var failure: Failure?
}

extension ConnectionStore {
  package func health(_ id: Int64, in tx: Transaction) async throws -> ConnectionHealth {
    let rows = try await tx.query(
      """
      SELECT c.id, c.status, c.status_reason, c.token_issued_at, c.expires_at, c.renew_at, c.renewed_at,
        c.last_validated_at, c.last_used_at, c.scopes, c.app_id,
        c.status = 'active' AND (c.expires_at IS NULL OR c.expires_at > now()) AS is_valid,
        c.renewal_generation IS NOT DISTINCT FROM c.generation AS is_present, c.renewal_state, c.renewal_fault,
        c.renewal_error, c.renewal_failed_at, c.renewal_retry_at, c.renewal_failures
      FROM platform_connections c WHERE c.id = \(id) AND c.deleted_at IS NULL
      """
    )
    guard let row = rows.first else { throw PublishingError.notFound("connection", id) }
    let isDead = try row.get("renewal_state", as: String?.self) == RenewalFacts.State.dead.rawValue
    var failure: ConnectionHealth.Failure?
    if try row.get("is_present"), let message = try row.get("renewal_error", as: String?.self) {
      failure = ConnectionHealth.Failure(
        fault: isDead ? nil : try row.get("renewal_fault"),
        message: message,
        at: try row.get("renewal_failed_at"),
        retryAt: isDead ? nil : try row.get("renewal_retry_at"),
        count: Int(try row.get("renewal_failures", as: Int32.self))
      )
    }
    let renewAt: Date? = try row.get("renew_at")
    return ConnectionHealth(
      id: try row.get("id"),
      status: try row.get("status"),
      statusReason: try row.get("status_reason"),
      isValid: try row.get("is_valid"),
      isRenewed: renewAt != nil && !isDead,
      issuedAt: try row.get("token_issued_at"),
      expiresAt: try row.get("expires_at"),
      renewAt: renewAt,
      lastRenewedAt: try row.get("renewed_at"),
      lastValidatedAt: try row.get("last_validated_at"),
      lastUsedAt: try row.get("last_used_at"),
      scopes: try row.get("scopes"),
      appID: try row.get("app_id"),
      failure: failure
    )
  }
}
