package import FoundationEssentials
package import Postgres

/// Reads the audit trail, newest first.
package struct AuditLog: Sendable {
  /// Which rows are wanted; nil: all.
  package struct Filter: Sendable {
    package var site: Int64?
    package var user: Int64?
    /// The beginning of the action's name, such as `vault.`.
    package var actionPrefix: String?
    package var subject: String?
    /// From this instant on.
    package var since: Date?
    /// Before this instant.
    package var until: Date?

    package init() {}
  }

  private let pool: Pool

  package init(pool: Pool) {
    self.pool = pool
  }

  /// A page of rows.
  ///
  /// - Parameters:
  ///   - cursor: Only rows with smaller numbers.
  ///   - limit: At most so many rows, at least 1.
  package func list(_ filter: Filter, before cursor: Int64? = nil, limit: Int) async throws -> [AuditRecord] {
    var conditions: [SQL] = ["true"]
    if let cursor { conditions.append("a.id < \(cursor)") }
    if let site = filter.site { conditions.append("a.site_id = \(site)") }
    if let user = filter.user { conditions.append("a.user_id = \(user)") }
    if let prefix = filter.actionPrefix { conditions.append("starts_with(a.action, \(prefix))") }
    if let subject = filter.subject { conditions.append("a.subject = \(subject)") }
    if let since = filter.since { conditions.append("a.created_at >= \(since)") }
    if let until = filter.until { conditions.append("a.created_at < \(until)") }
    let statement: SQL = """
      SELECT \(fragment: AuditRecord.columns) FROM audit_logs a
      WHERE \(fragment: SQL.joined(conditions, separator: " AND ")) ORDER BY a.id DESC LIMIT \(Int64(limit))
      """
    // Row-level security holds a site's rows together even if a condition were missing.
    let scope = filter.site.map { Scope.site($0) } ?? .owner
    var records = try await pool.query(statement, scope: scope).map { try AuditRecord($0) }
    let users = Set(records.compactMap(\.user))
    if users.isEmpty { return records }
    var names: [Int64: String] = [:]
    for row in try await pool.query("SELECT id, name FROM users WHERE id = ANY(\(users.sorted()))") {
      names[try row.get(0)] = try row.get(1, as: String.self)
    }
    for index in records.indices { records[index].userName = records[index].user.flatMap { names[$0] } }
    return records
  }
}
