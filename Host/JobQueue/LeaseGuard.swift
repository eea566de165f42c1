package import Postgres

/// Parts of statements by which the queue's users write only while they hold a lease.
///
/// All are common table expressions without the word WITH.
package enum LeaseGuard {
  /// `g`: the rows of `leases` that are still held, locked until the end of the transaction.
  ///
  /// It takes a lease in any phase. Statements that write the end of a job join it.
  package static func held(_ leases: [Lease]) -> SQL {
    """
    g AS MATERIALIZED (
      SELECT l.* FROM leases l
      JOIN (SELECT DISTINCT t.job_id, t.fence, t.epoch FROM unnest(
        \(leases.map(\.jobID)), \(leases.map(\.fence)), \(leases.map(\.nodeEpoch))) AS t(job_id, fence, epoch)) i
        ON l.job_id = i.job_id AND l.fence = i.fence AND l.node_epoch = i.epoch
      FOR NO KEY UPDATE OF l
    )
    """
  }

  /// `ok(job_id, fence)`: the leases under which an effect may start now.
  ///
  /// A lease is missing when it was lost, or when its job, group, lane or site was paused or cancelled first and nothing
  /// of the job was accepted before. Whoever commits first wins. A commit moves the lease to the phase *committing*, from
  /// which nobody repeats it blindly.
  ///
  /// - Parameter condition: What must hold besides, over no table of the statement.
  package static func started(_ starts: [(lease: Lease, isCommit: Bool)], if condition: SQL = "true") -> SQL {
    """
    ok AS (
      UPDATE leases l SET phase = CASE WHEN i.commits AND l.phase = 1 THEN 2 ELSE l.phase END,
        called_at = CASE WHEN i.commits THEN clock_timestamp() ELSE l.called_at END
      FROM (SELECT t.job_id, t.fence, t.epoch, bool_or(t.commits) AS commits FROM unnest(
        \(starts.map(\.lease.jobID)), \(starts.map(\.lease.fence)), \(starts.map(\.lease.nodeEpoch)),
        \(starts.map(\.isCommit))) AS t(job_id, fence, epoch, commits) GROUP BY 1, 2, 3) i
      WHERE l.job_id = i.job_id AND l.fence = i.fence AND l.node_epoch = i.epoch AND \(fragment: condition)
        AND (l.live OR (NOT l.stop AND NOT EXISTS (
          SELECT FROM job_groups s
          WHERE s.group_id = l.group_id AND (s.paused_at IS NOT NULL OR s.canceled_at IS NOT NULL))
          AND NOT EXISTS (SELECT FROM lanes o WHERE o.lane_id = l.lane_id AND o.paused)
          AND NOT EXISTS (SELECT FROM queue_sites q WHERE q.site_id = l.site_id AND q.paused)))
      RETURNING l.job_id, l.fence
    )
    """
  }

  /// `alive`: marks the jobs as partly done, so that they run to their end whatever is paused or cancelled.
  ///
  /// It takes job numbers and no fence: an accepted effect is a fact whoever reports it.
  package static func markLive(_ jobIDs: [Int64]) -> SQL {
    """
    alive AS (UPDATE leases l SET live = true WHERE l.job_id = ANY (\(jobIDs)) AND NOT l.live)
    """
  }
}
