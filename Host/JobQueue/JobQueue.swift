package import FoundationEssentials
package import Logging
package import Postgres
internal import ServiceTree
internal import Synchronization

/// The queue's part in one host process: it promotes, claims, runs handlers, settles, and rescues dead peers.
///
/// Everything that is true stands in the database. Jobs are put in with ``enqueue(_:)`` or with the statements of
/// ``Enqueue`` in the caller's own transaction; neither needs a running service.
package final class JobQueue: Service {
  /// The site of the host's own background work.
  package static let hostSite: Int64 = 0
  /// The channel on which nodes tell each other to look.
  package static let channel = "rostrum_queue"

  struct State {
    var ledger: ClaimLedger
    /// Claimed jobs for which no handler has started, oldest first.
    var waiting: [ClaimedJob] = []
    var running = 0
    /// Whether the last claim stopped because no slots were left, not because no lane was.
    var claimWasCut = false
    /// Whether the lanes that were freed last have more jobs.
    var freedLanesHaveMore = false
    /// Every lease of this node whose end is not stored yet, by its fence.
    var leases: [Int64: Lease] = [:]
    var isStopping = false
    var mustRecover = false
    var nextSlot: ContinuousClock.Instant?
    var nextDue: ContinuousClock.Instant?
    var nextCheck: ContinuousClock.Instant?
    var lastHeartbeat: ContinuousClock.Instant?
    var peers = 0
    var laneIDs: [String: Int64] = [:]
    /// Kinds of which nothing is claimed for now.
    var heldKinds: Set<String> = []
  }

  package let name = "queue"
  package var signalsStartup: Bool { true }

  /// This run of the host process.
  package let nodeEpoch = UUID()
  package let metrics = QueueMetrics()
  /// Joins ends and claims into few commits; handlers may submit operations of their own to it.
  package let writer: BatchWriter

  let settings: QueueSettings
  let database: Configuration
  let pool: Pool
  let handlers: [String: any JobHandler]
  let periodic: [PeriodicJob]
  let hooks: ClosingHooks
  let shape: ClaimShape
  let logger: Logger
  let clock = ContinuousClock()

  let state: Mutex<State>
  let promoteWake = Wake()
  let claimWake = Wake()
  let startWake = Wake()
  let notifyWake = Wake()

  /// - Parameters:
  ///   - database: A direct connection string (no transaction pooler): the node holds a session lock and listens.
  ///   - pool: Sessions for enqueueing, control and maintenance.
  ///   - handlers: By kind. Lanes of other kinds are not claimed.
  ///   - hooks: What users' rows need when the queue drops a cancelled job.
  package init(
    settings: QueueSettings,
    database: Configuration,
    pool: Pool,
    handlers: [String: any JobHandler],
    extensions: [ClaimExtension] = [],
    periodic: [PeriodicJob] = [],
    hooks: ClosingHooks = ClosingHooks(),
    logger: Logger = .current
  ) {
    self.settings = settings
    self.database = database
    self.pool = pool
    self.handlers = handlers
    self.periodic = periodic
    self.hooks = hooks
    self.logger = logger
    shape = ClaimShape(nodeEpoch: nodeEpoch, extensions: extensions)
    writer = BatchWriter(JobQueue.hot(database), logger: logger)
    state = Mutex(State(ledger: ClaimLedger(slots: settings.slots)))
  }

  /// The database with the planner settings of the hot statements: index scans in the order of the index only.
  static func hot(_ database: Configuration) -> Configuration {
    var copy = database.forWorkers
    copy.settings["enable_bitmapscan"] = "off"
    return copy
  }

  // MARK: Putting jobs in

  /// Puts jobs in as one transaction and wakes the nodes; answers with each job's number, nil where the number or the
  /// unique key was taken.
  package func enqueue(_ jobs: [NewJob]) async throws(PostgresError) -> [Int64?] {
    guard !jobs.isEmpty else { return [] }
    let rows = try await pool.query(Enqueue.jobs(jobs))
    let numbers = try JobQueue.numbers(rows, count: jobs.count, column: "job_id")
    wake(dueAt: jobs.contains { $0.dueAt == nil } ? nil : jobs.compactMap(\.dueAt).min())
    return numbers
  }

  /// Tells this node and the others that jobs were put in; call it after the COMMIT. Cheap, and never blocks.
  ///
  /// - Parameter dueAt: The earliest due time, nil for now; what is due later than a poll away is found by the poll.
  package func wake(dueAt: Date? = nil) {
    guard let dueAt, dueAt.timeIntervalSinceNow > settings.pollInterval.seconds else {
      promoteWake.raise()
      notifyWake.raise()
      return
    }
  }

  /// Makes the lanes that do not exist and answers with their numbers, in order.
  package func ensureLanes(_ lanes: [LaneSpecification]) async throws(PostgresError) -> [Int64] {
    guard !lanes.isEmpty else { return [] }
    // A lane that another transaction made meanwhile is invisible to the first statement, not to the next.
    for _ in 0..<20 {
      let rows = try await pool.query(LaneStatements.ensure(lanes))
      let numbers = try JobQueue.numbers(rows, count: lanes.count, column: "lane_id").compactMap(\.self)
      if numbers.count == lanes.count { return numbers }
    }
    throw PostgresError(.misuse, "A lane could not be made")
  }

  /// Runs a statement of ``LaneStatements`` that lets jobs run, and wakes the nodes.
  package func applyLaneChange(_ statement: SQL) async throws(PostgresError) {
    try await pool.execute(statement)
    claimWake.raise()
    notifyWake.raise()
  }

  static func numbers(_ rows: [Row], count: Int, column: String) throws(PostgresError) -> [Int64?] {
    var numbers = [Int64?](repeating: nil, count: count)
    for row in rows {
      let place = Int(try row.get("place", as: Int64.self)) - 1
      if numbers.indices.contains(place) { numbers[place] = try row.get(column, as: Int64.self) }
    }
    return numbers
  }

  // MARK: Service

  package func run() async throws {
    let shutdown = Shutdown.current
    // The node stays alive until its last handler has ended.
    let ended = Shutdown()
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.runNode(ended) }
      group.addTask { await self.runClaims(shutdown) }
      group.addTask {
        await self.runHandlers(shutdown)
        ended.request()
      }
      group.addTask { await self.runPromotion(shutdown) }
      group.addTask { await self.runListener(shutdown) }
      group.addTask { await self.runNotifier(shutdown) }
      group.addTask { await self.runRescue(shutdown) }
      group.addTask { await self.runMaintenance(shutdown) }
      group.addTask {
        await shutdown.requested()
        self.stop()
      }
    }
    // What is held must go back even when the time for a graceful stop is over and this task is cancelled.
    await Task {
      await giveBackEverything()
      await writer.close()
    }.value
  }

  /// Stops new work and wakes every loop, so that it sees the shutdown.
  private func stop() {
    state.withLock { $0.isStopping = true }
    for wake in [promoteWake, claimWake, startWake, notifyWake] {
      wake.raise()
    }
  }
}
