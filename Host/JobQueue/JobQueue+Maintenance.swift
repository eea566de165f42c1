internal import FoundationEssentials
internal import Logging
internal import Postgres
internal import ServiceTree
internal import Synchronization

/// How the queue stands, for health checks and metrics.
package struct QueueHealth: Sendable {
  /// Jobs in lanes that may run, and those in flight.
  package var ready = 0
  package var inFlight = 0
  package var unknown = 0
  package var deadLetters = 0
  /// Jobs that are due and not yet promoted.
  package var overdue = 0
  /// How long the longest-waiting lane could have run; zero when nothing waits.
  package var longestWait: Duration = .zero
}

extension JobQueue {
  /// Reads how the queue stands.
  package func health() async throws -> QueueHealth {
    let rows = try await pool.query(
      """
      SELECT coalesce(sum(l.pending), 0)::bigint AS ready,
        coalesce(sum(l.inflight), 0)::bigint AS inflight,
        coalesce(extract(epoch FROM clock_timestamp() - min(l.runnable_at) FILTER (
          WHERE l.runnable_at <= clock_timestamp() AND NOT s.paused)), 0)::float8 AS wait,
        (SELECT count(*) FROM leases e WHERE e.phase = 3) AS unknown,
        (SELECT count(*) FROM jobs j WHERE j.state = 'failed') AS dead,
        (SELECT count(*) FROM due d WHERE d.due_at <= clock_timestamp()) AS overdue
      FROM lanes l JOIN queue_sites s ON s.site_id = l.site_id
      """
    )
    guard let row = rows.first else { return QueueHealth() }
    return QueueHealth(
      ready: try row.get("ready"),
      inFlight: try row.get("inflight"),
      unknown: try row.get("unknown"),
      deadLetters: try row.get("dead"),
      overdue: try row.get("overdue"),
      longestWait: .seconds(max(0, try row.get("wait", as: Double.self)))
    )
  }

  // MARK: Maintenance

  /// Fires periodic jobs, audits the counters and looks after the history's partitions.
  func runMaintenance(_ shutdown: Shutdown) async {
    var nextAudit = clock.now + settings.auditInterval
    var nextPartitions = clock.now
    var lastFires: [String: Int64] = [:]
    repeat {
      await firePeriodic(&lastFires)
      if clock.now >= nextAudit {
        nextAudit = clock.now + settings.auditInterval
        await orLog("Auditing the queue", logger) { _ = try await audit() }
        state.withLock { $0.mustRecover = true }
      }
      if clock.now >= nextPartitions {
        nextPartitions = clock.now + .seconds(6 * 3_600)
        await orLog("Looking after the history's partitions", logger) { try await tendHistory() }
      }
    } while await shutdown.sleep(for: settings.pollInterval)
  }

  /// Fires what has come to a new multiple of its interval; the database lets only one node through.
  private func firePeriodic(_ last: inout [String: Int64]) async {
    for job in periodic {
      let multiple = Int64(Date().timeIntervalSince1970 / job.interval.seconds)
      guard last[job.name] != multiple else { continue }
      do {
        let known = state.withLock { $0.laneIDs[job.name] }
        let lane: Int64
        if let known {
          lane = known
        } else {
          lane = try await ensureLanes([job.lane])[0]
          state.withLock { $0.laneIDs[job.name] = lane }
        }
        if try await !pool.query(job.fire(laneID: lane)).isEmpty { wake() }
        last[job.name] = multiple
      } catch {
        logger.warning("Firing a periodic job failed", ["name": job.name, "error": .error(error)])
      }
    }
  }

  private func tendHistory() async throws {
    try await pool.execute("SELECT create_attempt_partitions(2)")
    if let retention = settings.historyRetention {
      try await pool.execute(
        "SELECT drop_attempt_partitions(clock_timestamp() - \(retention.seconds) * interval '1 s')"
      )
    }
    try await pool.execute("DELETE FROM periodic_fires WHERE fire_at < clock_timestamp() - interval '2 days'")
  }

  // MARK: Audit

  /// Compares the lanes' counters with the rows they count, repairs them, and returns the repaired lanes.
  ///
  /// All counters change in the transactions that move the rows, so in one snapshot they must agree. Two nodes may
  /// repair at the same time: each counts again under the lane's lock.
  package func audit() async throws -> [Int64] {
    let rows = try await pool.query(
      """
      SELECT o.lane_id, o.pending, o.inflight, coalesce(r.n, 0) AS in_ready, coalesce(e.n, 0) AS in_leases
      FROM lanes o
      LEFT JOIN (SELECT lane_id, count(*) AS n FROM ready GROUP BY 1) r ON r.lane_id = o.lane_id
      LEFT JOIN (SELECT lane_id, count(*) AS n FROM leases GROUP BY 1) e ON e.lane_id = o.lane_id
      WHERE o.pending <> coalesce(r.n, 0) OR o.inflight <> coalesce(e.n, 0)
        OR (o.pending > 0 AND o.inflight < o.cap AND NOT o.paused AND o.runnable_at = 'infinity')
      ORDER BY o.lane_id
      """
    )
    var lanes: [Int64] = []
    for row in rows {
      let lane: Int64 = try row.get("lane_id")
      lanes.append(lane)
      let (pending, ready) = (try row.get("pending", as: Int64.self), try row.get("in_ready", as: Int64.self))
      let (inflight, leases) = (try row.get("inflight", as: Int64.self), try row.get("in_leases", as: Int64.self))
      logger.error(
        "A lane's counters were wrong and are repaired",
        ["lane": lane, "pending": pending, "ready": ready, "inflight": inflight, "leases": leases]
      )
      try await pool.batch([
        "SELECT FROM lanes o WHERE o.lane_id = \(lane) FOR NO KEY UPDATE",
        """
        UPDATE lanes o SET pending = c.pending, inflight = c.inflight,
          runnable_at = CASE WHEN o.paused OR c.pending = 0 OR c.inflight >= o.cap THEN 'infinity'
            ELSE greatest(statement_timestamp(), o.next_slot_at, o.blocked_until,
              CASE WHEN o.rate_interval IS NOT NULL THEN o.tat - o.rate_burst END) END
        FROM (
          SELECT (SELECT count(*) FROM ready WHERE lane_id = \(lane))::int AS pending,
            (SELECT count(*) FROM leases WHERE lane_id = \(lane))::int AS inflight
        ) c
        WHERE o.lane_id = \(lane)
        """,
      ])
    }
    metrics.update { $0.repairedLanes += lanes.count }
    if !lanes.isEmpty { claimWake.raise() }
    try await unparkStrays()
    return lanes
  }

  /// Frees jobs that were parked although their group is not paused.
  private func unparkStrays() async throws {
    let rows = try await pool.query(
      """
      SELECT DISTINCT p.group_id FROM parked p LEFT JOIN job_groups s ON s.group_id = p.group_id
      WHERE s.paused_at IS NULL
      """
    )
    for row in rows {
      let group: Int64 = try row.get("group_id")
      logger.error("Jobs of a running group were parked and are freed", ["group": group])
      while try await pool.execute(JobQueue.unpark(group)) > 0 {}
    }
    if !rows.isEmpty { wake() }
  }
}
