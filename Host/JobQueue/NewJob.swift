package import FoundationEssentials
package import Postgres

/// How urgent a job is among the jobs of its lane.
package enum JobPriority: Int16, Sendable, CaseIterable {
  case urgent = 1
  case high = 2
  case normal = 3
  case low = 4
}

/// A job to be put into the queue.
package struct NewJob: Sendable {
  /// The job's number, taken from the sequence `jobs_job_id_seq`; nil lets the queue take one.
  package var id: Int64?
  package var siteID: Int64
  package var laneID: Int64
  package var groupID: Int64?
  /// Names the handler.
  package var kind: String
  package var priority: JobPriority
  /// When the job may run; nil means at once.
  package var dueAt: Date?
  /// How many counted attempts there may be, 1 to 1,000.
  package var maximumAttempts: Int
  /// At most one open job of the kind may have this key; a second one is not put in.
  package var uniqueKey: String?
  package var payload: JSONB?

  package init(
    id: Int64? = nil,
    siteID: Int64,
    laneID: Int64,
    groupID: Int64? = nil,
    kind: String,
    priority: JobPriority = .normal,
    dueAt: Date? = nil,
    maximumAttempts: Int = 3,
    uniqueKey: String? = nil,
    payload: JSONB? = nil
  ) {
    self.id = id
    self.siteID = siteID
    self.laneID = laneID
    self.groupID = groupID
    self.kind = kind
    self.priority = priority
    self.dueAt = dueAt
    self.maximumAttempts = maximumAttempts
    self.uniqueKey = uniqueKey
    self.payload = payload
  }
}

/// Statements that put jobs into the queue, for use in the caller's own transaction.
package enum Enqueue {
  /// Puts the jobs in; runs with the owner's rights.
  ///
  /// The rows of the answer are `place` (from 1, in the order of `jobs`) and `job_id` of the jobs that were put in;
  /// a job whose number or unique key is taken is missing. After the COMMIT call ``JobQueue/wake(dueAt:)``.
  package static func jobs(_ jobs: [NewJob]) -> SQL {
    """
    WITH i AS MATERIALIZED (
      SELECT t.place, coalesce(t.job_id, nextval('jobs_job_id_seq')) AS job_id, t.site_id, t.lane_id, t.group_id,
        coalesce(t.due_at, statement_timestamp()) AS due_at, t.priority, t.max_attempts, t.kind, t.unique_key, t.payload
      FROM unnest(
        \(jobs.map(\.id)), \(jobs.map(\.siteID)), \(jobs.map(\.laneID)), \(jobs.map(\.groupID)), \(jobs.map(\.dueAt)),
        \(jobs.map(\.priority.rawValue)), \(jobs.map { Int16(clamping: $0.maximumAttempts) }), \(jobs.map(\.kind)),
        \(jobs.map(\.uniqueKey)), \(jobs.map(\.payload))
      ) WITH ORDINALITY AS t(
        job_id, site_id, lane_id, group_id, due_at, priority, max_attempts, kind, unique_key, payload, place)
    ), j AS (
      INSERT INTO jobs (job_id, site_id, lane_id, group_id, due_at, priority, max_attempts, kind, unique_key, payload)
      SELECT i.job_id, i.site_id, i.lane_id, i.group_id, i.due_at, i.priority, i.max_attempts, i.kind, i.unique_key,
        i.payload
      FROM i ORDER BY i.place
      ON CONFLICT DO NOTHING
      RETURNING job_id, site_id, lane_id, group_id, due_at, priority
    ), d AS (
      INSERT INTO due (due_at, job_id, lane_id, site_id, group_id, priority)
      SELECT j.due_at, j.job_id, j.lane_id, j.site_id, j.group_id, j.priority FROM j
    )
    SELECT i.place, i.job_id FROM i JOIN j ON j.job_id = i.job_id ORDER BY i.place
    """
  }

  /// Makes a group known; a group that exists stays as it is.
  package static func group(_ id: Int64, siteID: Int64) -> SQL {
    "INSERT INTO job_groups (group_id, site_id) VALUES (\(id), \(siteID)) ON CONFLICT DO NOTHING"
  }
}
