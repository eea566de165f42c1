package import Postgres

/// One row of the audit trail before it is written: who did what to whom, from where. The only place that writes rows.
///
/// A row goes in with its change, in the same transaction; a leader seals it into the chain soon afterwards.
package struct AuditEntry: Sendable {
  package var action: AuditAction
  /// What it was done to, such as `post:12`, `plugin:x` or `host`.
  package var subject: String
  /// Nil for what belongs to the host.
  package var site: Int64?
  /// Nil when the host itself or the command line did it.
  package var user: Int64?
  /// A `jsonb` expression; nil for no details. No secrets.
  package var details: SQL?
  /// The network address of the client.
  package var address: String?
  package var userAgent: String?

  /// Longer names of programs are cut.
  private static let longestUserAgent = 300

  package init(
    _ action: AuditAction,
    _ subject: String,
    site: Int64?,
    user: Int64? = nil,
    details: SQL? = nil,
    address: String? = nil,
    userAgent: String? = nil
  ) {
    self.action = action
    self.subject = subject
    self.site = site
    self.user = user
    self.details = details
    self.address = address
    self.userAgent = userAgent.map { String($0.prefix(Self.longestUserAgent)) }
  }

  /// What a command did that writes to the database itself.
  package static func byCommandLine(_ action: AuditAction, _ subject: String, site: Int64? = nil) -> AuditEntry {
    AuditEntry(action, subject, site: site, details: "jsonb_build_object('by', 'command line')")
  }

  /// The statement that writes the row.
  package var insertion: SQL {
    let nothing: SQL = "'{}'::jsonb"
    return """
      INSERT INTO audit_logs (site_id, user_id, action, subject, details, address, user_agent)
      VALUES (\(site), \(user), \(action.rawValue), \(subject), \(fragment: details ?? nothing), \(address), \(userAgent))
      """
  }

  /// A statement that writes a row for each row of `source`; it may stand in `WITH`.
  ///
  /// - Parameters:
  ///   - site: A `bigint` expression over `source`; likewise `user`, `subject` of type `text` and `details` of type `jsonb`.
  ///   - address: The network address of the client, the same for all rows; likewise `userAgent`.
  ///   - source: What follows `FROM`.
  package static func insertions(
    _ action: AuditAction,
    site: SQL,
    user: SQL = "NULL::bigint",
    subject: SQL,
    details: SQL = "'{}'::jsonb",
    address: String? = nil,
    userAgent: String? = nil,
    from source: SQL
  ) -> SQL {
    """
    INSERT INTO audit_logs (site_id, user_id, action, subject, details, address, user_agent)
    SELECT \(fragment: site), \(fragment: user), \(action.rawValue), \(fragment: subject), \(fragment: details),
      \(address), \(userAgent.map { String($0.prefix(longestUserAgent)) }) FROM \(fragment: source)
    """
  }
}
