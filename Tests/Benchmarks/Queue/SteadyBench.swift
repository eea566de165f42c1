import JobQueue
import Logging
import Postgres
import Synchronization

/// The goals of the queue that show only after a while: a snapshot that keeps dead rows, and the size of the tables.
struct SteadyBench: Sendable {
  /// The tables through which every job goes.
  static let tables = ["jobs", "due", "ready", "leases", "lanes"]

  let bench: QueueBench

  init(database: Configuration) {
    bench = QueueBench(database: database)
  }

  private var clock: ContinuousClock { ContinuousClock() }

  // MARK: A snapshot that stays

  struct PinnedReport: Sendable {
    /// Milliseconds from the COMMIT to the handler, before the snapshot.
    var beforeP50 = 0.0
    var beforeP99 = 0.0
    /// The same under the snapshot, and in its last tenth.
    var pinnedP50 = 0.0
    var pinnedP99 = 0.0
    var endP99 = 0.0
    /// Jobs started a second under the snapshot.
    var rate = 0.0
    /// Jobs that were committed and not started when the snapshot went.
    var backlog = 0
    var deadBefore = 0
    var deadPinned = 0
    /// Seconds from the end of the snapshot until a window is no worse than the worst one before it; nil when none was.
    var latencyBack: Double?
    var deadBack: Double?
  }

  /// Holds a snapshot for a time while jobs come and go at a steady rate.
  ///
  /// - Parameters:
  ///   - before: Seconds before the snapshot, a third of which warms up.
  ///   - after: The longest wait for the state of before, in seconds.
  func pinned(rate: Int, seconds: Int, before: Int, after: Int) async throws -> PinnedReport {
    let window = Duration.seconds(5)
    return try await loaded(rate: rate) { recorder, watch in
      var report = PinnedReport()
      try await clock.sleep(for: Duration.seconds(before) / 3)
      _ = recorder.take()
      let baseline = try await windows(for: Duration.seconds(before) * 2 / 3, each: window, recorder, watch)
      let calm = Spread(baseline.flatMap(\.latencies))
      (report.beforeP50, report.beforeP99) = (calm.percentile(0.5), calm.percentile(0.99))
      report.deadBefore = baseline.map(\.dead).max() ?? 0
      let bound = baseline.map(\.p99).max() ?? 0

      var repeatable = bench.database
      repeatable.settings["default_transaction_isolation"] = "repeatable read"
      let session = Session(repeatable)
      let begin = clock.now
      let held = try await session.transaction { transaction in
        let place = try await transaction.query("SELECT pg_backend_pid() AS pid, count(*) AS lanes FROM lanes")
        let pid: Int32 = try place[0].get("pid")
        let held = try await windows(for: .seconds(seconds), each: window, recorder, watch)
        // Nothing would be measured without the snapshot.
        let pins = try await watch.query(
          "SELECT FROM pg_stat_activity WHERE pid = \(pid) AND age(backend_xmin) > \(Int32(clamping: 50 * seconds))"
        )
        guard pins.count == 1 else { throw BenchError("The snapshot was not held") }
        report.backlog = recorder.backlog
        return held
      }
      report.rate = Double(held.reduce(0) { $0 + $1.latencies.count }) / (clock.now - begin).inSeconds
      await session.close()
      let spread = Spread(held.flatMap(\.latencies))
      let end = Spread(held.suffix(max(1, held.count / 10)).flatMap(\.latencies))
      (report.pinnedP50, report.pinnedP99) = (spread.percentile(0.5), spread.percentile(0.99))
      report.endP99 = end.percentile(0.99)
      report.deadPinned = held.map(\.dead).max() ?? 0

      let release = clock.now
      while clock.now - release < .seconds(after), report.latencyBack == nil || report.deadBack == nil {
        guard let last = try await windows(for: window, each: window, recorder, watch).last else { break }
        let passed = (clock.now - release).inSeconds
        if report.latencyBack == nil, last.p99 <= bound { report.latencyBack = passed }
        if report.deadBack == nil, last.dead <= report.deadBefore { report.deadBack = passed }
      }
      return report
    }
  }

  private struct Window: Sendable {
    let latencies: [Double]
    let p99: Double
    let dead: Int
  }

  private func windows(
    for duration: Duration,
    each length: Duration,
    _ recorder: SteadyRecorder,
    _ watch: Pool
  ) async throws -> [Window] {
    let end = clock.now + duration
    var windows: [Window] = []
    while clock.now < end {
      try await clock.sleep(until: min(end, clock.now + length))
      let dead = try await watch.query(
        """
        SELECT coalesce(sum(n_dead_tup), 0)::bigint AS dead FROM pg_stat_user_tables WHERE relname = ANY (\(Self.tables))
        """
      )
      let latencies = recorder.take()
      let p99 = Spread(latencies).percentile(0.99)
      windows.append(
        Window(latencies: latencies, p99: p99, dead: Int(try dead[0].get("dead", as: Int64.self)))
      )
    }
    return windows
  }

  // MARK: Sizes

  struct BloatReport: Sendable {
    /// The smallest and the largest size of each table with its indexes after the warm-up, in bytes.
    var smallest: [String: Int64] = [:]
    var largest: [String: Int64] = [:]
    var jobs = 0
    var rate = 0
    /// Of the first and of the last part of the run.
    var firstP99 = 0.0
    var lastP99 = 0.0
  }

  /// Looks at the sizes of the tables while jobs come and go at half of what a burn-down of this machine manages.
  func bloat(seconds: Int) async throws -> BloatReport {
    let peak = try await bench.burnDown(count: 20_000).jobsPerSecond
    let rate = max(100, Int(peak / 2))
    return try await loaded(rate: rate) { recorder, watch in
      var report = BloatReport()
      report.rate = rate
      // A vacuum comes once a minute, so a table has its working size after some of them.
      try await clock.sleep(for: .seconds(min(600, max(1, seconds / 3))))
      _ = recorder.take()
      let end = clock.now + .seconds(seconds - min(600, max(1, seconds / 3)))
      while clock.now < end {
        try await clock.sleep(until: min(end, clock.now + .seconds(max(1, seconds / 360))))
        for (table, size) in try await sizes(watch) {
          report.smallest[table] = min(report.smallest[table] ?? size, size)
          report.largest[table] = max(report.largest[table] ?? size, size)
        }
        let latencies = recorder.take()
        report.jobs += latencies.count
        report.lastP99 = Spread(latencies).percentile(0.99)
        if report.firstP99 == 0 { report.firstP99 = report.lastP99 }
      }
      return report
    }
  }

  private func sizes(_ watch: Pool) async throws -> [(String, Int64)] {
    try await watch.query(
      "SELECT t.name, pg_total_relation_size(t.name::regclass) AS size FROM unnest(\(Self.tables)) AS t(name)"
    ).map { (try $0.get("name"), try $0.get("size")) }
  }

  // MARK: Load

  /// Runs the body while jobs come at the rate, a hundred transactions a second, and a queue works them off.
  private func loaded<Value: Sendable>(
    rate: Int,
    _ body: @escaping @Sendable (SteadyRecorder, Pool) async throws -> Value
  ) async throws -> Value {
    let pool = Pool(bench.database, size: 4)
    let watch = Pool(bench.database, size: 1)
    let lanes = try await bench.prepare(pool)
    let recorder = SteadyRecorder()
    let queue = bench.makeQueue(pool, recorder)
    let result = Watched<Value>()
    try await bench.run(queue) {
      await withTaskGroup(of: Bool.self) { group in
        group.addTask {
          await put(rate, into: lanes, queue, recorder)
          return false
        }
        group.addTask {
          let value = await orLog("Watching the queue") { try await body(recorder, watch) }
          result.value.withLock { $0 = value }
          return true
        }
        // The load ends with what watches it.
        for await isDone in group where isDone { group.cancelAll() }
      }
      await recorder.drained()
    }
    await watch.close()
    await pool.close()
    guard let value = result.value.withLock({ $0 }) else { throw BenchError("The queue could not be watched") }
    return value
  }

  /// Puts in jobs until it is cancelled, whether earlier ones are done or not.
  private func put(_ rate: Int, into lanes: [QueueBench.Lane], _ queue: JobQueue, _ recorder: SteadyRecorder) async {
    let begin = clock.now
    await withDiscardingTaskGroup { group in
      for tick in 0... {
        // A cancelled sleep ends the load.
        guard (try? await clock.sleep(until: begin + .milliseconds(10) * tick)) != nil else { break }
        let numbers = tick * rate / 100..<(tick + 1) * rate / 100
        guard !numbers.isEmpty else { continue }
        group.addTask {
          let jobs = numbers.map { number in
            let lane = lanes[number % lanes.count]
            return NewJob(siteID: lane.site, laneID: lane.id, kind: "bench", payload: JSONB(text: "{}"))
          }
          // Not cancelled with the load: what is under way may be committed, and then it is awaited.
          let ids = await Task { await orLog("Putting in jobs") { try await queue.enqueue(jobs) } }.value
          recorder.committed((ids ?? []).compactMap(\.self))
        }
      }
    }
  }
}

/// What a watch of the queue found.
private final class Watched<Value: Sendable>: Sendable {
  let value = Mutex<Value?>(nil)
}

/// Gathers latencies of a run without an end; what was taken is forgotten.
final class SteadyRecorder: JobRecorder {
  private struct State {
    var commits: [Int64: ContinuousClock.Instant] = [:]
    var starts: [Int64: ContinuousClock.Instant] = [:]
    var latencies: [Double] = []
  }

  private let state = Mutex(State())
  private let clock = ContinuousClock()

  func committed(_ ids: [Int64]) {
    let now = clock.now
    state.withLock { state in
      for id in ids {
        // A handler can start before the caller hears of its own COMMIT.
        if state.starts.removeValue(forKey: id) != nil {
          state.latencies.append(0)
        } else {
          state.commits[id] = now
        }
      }
    }
  }

  func started(_ job: ClaimedJob) {
    let now = clock.now
    state.withLock { state in
      if let commit = state.commits.removeValue(forKey: job.id) {
        state.latencies.append((now - commit).inSeconds * 1_000)
      } else {
        state.starts[job.id] = now
      }
    }
  }

  func ended() {}

  /// Jobs that are committed and not started.
  var backlog: Int { state.withLock { $0.commits.count } }

  /// The milliseconds from the COMMIT to the handler of every job that started since the last call.
  func take() -> [Double] {
    state.withLock { state in
      defer { state.latencies = [] }
      return state.latencies
    }
  }

  /// Returns when every job that was put in has started.
  func drained() async {
    while backlog > 0 {
      // A look every moment; the end of a sleep proves nothing here.
      try? await clock.sleep(for: .milliseconds(20))
    }
  }
}
