internal import FoundationEssentials
package import HTTPClient
internal import JSONDocument
package import JobQueue
package import Logging
package import Postgres

/// Sends the notices of a person by mail: one mail a notice, and one for many when many come at once.
///
/// A mail is a row with its Message-ID before it is sent. A host that is killed between sending and noting sends the
/// same mail again, and the receiving side knows it by the id.
package struct NoticeMailer: JobHandler {
  package static var kind: String { NoticeMailQueue.kind }

  /// How mails go out. In tests the storm is small and short.
  package struct Settings: Sendable {
    /// The sender's address.
    package var from: String
    /// Where people find the host; stands in the mail.
    package var publicURL: String?
    /// Mails to one person within `window`; more become a digest.
    package var limit = 5
    package var window: Duration = .seconds(600)

    package init(from: String, publicURL: String? = nil) {
      self.from = from
      self.publicURL = publicURL
    }
  }

  /// Sends one mail; in production `MailClient.send`.
  package typealias Transport = @Sendable (OutgoingMail) async -> MailOutcome

  private let pool: Pool
  private let settings: Settings
  private let transport: Transport
  private let logger: Logger

  /// After this long a mail is no news.
  private static let lifetime: Double = 86_400
  private static let delays: [Int64] = [15, 60, 300, 900, 3_600]

  package init(pool: Pool, settings: Settings, logger: Logger, transport: @escaping Transport) {
    self.pool = pool
    self.settings = settings
    self.logger = logger
    self.transport = transport
  }

  package func run(_ job: ClaimedJob) async -> JobOutcome {
    do {
      guard let payload = job.payload, let user = try JSONValue.parse(Array(payload.utf8))["user"]?.int64Value else {
        return .failed("The job names no person")
      }
      let wait = try await compose(user)
      if let problem = try await send(user) {
        let delay = Self.delays[min(job.attempt, Self.delays.count) - 1]
        return .retry(after: .seconds(delay), error: problem)
      }
      return wait.map { .snoozed(for: $0) } ?? .finished()
    } catch {
      return .retry(after: .seconds(30), error: "\(error)")
    }
  }

  // MARK: Rows

  /// Makes mails of the notices that are in none; answers how long the rest must wait.
  private func compose(_ user: Int64) async throws -> Duration? {
    let window = Double(settings.window.components.seconds)
    return try await pool.transaction { tx in
      // One at a time for a person, whatever happens to leases.
      try await tx.execute("SELECT FROM users WHERE id = \(user) FOR UPDATE")
      let items: [Int64] = try await tx.query(
        "SELECT notice_id FROM notice_mail_items WHERE user_id = \(user) AND mail_id IS NULL ORDER BY notice_id"
      ).map { try $0.get(0) }
      let recent = try await tx.query(
        """
        SELECT count(*) AS count,
          extract(epoch FROM min(created_at) + \(window) * interval '1 s' - clock_timestamp())::float8 AS wait
        FROM notice_mails
        WHERE user_id = \(user) AND created_at > clock_timestamp() - \(window) * interval '1 s'
        """
      )[0]
      let count = Int(try recent.get("count", as: Int64.self))
      switch NoticeMailQueue.plan(waiting: items.count, recent: count, limit: settings.limit) {
      case .nothing: return nil
      case .wait: return .seconds(max(1, try recent.get("wait", as: Double?.self) ?? 1))
      case .each: for item in items { try await mail([item], to: user, tx) }
      case .digest: try await mail(items, to: user, tx)
      }
      return nil
    }
  }

  private func mail(_ notices: [Int64], to user: Int64, _ tx: Transaction) async throws {
    try await tx.execute(
      """
      WITH m AS (
        INSERT INTO notice_mails (user_id, message_id)
        VALUES (\(user), \(NoticeMailQueue.makeMessageID(from: settings.from))) RETURNING id
      )
      UPDATE notice_mail_items i SET mail_id = m.id FROM m
      WHERE i.user_id = \(user) AND i.notice_id = ANY(\(notices))
      """
    )
  }

  // MARK: Sending

  /// Sends what was not sent yet; answers why it must be tried again.
  private func send(_ user: Int64) async throws -> String? {
    let rows = try await pool.query(
      """
      SELECT m.id, m.message_id, m.created_at, u.email,
        extract(epoch FROM clock_timestamp() - m.created_at)::float8 AS age
      FROM notice_mails m JOIN users u ON u.id = m.user_id
      WHERE m.user_id = \(user) AND m.state = 'pending' AND u.deactivated_at IS NULL ORDER BY m.id
      """
    )
    for row in rows {
      let id: Int64 = try row.get("id")
      let address: String = try row.get("email")
      guard MailText.isAddress(address) else {
        try await end(id, "The address of the person can not be written in a mail")
        continue
      }
      let notices = try await pool.query(
        """
        SELECT \(fragment: Notice.columns), s.name AS site_name
        FROM notice_mail_items i JOIN notices n ON n.id = i.notice_id LEFT JOIN sites s ON s.id = n.site_id
        WHERE i.mail_id = \(id) ORDER BY n.id
        """
      ).map { row in (notice: try Notice(row), site: try row.get("site_name", as: String?.self)) }
      guard !notices.isEmpty else {
        try await end(id, "Its notices are gone")
        continue
      }
      let text = NoticeMailText(notices, publicURL: settings.publicURL)
      let message = MailText(
        from: settings.from,
        to: address,
        subject: text.subject,
        body: text.body,
        messageID: try row.get("message_id"),
        date: try row.get("created_at")
      )
      switch await transport(OutgoingMail(from: settings.from, to: address, message: message.bytes)) {
      case .sent: try await end(id, nil)
      case .refused(_, let why):
        logger.warning("A mail was refused", ["mail": .int(Int(id)), "why": "\(why)"])
        try await end(id, why)
      case .failed(_, let why):
        logger.warning("A mail could not be sent", ["mail": .int(Int(id)), "why": "\(why)"])
        guard try row.get("age", as: Double.self) < Self.lifetime else {
          try await end(id, why)
          continue
        }
        return why
      }
    }
    return nil
  }

  private func end(_ mail: Int64, _ error: String?) async throws {
    try await pool.execute(
      """
      UPDATE notice_mails SET state = CASE WHEN \(error)::text IS NULL THEN 'sent' ELSE 'failed' END, error = \(error),
        ended_at = clock_timestamp()
      WHERE id = \(mail) AND state = 'pending'
      """
    )
  }
}
