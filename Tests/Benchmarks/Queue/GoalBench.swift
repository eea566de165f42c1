import FoundationEssentials
import JobQueue
import Postgres

/// The goals of the queue that need a prepared database: many future rows, a large backlog, large groups.
struct GoalBench: Sendable {
  let bench: QueueBench

  init(database: Configuration) {
    bench = QueueBench(database: database)
  }

  private var clock: ContinuousClock { ContinuousClock() }

  /// Values and one of their quantiles, in milliseconds.
  private static func quantile(_ values: [Double], _ share: Double) -> Double {
    let sorted = values.sorted()
    return sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
  }

  private func timed(_ body: () async throws -> Void) async throws -> Double {
    let begin = clock.now
    try await body()
    return (clock.now - begin).seconds * 1_000
  }

  // MARK: Insert

  struct InsertReport: Sendable {
    var jobsPerSecond = 0.0
    var groupP50 = 0.0
  }

  /// Puts in jobs in transactions of 10,000, then distributions to 100 accounts, one transaction each.
  func insert(jobs: Int) async throws -> InsertReport {
    let pool = Pool(bench.database, size: 1)
    let lanes = try await bench.prepare(pool)
    var report = InsertReport()
    let seconds = try await timed { try await bench.insert(jobs, into: lanes, dueIn: 86_400, pool) } / 1_000
    report.jobsPerSecond = Double(jobs) / seconds
    var times: [Double] = []
    for number in 0..<100 {
      let due = Date().addingTimeInterval(86_400)
      let group = Int64(1_000_000 + number)
      let rows = (0..<100).map { place in
        NewJob(
          siteID: lanes[place].site,
          laneID: lanes[place].id,
          groupID: group,
          kind: "bench",
          dueAt: due,
          payload: JSONB(text: "{}")
        )
      }
      times.append(
        try await timed { try await pool.batch([Enqueue.group(group, siteID: 1), Enqueue.jobs(rows)]) }
      )
    }
    report.groupP50 = Self.quantile(times, 0.5)
    await pool.close()
    return report
  }

  // MARK: Future rows

  struct FutureReport: Sendable {
    var emptyP99 = 0.0
    var fullP99 = 0.0
    var promotionP50 = 0.0
    var promotionP99 = 0.0
    var lateness = QueueBench.Report()
    var burst = QueueBench.Report()
  }

  /// Latency with and without the rows, promotions that find nothing, jobs due over some seconds, and 10,000 due at once.
  func future(rows: Int) async throws -> FutureReport {
    var report = FutureReport()
    report.emptyP99 = try await bench.latency(rate: 100, seconds: 10).latencyP99
    let pool = Pool(bench.database, size: 1)
    _ = try await bench.prepare(pool)
    try await fill(rows, pool)
    let session = Session(bench.database.forWorkers)
    var times: [Double] = []
    for _ in 0..<300 {
      times.append(
        try await timed {
          _ = try await session.query(
            PromoteStatement.make(limit: 2_000, lookahead: .milliseconds(10), hooks: ClosingHooks())
          )
        }
      )
    }
    await session.close()
    // The first one makes the plan.
    times.removeFirst()
    report.promotionP50 = Self.quantile(times, 0.5)
    report.promotionP99 = Self.quantile(times, 0.99)
    report.fullP99 = try await bench.latency(rate: 100, seconds: 10, keeping: true).latencyP99
    report.lateness = try await bench.schedule(count: 2_000, over: 10, keeping: true)
    report.burst = try await bench.schedule(count: 10_000, over: 0, keeping: true)
    await pool.close()
    return report
  }

  private func fill(_ rows: Int, _ pool: Pool) async throws {
    for start in stride(from: 0, to: rows, by: 500_000) {
      try await pool.execute(
        """
        WITH j AS (
          INSERT INTO jobs (site_id, lane_id, due_at, priority, max_attempts, kind)
          SELECT l.site_id, l.lane_id, now() + interval '1 day' + n * interval '1 s', 3, 3, 'bench'
          FROM generate_series(\(Int64(start)), \(Int64(min(start + 500_000, rows) - 1))) n
          JOIN (SELECT site_id, lane_id, row_number() OVER () - 1 AS place, count(*) OVER () AS total FROM lanes) l
            ON l.place = n % l.total
          RETURNING *
        )
        INSERT INTO due (due_at, job_id, lane_id, site_id, priority)
        SELECT j.due_at, j.job_id, j.lane_id, j.site_id, j.priority FROM j
        """
      )
    }
    // Not in one statement: VACUUM can not run in a transaction.
    for table in ["jobs", "due", "lanes"] { try await pool.execute("VACUUM ANALYZE \(identifier: table)") }
  }

  // MARK: Fairness

  struct FairnessReport: Sendable {
    var aloneP99 = 0.0
    var besideP50 = 0.0
    var besideP99 = 0.0
  }

  /// One site has a backlog of 100,000 jobs, 99 others put in one job a second each.
  func fairness(seconds: Int) async throws -> FairnessReport {
    var small = bench
    small.sites = 99
    small.lanes = 99
    var report = FairnessReport()
    report.aloneP99 = try await small.latency(rate: 99, seconds: seconds).latencyP99
    let pool = Pool(bench.database, size: 1)
    _ = try await small.prepare(pool)
    let lanes = (0..<300).map { number in
      LaneSpecification(kind: "backlog", key: "big \(number)", siteID: 1_000, limits: LaneLimits(cap: 10))
    }
    let ids = try await pool.query(LaneStatements.ensure(lanes)).map { try $0.get("lane_id", as: Int64.self) }
    for start in stride(from: 0, to: 100_000, by: 10_000) {
      try await pool.execute(
        Enqueue.jobs(
          (start..<start + 10_000).map { NewJob(siteID: 1_000, laneID: ids[$0 % ids.count], kind: "backlog") }
        )
      )
    }
    await pool.close()
    let beside = try await small.latency(rate: 99, seconds: seconds, keeping: true)
    report.besideP50 = beside.latencyP50
    report.besideP99 = beside.latencyP99
    return report
  }

  // MARK: Groups

  /// The time of pausing and of cancelling a group of jobs that wait on as many lanes, in milliseconds.
  func groups(jobs: Int) async throws -> (commit: Double, pause: Double, cancel: Double) {
    var wide = bench
    wide.lanes = jobs
    let pool = Pool(bench.database, size: 2)
    let lanes = try await wide.prepare(pool)
    try await pool.execute(Enqueue.group(1, siteID: 1))
    let due = Date().addingTimeInterval(86_400)
    try await pool.execute(
      Enqueue.jobs(lanes.map { NewJob(siteID: $0.site, laneID: $0.id, groupID: 1, kind: "bench", dueAt: due) })
    )
    let queue = JobQueue(
      settings: QueueSettings(home: "benchmark"),
      database: bench.database,
      pool: pool,
      handlers: [:]
    )
    let commit = try await timed {
      try await pool.execute("UPDATE job_groups SET paused_at = clock_timestamp() WHERE group_id = 1")
    }
    try await queue.resumeGroup(1)
    let pause = try await timed { _ = try await queue.pauseGroup(1) }
    try await queue.resumeGroup(1)
    let cancel = try await timed { _ = try await queue.cancelGroup(1) }
    await pool.close()
    return (commit, pause, cancel)
  }
}
