import Audit
import FoundationEssentials
import HTTPServer
import Identity
import JSONDocument
import Postgres

extension JSONValue {
  /// Text, or null.
  static func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }

  static func number(_ value: Int64?) -> JSONValue { value.map { .int($0) } ?? .null }

  static func number(_ value: Int?) -> JSONValue { value.map { .int(Int64($0)) } ?? .null }

  static func instant(_ value: Date?) -> JSONValue { value.map { .string(RFC3339.format($0)) } ?? .null }

  static func strings(_ values: [String]) -> JSONValue { .array(values.map { .string($0) }) }

  /// A stored JSON text, or null.
  static func stored(_ text: String?) throws -> JSONValue {
    guard let text else { return .null }
    return try JSONValue.parse(Array(text.utf8))
  }
}

extension APIContext {
  /// The row of a change that this request makes, for its transaction.
  ///
  /// - Parameters:
  ///   - site: nil for what belongs to the host.
  ///   - user: who did it, where the request has no caller yet.
  func audit(
    _ action: AuditAction,
    _ subject: String,
    site: Int64?,
    user: Int64? = nil,
    details: SQL? = nil
  ) -> SQL {
    entry(action, subject, site: site, user: user, details: details).insertion
  }

  /// The same before it is a statement.
  func entry(
    _ action: AuditAction,
    _ subject: String,
    site: Int64?,
    user: Int64? = nil,
    details: SQL? = nil
  ) -> AuditEntry {
    AuditEntry(
      action,
      subject,
      site: site,
      user: user ?? principal?.userID,
      details: details,
      address: request.remoteAddress,
      userAgent: request.headers["user-agent"]
    )
  }
}
