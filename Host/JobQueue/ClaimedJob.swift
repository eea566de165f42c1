package import FoundationEssentials
package import Postgres

/// The right to work on a job: valid as long as the row in `leases` has the same three values.
package struct Lease: Hashable, Sendable {
  package let jobID: Int64
  /// The number of the claim, which no other claim has.
  package let fence: Int64
  /// The run of the host process that claimed.
  package let nodeEpoch: UUID

  package init(jobID: Int64, fence: Int64, nodeEpoch: UUID) {
    self.jobID = jobID
    self.fence = fence
    self.nodeEpoch = nodeEpoch
  }
}

/// A job that this node has claimed.
package struct ClaimedJob: Sendable {
  package let lease: Lease
  package let siteID: Int64
  package let laneID: Int64
  package let groupID: Int64?
  package let kind: String
  package let priority: Int16
  package let dueAt: Date
  /// When the handler may start, by the server's clock; nil means at once. A job is claimed a little before it is due.
  let startsAt: ContinuousClock.Instant?
  /// The number of this attempt, from 1; what was not counted does not raise it.
  package let attempt: Int
  package let maximumAttempts: Int
  /// Whether an earlier lease had a part of its effect accepted, so that pause and cancel no longer stop the job.
  package let isLive: Bool
  /// Whether the outcome of an earlier call is unknown: the handler must find it out before it does anything else.
  package let isCheck: Bool
  /// How often the outcome was found unknown so far.
  package let checks: Int
  /// When the job last started a commit under this lease, for a check.
  package let calledAt: Date?
  /// The payload's text.
  package let payload: String?
  /// The answer's row, with the columns of the kind's ``ClaimExtension``.
  package let row: Row

  package var id: Int64 { lease.jobID }

  /// A server whose clock is set back between promotion and claim must not put the job off by as much.
  private static let longestHold = Duration.seconds(1)

  /// Whether a retry after this attempt would make the job a dead letter.
  package var isLastAttempt: Bool { attempt >= maximumAttempts }
}

extension ClaimedJob {
  /// Reads a row of a claim or of a claim of checks.
  init(_ row: Row, nodeEpoch: UUID) throws(PostgresError) {
    lease = Lease(jobID: try row.get("job_id"), fence: try row.get("fence"), nodeEpoch: nodeEpoch)
    siteID = try row.get("site_id")
    laneID = try row.get("lane_id")
    groupID = try row.get("group_id")
    kind = try row.get("kind")
    priority = try row.get("priority")
    dueAt = try row.get("due_at")
    let wait: Double = try row.get("due_in")
    startsAt = wait > 0 ? .now + min(.seconds(wait), ClaimedJob.longestHold) : nil
    attempt = Int(try row.get("attempts", as: Int16.self))
    maximumAttempts = Int(try row.get("max_attempts", as: Int16.self))
    isLive = try row.get("live")
    isCheck = try row.get("is_check")
    checks = Int(try row.get("checks", as: Int32.self))
    calledAt = try row.get("called_at")
    payload = try row.get("payload")
    self.row = row
  }
}
