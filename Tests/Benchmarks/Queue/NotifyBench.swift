import Dispatch
import JSONDocument
import JobQueue
import Postgres
import ServiceTree

/// What several nodes on one database say to each other.
struct NotifyBench: Sendable {
  let database: Configuration
  let nodes = 3

  private var clock: ContinuousClock { ContinuousClock() }

  // MARK: Idle

  /// Runs the nodes without work until the input ends.
  func hold() async throws {
    let pool = Pool(database, size: 1)
    _ = try await QueueBench(database: database).prepare(pool)
    await pool.close()
    try await running([], slots: 64) { _ in
      RostrumBench.show(["nodes": .int(Int64(nodes))])
      // The nodes need the threads of the tasks.
      await withCheckedContinuation { end in
        DispatchQueue.global().async {
          while readLine() != nil {}
          end.resume()
        }
      }
    }
  }

  // MARK: Insert

  struct InsertReport: Sendable {
    /// Transactions of one job each, through one node.
    var insertsPerSecond = 0.0
    var seconds = 0.0
  }

  /// Puts in single jobs as fast as eight clients of one node can.
  func insert(seconds: Int) async throws -> InsertReport {
    let bench = QueueBench(database: database)
    let pool = Pool(database, size: 8)
    let lanes = try await bench.prepare(pool)
    let handler = ClosureHandler { _ in .finished() }
    let report = try await running([("bench", handler)], slots: 256, pool) { queues in
      let begin = clock.now
      let end = begin + .seconds(seconds)
      let count = try await withThrowingTaskGroup(of: Int.self) { group in
        for client in 0..<8 {
          group.addTask {
            var count = 0
            while clock.now < end {
              let lane = lanes[(count * 8 + client) % lanes.count]
              _ = try await queues[0].enqueue([NewJob(siteID: lane.site, laneID: lane.id, kind: "bench")])
              count += 1
            }
            return count
          }
        }
        return try await group.reduce(0, +)
      }
      let seconds = (clock.now - begin).inSeconds
      return InsertReport(insertsPerSecond: Double(count) / seconds, seconds: seconds)
    }
    await pool.close()
    return report
  }

  // MARK: Fan-out

  struct FanOutReport: Sendable {
    /// Milliseconds from a COMMIT to the first and to the last of as many handlers as there are nodes.
    var firstP50 = 0.0
    var lastP50 = 0.0
    var lastP99 = 0.0
  }

  /// One COMMIT brings as many jobs as there are nodes, and every node has room for one: all must wake.
  ///
  /// Each handler ends when all have begun, so no node can take two.
  func fanOut(rounds: Int) async throws -> FanOutReport {
    let bench = QueueBench(database: database)
    let pool = Pool(database, size: 4)
    let lanes = try await bench.prepare(pool)
    let meeting = Meeting(size: nodes)
    let handler = ClosureHandler { _ in
      await meeting.join()
      return .finished()
    }
    let times = try await running([("bench", handler)], slots: 1, pool) { queues in
      var times: [(first: Double, last: Double)] = []
      for round in 0..<rounds {
        let jobs = (0..<nodes).map { place in
          let lane = lanes[(round * nodes + place) % lanes.count]
          return NewJob(siteID: lane.site, laneID: lane.id, kind: "bench")
        }
        _ = try await queues[round % nodes].enqueue(jobs)
        let commit = clock.now
        let starts = await meeting.met()
        let waits = starts.map { max(0, ($0 - commit).inSeconds * 1_000) }.sorted()
        times.append((first: waits[0], last: waits[nodes - 1]))
        // Every slot is free again before the next round, and nobody has just looked.
        while try await pool.query("SELECT FROM leases LIMIT 1").first != nil {}
        try await clock.sleep(for: .milliseconds(10 + 17 * (round % 3)))
      }
      return times
    }
    await pool.close()
    var report = FanOutReport()
    let last = Spread(times.map(\.last))
    report.firstP50 = Spread(times.map(\.first)).percentile(0.5)
    report.lastP50 = last.percentile(0.5)
    report.lastP99 = last.percentile(0.99)
    return report
  }

  // MARK: Parts

  /// Runs the nodes around the body.
  private func running<Value: Sendable>(
    _ handlers: [(String, ClosureHandler)],
    slots: Int,
    _ first: Pool? = nil,
    _ body: @escaping @Sendable ([JobQueue]) async throws -> Value
  ) async throws -> Value {
    let pools = (0..<nodes).map { _ in Pool(database, size: 4) }
    let queues = pools.enumerated().map { number, pool in
      var settings = QueueSettings(home: "benchmark \(number)")
      settings.slots = slots
      return JobQueue(
        settings: settings,
        database: database,
        pool: number == 0 ? first ?? pool : pool,
        handlers: Dictionary(handlers.map { ($0.0, $0.1 as any JobHandler) }) { one, _ in one }
      )
    }
    let shutdown = Shutdown()
    let value = try await withThrowingTaskGroup(of: Value?.self) { group in
      for queue in queues {
        group.addTask {
          try await Shutdown.$current.withValue(shutdown) { try await queue.run() }
          return nil
        }
      }
      group.addTask {
        defer { shutdown.request() }
        try await ready()
        return try await body(queues)
      }
      var value: Value?
      for try await one in group where one != nil { value = one }
      return value
    }
    for pool in pools { await pool.close() }
    guard let value else { throw BenchError("The nodes ended early") }
    return value
  }

  /// Returns when every node has found its peers and listens.
  private func ready() async throws {
    let pool = Pool(database, size: 1)
    while try await pool.query("SELECT count(*) AS n FROM nodes")[0].get("n", as: Int64.self) < Int64(nodes) {
      try await clock.sleep(for: .milliseconds(20))
    }
    await pool.close()
    // A node counts its peers with its heartbeat, and until then it takes part as if there were some.
    try await clock.sleep(for: .seconds(4))
  }
}

/// Holds whoever joins until all are there.
private actor Meeting {
  private let size: Int
  private var times: [ContinuousClock.Instant] = []
  private var members: [CheckedContinuation<Void, Never>] = []
  private var host: CheckedContinuation<Void, Never>?

  init(size: Int) {
    self.size = size
  }

  func join() async {
    times.append(ContinuousClock().now)
    if times.count == size {
      host?.resume()
      host = nil
    }
    await withCheckedContinuation { members.append($0) }
  }

  /// Waits until all have come, lets them go, and returns when each came.
  func met() async -> [ContinuousClock.Instant] {
    if times.count < size { await withCheckedContinuation { host = $0 } }
    defer {
      times = []
      members = []
    }
    for member in members { member.resume() }
    return times
  }
}
