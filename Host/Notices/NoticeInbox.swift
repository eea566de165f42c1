package import Postgres

/// Notices as one person sees them.
package struct NoticeInbox: Sendable {
  /// What a person reaches.
  package struct Reach: Sendable {
    package var user: Int64
    package var sites: [Int64]
    /// Whether notices of the host as a whole are shown: to operators and owners.
    package var includesHost: Bool

    package init(user: Int64, sites: [Int64], includesHost: Bool) {
      self.user = user
      self.sites = sites
      self.includesHost = includesHost
    }
  }

  package enum State: String, Sendable, CaseIterable {
    case open, closed, all
  }

  private let pool: Pool

  package init(pool: Pool) {
    self.pool = pool
  }

  /// Newest first.
  package func list(
    _ reach: Reach,
    state: State = .open,
    includesDismissed: Bool = false,
    before: Int64? = nil,
    limit: Int = 50
  ) async throws -> [Notice] {
    try await pool.query(
      """
      SELECT \(fragment: Notice.columns), k.read_at, k.dismissed_at
      FROM notices n LEFT JOIN notice_marks k ON k.notice_id = n.id AND k.user_id = \(reach.user)
      WHERE n.opened_at IS NOT NULL AND \(fragment: Self.visible(reach)) AND n.id < \(before ?? .max)
        AND (\(state == .all) OR (n.closed_at IS NULL) = \(state == .open))
        AND (\(includesDismissed) OR k.dismissed_at IS NULL)
      ORDER BY n.id DESC LIMIT \(Int64(limit))
      """
    ).map { row throws(PostgresError) in try Notice(row, hasMarks: true) }
  }

  /// Notes that the person has seen a notice, or wants to see it no more; answers with it, nil if there is none.
  package func mark(_ id: Int64, isDismissed: Bool, _ reach: Reach) async throws -> Notice? {
    let marked = try await pool.query(
      """
      INSERT INTO notice_marks AS k (notice_id, user_id, dismissed_at)
      SELECT n.id, \(reach.user), CASE WHEN \(isDismissed) THEN now() END
      FROM notices n WHERE n.id = \(id) AND n.opened_at IS NOT NULL AND \(fragment: Self.visible(reach))
      ON CONFLICT (notice_id, user_id) DO UPDATE SET dismissed_at = coalesce(k.dismissed_at, excluded.dismissed_at)
      RETURNING notice_id
      """
    )
    guard !marked.isEmpty else { return nil }
    return try await pool.query(
      """
      SELECT \(fragment: Notice.columns), k.read_at, k.dismissed_at
      FROM notices n JOIN notice_marks k ON k.notice_id = n.id AND k.user_id = \(reach.user) WHERE n.id = \(id)
      """
    ).first.map { row throws(PostgresError) in try Notice(row, hasMarks: true) }
  }

  private static func visible(_ reach: Reach) -> SQL {
    "(n.site_id = ANY(\(reach.sites)) OR (\(reach.includesHost) AND n.site_id IS NULL))"
  }

  // MARK: What a person gets by mail

  /// Which notices a person gets by mail: from this severity on.
  package enum MailSetting: String, Sendable, CaseIterable {
    case off, critical, warning, info
  }

  /// The person's choice; nil when none was made, and the role decides.
  package func mailSetting(of user: Int64) async throws -> MailSetting? {
    try await pool.query("SELECT email FROM notice_settings WHERE user_id = \(user)").first
      .flatMap { MailSetting(rawValue: try $0.get("email")) }
  }

  /// - Parameter setting: Nil lets the role decide again.
  package func setMail(_ setting: MailSetting?, of user: Int64) async throws {
    guard let setting else {
      try await pool.execute("DELETE FROM notice_settings WHERE user_id = \(user)")
      return
    }
    try await pool.execute(
      """
      INSERT INTO notice_settings (user_id, email) VALUES (\(user), \(setting.rawValue))
      ON CONFLICT (user_id) DO UPDATE SET email = excluded.email
      """
    )
  }
}
