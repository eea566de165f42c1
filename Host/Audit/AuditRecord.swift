package import FoundationEssentials
internal import Postgres

/// A row of the audit trail as people read it.
package struct AuditRecord: Sendable {
  package let id: Int64
  package let site: Int64?
  package let user: Int64?
  /// The name of the user today; nil where there is no user.
  package var userName: String?
  /// As stored: an older version may have written a name that ``AuditAction`` no longer has.
  package let action: String
  package let subject: String
  /// A JSON object.
  package let details: String
  package let address: String?
  package let userAgent: String?
  package let at: Date
  /// Its place in the chain; nil until it is sealed.
  package let seq: Int64?
  package let hash: [UInt8]?

  static let columns: SQL = """
    a.id, a.site_id, a.user_id, a.action, a.subject, a.details::text AS details, a.address, a.user_agent, a.created_at,
    a.seq, a.hash
    """

  init(_ row: Row) throws(PostgresError) {
    id = try row.get("id")
    site = try row.get("site_id")
    user = try row.get("user_id")
    action = try row.get("action")
    subject = try row.get("subject")
    details = try row.get("details")
    address = try row.get("address")
    userAgent = try row.get("user_agent")
    at = try row.get("created_at")
    seq = try row.get("seq")
    hash = try row.get("hash")
  }
}
