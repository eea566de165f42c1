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

/// Rows of the audit trail.
enum Audit {
  /// The row of a change that a request makes, for its transaction.
  ///
  /// - Parameters:
  ///   - site: nil for what belongs to the host.
  ///   - user: who did it, where the request has no caller yet.
  static func row(_ action: String, _ subject: String, site: Int64?, _ context: APIContext, user: Int64? = nil) -> SQL {
    """
    INSERT INTO audit_logs (site_id, user_id, action, subject, address, user_agent)
    VALUES (\(site), \(user ?? context.principal?.userID), \(action), \(subject), \(context.request.remoteAddress),
      \(context.request.headers["user-agent"].map { String($0.prefix(300)) }))
    """
  }
}
