package import Postgres

/// A job that the queue puts in again and again, once for all nodes.
package struct PeriodicJob: Sendable {
  package let name: String
  package let interval: Duration
  package let kind: String
  package let lane: LaneSpecification
  package let payload: JSONB?

  /// - Parameters:
  ///   - name: Names the job for all nodes; while one of this name is open no other is put in.
  ///   - interval: The time between two fires, at least a second; fires stand at multiples of it since 1970.
  ///   - lane: Where it runs; nil makes a lane of its own.
  package init(
    _ name: String,
    every interval: Duration,
    kind: String,
    lane: LaneSpecification? = nil,
    payload: JSONB? = nil
  ) {
    self.name = name
    self.interval = max(.seconds(1), interval)
    self.kind = kind
    self.lane = lane ?? LaneSpecification(kind: kind, key: "periodic:\(name)", siteID: JobQueue.hostSite)
    self.payload = payload
  }

  /// Records the present fire and puts the job in, if no node did it before; answers with the `job_id`.
  ///
  /// It is due now: a host that starts in the middle of an interval makes up for the fire, and is not late.
  func fire(laneID: Int64) -> SQL {
    """
    WITH t AS MATERIALIZED (
      SELECT to_timestamp(floor(extract(epoch FROM statement_timestamp()) / \(interval.seconds)) * \(interval.seconds)) AS at
    ), f AS (
      INSERT INTO periodic_fires (name, fire_at) SELECT \(name), t.at FROM t ON CONFLICT DO NOTHING RETURNING fire_at
    ), j AS (
      INSERT INTO jobs (job_id, site_id, lane_id, due_at, priority, max_attempts, kind, unique_key, payload)
      SELECT nextval('jobs_job_id_seq'), \(lane.siteID), \(laneID), statement_timestamp(), 3, 3, \(kind),
        'periodic:' || \(name), \(payload as JSONB?)
      FROM f
      ON CONFLICT DO NOTHING
      RETURNING job_id, due_at, site_id, lane_id, priority
    ), d AS (
      INSERT INTO due (due_at, job_id, lane_id, site_id, priority)
      SELECT j.due_at, j.job_id, j.lane_id, j.site_id, j.priority FROM j
    )
    SELECT j.job_id FROM j
    """
  }
}
