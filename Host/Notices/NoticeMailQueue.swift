internal import Cryptography
internal import JobQueue
internal import Postgres

/// Who gets which notice by mail.
enum NoticeMailQueue {
  /// The kind of the jobs and lanes; each person has a lane, so that one conversation goes on at a time.
  static let kind = "notice-mail"

  /// Notes the recipients of new notices and puts a job for each into the queue, in the caller's transaction.
  static func prepare(_ notices: [Int64], _ tx: Transaction) async throws {
    let rows = try await tx.query(
      """
      WITH i AS (
        INSERT INTO notice_mail_items (notice_id, user_id)
        SELECT n.id, u.id FROM notices n JOIN users u ON u.deactivated_at IS NULL
        LEFT JOIN notice_settings s ON s.user_id = u.id
        WHERE n.id = ANY(\(notices)) AND (
          (n.site_id IS NULL AND u.is_operator) OR EXISTS (
            SELECT FROM site_users m WHERE m.site_id = n.site_id AND m.user_id = u.id
              AND (m.role IN ('owner', 'admin') OR s.user_id IS NOT NULL)))
          AND array_position(ARRAY['info', 'warning', 'critical', 'off'], n.severity)
            >= array_position(ARRAY['info', 'warning', 'critical', 'off'], coalesce(s.email, 'warning'))
        ON CONFLICT DO NOTHING
        RETURNING user_id
      )
      SELECT DISTINCT user_id FROM i ORDER BY 1
      """
    )
    let users: [Int64] = try rows.map { try $0.get(0) }
    guard !users.isEmpty else { return }
    let lanes = try await tx.query(
      LaneStatements.ensure(
        users.map { LaneSpecification(kind: kind, key: "user:\($0)", siteID: JobQueue.hostSite) }
      )
    )
    var jobs: [NewJob] = []
    for lane in lanes {
      let user = users[Int(try lane.get("place", as: Int64.self)) - 1]
      jobs.append(
        NewJob(
          siteID: JobQueue.hostSite,
          laneID: try lane.get("lane_id"),
          kind: kind,
          // A mail ends after a day; the queue never gives up by itself.
          maximumAttempts: 1_000,
          payload: JSONB(text: #"{"user":\#(user)}"#)
        )
      )
    }
    guard jobs.count == users.count else {
      // Another transaction makes the same lane at this moment; the whole page is read again.
      throw PostgresError(.misuse, "A lane for mails could not be made")
    }
    try await tx.execute(Enqueue.jobs(jobs))
  }

  /// What becomes of the notices of a person that are in no mail yet.
  enum Plan: Equatable {
    case nothing
    /// A mail for each.
    case each
    /// One mail for all.
    case digest
    /// So many mails went out a moment ago that the rest waits and goes together.
    case wait
  }

  /// - Parameters:
  ///   - recent: Mails of the last ten minutes.
  ///   - limit: Mails in ten minutes.
  static func plan(waiting: Int, recent: Int, limit: Int) -> Plan {
    if waiting == 0 { return .nothing }
    if recent >= limit { return .wait }
    // The last place is kept for a digest, so that what comes next is not put off for long.
    return waiting == 1 || waiting + recent <= limit ? .each : .digest
  }

  static func makeMessageID(from: String) -> String {
    let domain = from.split(separator: "@").last.map(String.init) ?? "localhost"
    return "\(Hex.encode(RandomBytes.make(16)))@\(domain)"
  }
}
