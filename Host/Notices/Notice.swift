package import FoundationEssentials
internal import Postgres

/// How urgent a notice is.
package enum NoticeSeverity: String, Sendable, CaseIterable {
  case info, warning, critical
}

/// Something that somebody should know or do.
package struct Notice: Sendable, Equatable {
  package var id: Int64
  /// Nil for the host as a whole.
  package var site: Int64?
  /// Names the rule, such as `connection.expired`.
  package var kind: String
  package var severity: NoticeSeverity
  package var title: String
  package var message: String
  /// What it is about, such as `connection:12`.
  package var subject: String?
  /// How often its cause happened.
  package var count: Int
  package var openedAt: Date
  package var lastAt: Date
  package var closedAt: Date?
  package var readAt: Date?
  package var dismissedAt: Date?

  static let columns: SQL = """
    n.id, n.site_id, n.kind, n.severity, n.title, n.message, n.subject, n.count, n.opened_at, n.last_at, n.closed_at
    """

  init(_ row: Row, hasMarks: Bool = false) throws(PostgresError) {
    id = try row.get("id")
    site = try row.get("site_id")
    kind = try row.get("kind")
    severity = NoticeSeverity(rawValue: try row.get("severity")) ?? .warning
    title = try row.get("title")
    message = try row.get("message")
    subject = try row.get("subject")
    count = Int(try row.get("count", as: Int32.self))
    openedAt = try row.get("opened_at")
    lastAt = try row.get("last_at")
    closedAt = try row.get("closed_at")
    if hasMarks {
      readAt = try row.get("read_at")
      dismissedAt = try row.get("dismissed_at")
    }
  }
}
