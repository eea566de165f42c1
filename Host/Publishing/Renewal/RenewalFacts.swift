import FoundationEssentials
import Postgres

/// What a connection's row says about the renewal of its token.
struct RenewalFacts: Sendable, Equatable {
  /// What is known of the last request for these very credentials; nil when nothing is open.
  enum State: String, Sendable, CaseIterable {
    /// It was about to leave, and nobody has noted what became of it.
    case sent
    /// It left, and no usable answer came.
    case unknown
    /// The platform takes the credentials no more.
    case dead
  }

  /// The database's clock when the row was read; all instants here are of that clock.
  var now: Date
  var generation: Int64
  var state: State?
  /// The end of somebody's lease, if it has not passed.
  var leasedUntil: Date?
  /// Requests in a row of which nobody knows what they did.
  var unknown = 0
  /// Failures in a row.
  var failures = 0
  /// No request by itself before this instant.
  var retryAt: Date?
  var fault: RenewalFault?
  /// Why the last one failed, or why the credentials are dead.
  var error: String?
  var sentAt: Date?
  var issuedAt: Date?
  /// When the access token ends; nil if that is not known.
  var expiresAt: Date?
  var renewAt: Date?
  /// Whether others may know the credentials.
  var mustRenew = false
}

/// Whose fault it is that a token could not be renewed.
package enum RenewalFault: String, Sendable, CaseIterable {
  /// The platform refuses the host's or site's registration: only who runs it can help.
  case application
  /// It goes away by itself.
  case passing
}

/// Why somebody wants a newer token.
package enum RenewalCause: Sendable {
  /// Its time has come.
  case due
  /// It has ended, and somebody waits.
  case needed
  /// The platform refused it.
  case refused
  /// A person asks.
  case asked
}

extension RenewalFacts {
  /// Columns of a row `c` of `platform_connections`; those of other credentials are left out.
  static let columns: SQL = """
    c.generation, clock_timestamp() AS now, c.token_issued_at, c.expires_at, c.renew_at,
    c.must_renew_since IS NOT NULL AS must_renew, c.renewal_generation IS NOT DISTINCT FROM c.generation AS is_present,
    c.renewal_until, c.renewal_state, c.renewal_sent_at, c.renewal_unknown, c.renewal_failures, c.renewal_retry_at,
    c.renewal_fault, c.renewal_error
    """

  init(_ row: Row) throws(PostgresError) {
    now = try row.get("now")
    generation = try row.get("generation")
    issuedAt = try row.get("token_issued_at")
    expiresAt = try row.get("expires_at")
    renewAt = try row.get("renew_at")
    mustRenew = try row.get("must_renew")
    guard try row.get("is_present") else { return }
    let until = try row.get("renewal_until", as: Date?.self)
    leasedUntil = until.flatMap { $0 > now ? $0 : nil }
    state = try row.get("renewal_state", as: String?.self).flatMap(State.init)
    sentAt = try row.get("renewal_sent_at")
    unknown = Int(try row.get("renewal_unknown", as: Int16.self))
    failures = Int(try row.get("renewal_failures", as: Int32.self))
    retryAt = try row.get("renewal_retry_at")
    fault = try row.get("renewal_fault", as: String?.self).flatMap(RenewalFault.init)
    error = try row.get("renewal_error")
  }
}
