internal import FoundationEssentials
internal import JobQueue
internal import Logging
package import Postgres
internal import ServiceTree
internal import Synchronization

/// Measures the queue: promote, claim, mark as started, finish; every step durable.
///
/// The database must hold the queue's tables and nothing else that runs.
package struct QueueBench: Sendable {
  package struct Report: Sendable {
    package var jobs = 0
    package var seconds = 0.0
    package var jobsPerSecond: Double { seconds > 0 ? Double(jobs) / seconds : 0 }
    /// Rows settled by one commit.
    package var rowsPerFlush = 0.0
    /// From COMMIT of the enqueue, or from the due time, to the start of the handler, in milliseconds.
    package var latencyP50 = 0.0
    package var latencyP99 = 0.0
    package var latencyMinimum = 0.0
    package var latencyMaximum = 0.0
  }

  package var database: Configuration
  package var lanes = 300
  package var sites = 20
  package var slots = 256

  package init(database: Configuration) {
    self.database = database
  }

  /// Drains `count` jobs that are due already.
  package func burnDown(count: Int) async throws -> Report {
    let pool = Pool(database, size: 2)
    let laneIDs = try await prepare(pool)
    try await insert(count, into: laneIDs, dueIn: -1, pool)
    let recorder = Recorder(expected: count)
    let queue = makeQueue(pool, recorder)
    let clock = ContinuousClock()
    let begin = clock.now
    try await run(queue) { await recorder.finished() }
    var report = recorder.report()
    report.seconds = (recorder.end - begin).seconds
    let metrics = queue.metrics.snapshot
    report.rowsPerFlush = Double(metrics.flushedRows) / Double(max(1, metrics.flushes))
    await pool.close()
    return report
  }

  /// Puts in single jobs at a steady rate, and measures how long each waits for its handler.
  package func latency(rate: Int, seconds: Int, keeping isKept: Bool = false) async throws -> Report {
    let pool = Pool(database, size: 4)
    let laneIDs = try await prepare(pool, keeping: isKept)
    let count = rate * seconds
    let recorder = Recorder(expected: count)
    let queue = makeQueue(pool, recorder)
    let clock = ContinuousClock()
    let begin = clock.now
    try await run(queue) {
      await withTaskGroup(of: Void.self) { group in
        for number in 0..<count {
          // The end of a sleep only paces the load.
          try? await clock.sleep(until: begin + .seconds(Double(number) / Double(rate)))
          group.addTask {
            let lane = laneIDs[number % laneIDs.count]
            let job = NewJob(siteID: lane.site, laneID: lane.id, kind: "bench", payload: JSONB(text: "{}"))
            let ids = await orLog("Putting in a job") { try await queue.enqueue([job]) }
            if let id = ids?.first ?? nil { recorder.committed(id) }
          }
        }
        await group.waitForAll()
      }
      await recorder.finished()
    }
    var report = recorder.report()
    report.seconds = (recorder.end - begin).seconds
    await pool.close()
    return report
  }

  /// Puts in jobs due within the next seconds, and measures how late each starts.
  package func schedule(count: Int, over seconds: Double, keeping isKept: Bool = false) async throws -> Report {
    let pool = Pool(database, size: 2)
    let laneIDs = try await prepare(pool, keeping: isKept)
    try await insert(count, into: laneIDs, dueIn: 2, over: seconds, pool)
    let recorder = Recorder(expected: count)
    let queue = makeQueue(pool, recorder)
    let begin = ContinuousClock().now
    try await run(queue) { await recorder.finished() }
    var report = recorder.report()
    report.seconds = (recorder.end - begin).seconds
    await pool.close()
    return report
  }

  // MARK: Parts

  struct Lane: Sendable {
    let id: Int64
    let site: Int64
  }

  /// - Parameter isKept: Leaves what is in the tables.
  func prepare(_ pool: Pool, keeping isKept: Bool = false) async throws -> [Lane] {
    if !isKept {
      try await pool.execute(
        "TRUNCATE jobs, due, ready, parked, leases, lanes, lane_pools, job_groups, attempts, nodes"
      )
      try await pool.execute("DELETE FROM queue_sites")
    }
    let specifications = (0..<lanes).map { number in
      LaneSpecification(kind: "bench", key: "lane \(number)", siteID: Int64(1 + number % sites))
    }
    let ids = try await pool.query(LaneStatements.ensure(specifications)).map { row in
      try row.get("lane_id", as: Int64.self)
    }
    return zip(ids, specifications).map { Lane(id: $0, site: $1.siteID) }
  }

  func insert(
    _ count: Int,
    into lanes: [Lane],
    dueIn delay: Double,
    over spread: Double = 0,
    _ pool: Pool
  ) async throws {
    for start in stride(from: 0, to: count, by: 10_000) {
      let numbers = start..<min(start + 10_000, count)
      let now = Date()
      let jobs = numbers.map { number in
        let lane = lanes[number % lanes.count]
        let due = now.addingTimeInterval(delay + spread * Double(number) / Double(max(1, count)))
        return NewJob(siteID: lane.site, laneID: lane.id, kind: "bench", dueAt: due, payload: JSONB(text: "{}"))
      }
      try await pool.execute(Enqueue.jobs(jobs))
    }
  }

  func makeQueue(_ pool: Pool, _ recorder: any JobRecorder) -> JobQueue {
    var settings = QueueSettings(home: "benchmark")
    settings.slots = slots
    let sending = BatchWriter(database)
    let handler = ClosureHandler { job in
      recorder.started(job)
      do {
        guard try await sending.submit(StartOperation(lease: job.lease)) else { return .refused }
        return .finished()
      } catch {
        return .retry(error: "\(error)")
      }
    }
    let recording = RecordingHandler(inner: handler, recorder: recorder)
    let backlog = ClosureHandler { job in
      do {
        guard try await sending.submit(StartOperation(lease: job.lease)) else { return .refused }
        return .finished()
      } catch {
        return .retry(error: "\(error)")
      }
    }
    return JobQueue(
      settings: settings,
      database: database,
      pool: pool,
      handlers: ["bench": recording, "backlog": backlog]
    )
  }

  func run(_ queue: JobQueue, until done: @escaping @Sendable () async -> Void) async throws {
    let shutdown = Shutdown()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        try await Shutdown.$current.withValue(shutdown) { try await queue.run() }
      }
      group.addTask {
        await done()
        // The last ends may still be on their way to the disk; they are part of the work.
        while queue.metrics.snapshot.finished + queue.metrics.snapshot.stale < queue.metrics.snapshot.claimed {
          await Task.yield()
        }
        shutdown.request()
      }
      try await group.waitForAll()
    }
  }
}

/// Marks one lease as committing, as a real handler does before its first byte leaves.
private struct StartOperation: BatchOperation {
  static let rank = 10
  let lease: Lease

  static func statement(for operations: [StartOperation]) -> SQL {
    "WITH \(fragment: LeaseGuard.started(operations.map { ($0.lease, isCommit: true) })) SELECT fence FROM ok"
  }

  static func outputs(of rows: [Row], for operations: [StartOperation]) throws -> [Bool] {
    let fences = Set(try rows.map { try $0.get("fence", as: Int64.self) })
    return operations.map { fences.contains($0.lease.fence) }
  }
}

private struct RecordingHandler: JobHandler {
  let inner: ClosureHandler
  let recorder: any JobRecorder

  func run(_ job: ClaimedJob) async -> JobOutcome {
    let outcome = await inner.run(job)
    recorder.ended()
    return outcome
  }
}

/// Hears when a handler starts and ends.
protocol JobRecorder: Sendable {
  func started(_ job: ClaimedJob)
  func ended()
}

/// Gathers when jobs were committed and started.
final class Recorder: JobRecorder {
  private struct State {
    var expected: Int
    var ended = 0
    var end: ContinuousClock.Instant?
    var latencies: [Double] = []
    var commits: [Int64: ContinuousClock.Instant] = [:]
    var starts: [Int64: ContinuousClock.Instant] = [:]
    var waiter: CheckedContinuation<Void, Never>?
  }

  private let state: Mutex<State>
  private let clock = ContinuousClock()

  init(expected: Int) {
    state = Mutex(State(expected: expected))
  }

  func committed(_ id: Int64) {
    let now = clock.now
    state.withLock { $0.commits[id] = now }
  }

  func started(_ job: ClaimedJob) {
    let now = clock.now
    let late = -job.dueAt.timeIntervalSinceNow
    state.withLock { state in
      state.starts[job.id] = now
      state.latencies.append(late * 1_000)
    }
  }

  func ended() {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      state.ended += 1
      guard state.ended == state.expected else { return nil }
      state.end = clock.now
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
  }

  func finished() async {
    await withCheckedContinuation { continuation in
      let isDone = state.withLock { state in
        if state.ended >= state.expected { return true }
        state.waiter = continuation
        return false
      }
      if isDone { continuation.resume() }
    }
  }

  var end: ContinuousClock.Instant { state.withLock { $0.end } ?? clock.now }

  func report() -> QueueBench.Report {
    state.withLock { state in
      var report = QueueBench.Report()
      report.jobs = state.ended
      var values = state.latencies
      if !state.commits.isEmpty {
        // A handler can start before the caller hears of its own COMMIT.
        // What was put in before, as a backlog, is not measured.
        values = state.commits.compactMap { id, commit in
          state.starts[id].map { max(0, ($0 - commit).seconds * 1_000) }
        }
      }
      values.sort()
      guard let last = values.last else { return report }
      report.latencyP50 = values[values.count / 2]
      report.latencyP99 = values[min(values.count - 1, values.count * 99 / 100)]
      report.latencyMinimum = values[0]
      report.latencyMaximum = last
      return report
    }
  }
}
