package import FoundationEssentials
package import Postgres
internal import Synchronization

/// What became of the jobs of a cancelled group.
package struct CancelResult: Hashable, Sendable {
  /// Jobs that will not run: they were dropped, or are dropped as soon as their handler asks to start.
  package var dropped = 0
  /// Jobs that had started before; they run to their end.
  package var alreadySending = 0

  package init() {}
}

extension JobQueue {
  // MARK: Groups

  /// Cancels a group.
  ///
  /// First one transaction says so; from its COMMIT on no lease of the group may start. Then what waits is dropped in
  /// pieces and what is claimed is stopped. Repeating it is harmless.
  /// - Parameters:
  ///   - stopsLive: Stops jobs too that are partly done.
  ///   - also: The caller's statements for the first transaction; they must not wait for leases or lanes.
  package func cancelGroup(_ group: Int64, stopsLive: Bool = false, also: [SQL] = []) async throws -> CancelResult {
    try await pool.batch(
      also + ["UPDATE job_groups SET canceled_at = coalesce(canceled_at, clock_timestamp()) WHERE group_id = \(group)"]
    )
    var result = CancelResult()
    result.dropped += try await sweepDue(group, stopsLive: stopsLive)
    result.dropped += try await sweepReady(group, parks: false, stopsLive: stopsLive)
    result.dropped += try await sweepParked(group, stopsLive: stopsLive)
    let (stopped, sending) = try await stopLeases(of: group, stopsLive: stopsLive)
    result.dropped += stopped
    result.alreadySending = sending
    return result
  }

  /// Pauses a group: nothing of it starts any more, except jobs that are partly done. Answers how many had started.
  package func pauseGroup(_ group: Int64, also: [SQL] = []) async throws -> Int {
    try await pool.batch(
      also + ["UPDATE job_groups SET paused_at = coalesce(paused_at, clock_timestamp()) WHERE group_id = \(group)"]
    )
    _ = try await sweepReady(group, parks: true, stopsLive: false)
    return try await stopLeases(of: group, stopsLive: false).sending
  }

  /// Resumes a group; its parked jobs become due again in their old order.
  package func resumeGroup(_ group: Int64, also: [SQL] = []) async throws {
    try await pool.batch(also + ["UPDATE job_groups SET paused_at = NULL WHERE group_id = \(group)"])
    while try await pool.execute(JobQueue.unpark(group)) > 0 {}
    wake()
  }

  /// Moves parked jobs of a group to `due`, a piece at a time.
  static func unpark(_ group: Int64) -> SQL {
    """
    WITH p AS (
      DELETE FROM parked k WHERE k.ctid = ANY (ARRAY(
        SELECT q.ctid FROM parked q WHERE q.group_id = \(group) LIMIT 1000 FOR UPDATE))
      RETURNING k.*
    )
    INSERT INTO due (due_at, job_id, lane_id, site_id, group_id, priority, attempts, live)
    SELECT p.due_at, p.job_id, p.lane_id, p.site_id, p.group_id, p.priority, p.attempts, p.live FROM p
    """
  }

  /// Drops the group's waiting jobs; a promotion under way is waited for, and the next step finds what it moved.
  private func sweepDue(_ group: Int64, stopsLive: Bool) async throws -> Int {
    try await drop(
      """
      gone AS (
        DELETE FROM due d USING (
          SELECT j.job_id FROM jobs j WHERE j.group_id = \(group) AND j.state = 'open'
        ) m
        WHERE d.job_id = m.job_id AND (NOT d.live OR \(stopsLive))
        RETURNING d.job_id, d.lane_id, d.due_at, d.attempts
      )
      """
    )
  }

  private func sweepParked(_ group: Int64, stopsLive: Bool) async throws -> Int {
    try await drop(
      """
      gone AS (
        DELETE FROM parked d WHERE d.group_id = \(group) AND (NOT d.live OR \(stopsLive))
        RETURNING d.job_id, d.lane_id, d.due_at, d.attempts
      )
      """
    )
  }

  private func drop(_ gone: SQL) async throws -> Int {
    let rows = try await pool.query(JobQueue.dropping(gone, counters: "", hooks: hooks))
    return Int(try rows.first?.get("dropped", as: Int64.self) ?? 0)
  }

  /// A statement that deletes the jobs of `gone`, keeps the history and calls the hooks.
  static func dropping(_ gone: SQL, counters: SQL, hooks: ClosingHooks) -> SQL {
    """
    WITH \(fragment: gone),
    closed AS (
      DELETE FROM jobs j USING gone WHERE j.job_id = gone.job_id
      RETURNING j.job_id, j.site_id, j.group_id, j.lane_id, j.kind, gone.due_at, gone.attempts
    ),
    history AS (
      INSERT INTO attempts (ended_at, job_id, fence, lane_id, group_id, site_id, due_at, attempt, outcome, kind)
      SELECT clock_timestamp(), c.job_id, 0, c.lane_id, c.group_id, c.site_id, c.due_at, c.attempts, 8, c.kind
      FROM closed c
    )\(fragment: counters)\(fragment: hooks.expressions)
    SELECT count(*) AS dropped FROM closed
    """
  }

  /// Takes the group's jobs out of the lanes, some lanes at a time.
  ///
  /// The lanes are locked by a statement before: a claim or a promotion that held them is then visible to the next.
  private func sweepReady(_ group: Int64, parks: Bool, stopsLive: Bool) async throws -> Int {
    let rows = try await pool.query(
      "SELECT DISTINCT j.lane_id FROM jobs j WHERE j.group_id = \(group) AND j.state = 'open' ORDER BY 1"
    )
    var lanes: [Int64] = []
    for row in rows { lanes.append(try row.get("lane_id")) }
    var count = 0
    for start in stride(from: 0, to: lanes.count, by: 500) {
      let chunk = Array(lanes[start..<min(start + 500, lanes.count)])
      let gone: SQL = """
        gone AS (
          DELETE FROM ready r WHERE r.lane_id = ANY (\(chunk)) AND r.group_id = \(group) AND (NOT r.live OR \(stopsLive))
          RETURNING r.*
        )
        """
      let counters: SQL = """
        , u AS (
          UPDATE lanes o SET pending = o.pending - k.n,
            runnable_at = CASE WHEN o.pending <= k.n THEN 'infinity' ELSE o.runnable_at END
          FROM (SELECT gone.lane_id, count(*)::int AS n FROM gone GROUP BY 1) k WHERE o.lane_id = k.lane_id
        )
        """
      let parking: SQL = """
        WITH \(fragment: gone)\(fragment: counters), park AS (
          INSERT INTO parked (lane_id, due_at, job_id, site_id, group_id, priority, attempts, live)
          SELECT g.lane_id, g.due_at, g.job_id, g.site_id, g.group_id, g.priority, g.attempts, g.live FROM gone g
        )
        SELECT count(*) AS dropped FROM gone
        """
      let answers = try await pool.batch([
        "SELECT FROM lanes o WHERE o.lane_id = ANY (\(chunk)) ORDER BY o.lane_id FOR NO KEY UPDATE",
        parks ? parking : JobQueue.dropping(gone, counters: counters, hooks: hooks),
      ])
      count += Int(try answers[1].first?.get("dropped", as: Int64.self) ?? 0)
    }
    return count
  }

  /// Marks the group's claimed jobs so that they cannot start; answers how many were stopped and how many go on.
  ///
  /// It never waits while it holds a lease: it skips locked ones and comes again.
  private func stopLeases(of group: Int64, stopsLive: Bool) async throws -> (stopped: Int, sending: Int) {
    let mark: SQL = """
      WITH m AS MATERIALIZED (
        SELECT l.job_id FROM leases l
        WHERE l.group_id = \(group) AND NOT l.stop AND (l.phase = 1 AND NOT l.live OR \(stopsLive))
        FOR NO KEY UPDATE SKIP LOCKED
      )
      UPDATE leases l SET stop = true, live = l.live AND NOT \(stopsLive) FROM m WHERE l.job_id = m.job_id
      """
    let look: SQL = """
      SELECT count(*) FILTER (WHERE l.stop AND l.phase = 1) AS stopped,
        count(*) FILTER (WHERE l.phase <> 1 OR l.live) AS sending,
        count(*) FILTER (WHERE NOT l.stop AND (l.phase = 1 AND NOT l.live OR \(stopsLive))) AS locked
      FROM leases l WHERE l.group_id = \(group)
      """
    while true {
      try await pool.execute(mark)
      guard let row = try await pool.query(look).first else { return (0, 0) }
      let locked = try row.get("locked", as: Int64.self)
      if locked == 0 {
        return (Int(try row.get("stopped", as: Int64.self)), Int(try row.get("sending", as: Int64.self)))
      }
      // A flush holds them for a few milliseconds.
      try await Task.sleep(for: .milliseconds(2))
    }
  }

  // MARK: Single jobs

  /// What became of a job that was cancelled.
  package enum CancelOutcome: Hashable, Sendable {
    /// It will not run.
    case dropped
    /// It had started and runs to its end.
    case alreadySending
    /// There is no open job of this number.
    case notFound
  }

  /// Cancels one job, by the same rules as a group.
  package func cancelJob(_ id: Int64, also: [SQL] = []) async throws -> CancelOutcome {
    let marked = try await pool.batch(
      also + [
        """
        UPDATE jobs SET canceled_at = coalesce(canceled_at, clock_timestamp())
        WHERE job_id = \(id) AND state = 'open' RETURNING lane_id
        """
      ]
    )
    guard let row = marked.last?.first else { return .notFound }
    let lane: Int64 = try row.get("lane_id")
    // A job moves while it is looked for: forward past this search at most once, back only after a handler ended.
    while true {
      if try await dropWaiting(id, lane: lane) { return .dropped }
      let rows = try await pool.query(
        "SELECT l.phase, l.live, l.stop FROM leases l WHERE l.job_id = \(id)"
      )
      guard let lease = rows.first else {
        let open = try await pool.query(
          """
          SELECT EXISTS (SELECT FROM due d WHERE d.job_id = \(id) AND d.live)
            OR EXISTS (SELECT FROM ready r WHERE r.lane_id = \(lane) AND r.job_id = \(id) AND r.live) AS live
          FROM jobs j WHERE j.job_id = \(id) AND j.state = 'open'
          """
        )
        guard let job = open.first else { return .dropped }
        if try job.get("live", as: Bool.self) { return .alreadySending }
        continue
      }
      if try lease.get("phase", as: Int16.self) != 1 { return .alreadySending }
      if try lease.get("live", as: Bool.self) { return .alreadySending }
      if try lease.get("stop", as: Bool.self) { return .dropped }
      let stopped = try await pool.execute(
        "UPDATE leases l SET stop = true WHERE l.job_id = \(id) AND l.phase = 1 AND NOT l.live"
      )
      if stopped > 0 { return .dropped }
    }
  }

  private func dropWaiting(_ id: Int64, lane: Int64) async throws -> Bool {
    if try await drop(
      """
      gone AS (
        DELETE FROM due d WHERE d.job_id = \(id) AND NOT d.live RETURNING d.job_id, d.lane_id, d.due_at, d.attempts
      )
      """
    ) > 0 {
      return true
    }
    let ready: SQL = """
      gone AS (
        DELETE FROM ready r WHERE r.lane_id = \(lane) AND r.job_id = \(id) AND NOT r.live
        RETURNING r.job_id, r.lane_id, r.due_at, r.attempts
      )
      """
    let counters: SQL = """
      , u AS (
        UPDATE lanes o SET pending = o.pending - 1,
          runnable_at = CASE WHEN o.pending <= 1 THEN 'infinity' ELSE o.runnable_at END
        FROM gone WHERE o.lane_id = gone.lane_id
      )
      """
    let answers = try await pool.batch([
      "SELECT FROM lanes o WHERE o.lane_id = \(lane) FOR NO KEY UPDATE",
      JobQueue.dropping(ready, counters: counters, hooks: hooks),
    ])
    if try answers[1].first?.get("dropped", as: Int64.self) ?? 0 > 0 { return true }
    return try await drop(
      """
      gone AS (
        DELETE FROM parked p USING jobs j
        WHERE j.job_id = \(id) AND p.group_id = j.group_id AND p.job_id = j.job_id AND NOT p.live
        RETURNING p.job_id, p.lane_id, p.due_at, p.attempts
      )
      """
    ) > 0
  }

  /// Statements that drop those of the jobs that still wait, for the caller's own transaction; what was claimed or is
  /// partly done stays. The hooks run.
  ///
  /// They lock the lanes until the end of the transaction. Each job that is gone afterwards was dropped here.
  package func withdrawal(of ids: [Int64], lanes: [Int64]) -> [SQL] {
    let counters: SQL = """
      , u AS (
        UPDATE lanes o SET pending = o.pending - k.n,
          runnable_at = CASE WHEN o.pending <= k.n THEN 'infinity' ELSE o.runnable_at END
        FROM (SELECT gone.lane_id, count(*)::int AS n FROM gone GROUP BY 1) k WHERE o.lane_id = k.lane_id
      )
      """
    return [
      // A promotion under way is waited for here and at the lanes; the next statement finds what it moved.
      JobQueue.dropping(
        """
        gone AS (
          DELETE FROM due d WHERE d.job_id = ANY (\(ids)) AND NOT d.live
          RETURNING d.job_id, d.lane_id, d.due_at, d.attempts
        )
        """,
        counters: "",
        hooks: hooks
      ),
      "SELECT FROM lanes o WHERE o.lane_id = ANY (\(lanes)) ORDER BY o.lane_id FOR NO KEY UPDATE",
      JobQueue.dropping(
        """
        gone AS (
          DELETE FROM ready r WHERE r.lane_id = ANY (\(lanes)) AND r.job_id = ANY (\(ids)) AND NOT r.live RETURNING r.*
        )
        """,
        counters: counters,
        hooks: hooks
      ),
      JobQueue.dropping(
        """
        gone AS (
          DELETE FROM parked p USING jobs j
          WHERE j.job_id = ANY (\(ids)) AND p.group_id = j.group_id AND p.job_id = j.job_id AND NOT p.live
          RETURNING p.job_id, p.lane_id, p.due_at, p.attempts
        )
        """,
        counters: "",
        hooks: hooks
      ),
    ]
  }

  /// Moves waiting jobs to another time; answers how many were still waiting for theirs.
  package func reschedule(_ ids: [Int64], to date: Date) async throws -> Int {
    let rows = try await pool.query(
      """
      WITH d AS (
        UPDATE due d SET due_at = \(date) WHERE d.job_id = ANY (\(ids)) AND NOT d.live RETURNING d.job_id
      ), j AS (
        UPDATE jobs j SET due_at = \(date) FROM d WHERE j.job_id = d.job_id RETURNING j.job_id
      )
      SELECT count(*) AS moved FROM j
      """
    )
    wake(dueAt: date)
    return Int(try rows.first?.get("moved", as: Int64.self) ?? 0)
  }

  /// Puts dead letters in again with all their attempts; answers which ones.
  ///
  /// A dead letter whose unique key another open job has taken stays.
  package func retryDeadLetters(_ ids: [Int64]) async throws -> [Int64] {
    let rows = try await pool.query(JobQueue.retryStatement(ids))
    wake()
    return try rows.map { try $0.get("job_id", as: Int64.self) }
  }

  /// The statement of ``retryDeadLetters(_:)`` for the caller's own transaction; call ``wake(dueAt:)`` after it.
  package static func retryStatement(_ ids: [Int64]) -> SQL {
    """
    WITH j AS (
      UPDATE jobs j SET state = 'open', attempts = 0, failed_at = NULL, due_at = statement_timestamp(), canceled_at = NULL
      WHERE j.job_id = ANY (\(ids)) AND j.state = 'failed' AND (j.unique_key IS NULL OR NOT EXISTS (
        SELECT FROM jobs o WHERE o.kind = j.kind AND o.unique_key = j.unique_key AND o.state = 'open'))
      RETURNING j.job_id, j.lane_id, j.site_id, j.group_id, j.priority, j.due_at
    ), d AS (
      INSERT INTO due (due_at, job_id, lane_id, site_id, group_id, priority)
      SELECT j.due_at, j.job_id, j.lane_id, j.site_id, j.group_id, j.priority FROM j
    )
    SELECT j.job_id FROM j ORDER BY j.job_id
    """
  }

  /// Removes dead letters for good; answers how many there were.
  package func discardDeadLetters(_ ids: [Int64]) async throws -> Int {
    try await pool.execute("DELETE FROM jobs WHERE job_id = ANY (\(ids)) AND state = 'failed'")
  }

  /// Brings a check forward, such as when a late answer arrived.
  package func checkNow(_ id: Int64) async throws {
    try await pool.execute(
      "UPDATE leases SET check_at = statement_timestamp() WHERE job_id = \(id) AND phase = 3 AND check_at IS NOT NULL"
    )
    state.withLock { $0.nextCheck = nil }
    claimWake.raise()
  }
}
