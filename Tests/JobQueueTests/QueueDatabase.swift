import FoundationEssentials
import Logging
import Postgres
import Synchronization
import TestSupport

@testable import JobQueue

/// A database of its own with the queue's tables, for one test.
struct QueueDatabase: Sendable {
  let configuration: Configuration
  let pool: Pool

  /// Runs the body with the database that the trait `.database` made for this test.
  static func with<Value>(_ body: (QueueDatabase) async throws -> Value) async throws -> Value {
    let configuration = try TestDatabase.current.configuration
    let database = QueueDatabase(configuration: configuration, pool: Pool(configuration, size: 4))
    let result: Result<Value, any Error>
    do {
      result = .success(try await body(database))
    } catch {
      result = .failure(error)
    }
    await database.pool.close()
    return try result.get()
  }
}

extension QueueDatabase {
  func lane(
    _ key: String = "lane",
    kind: String = "test",
    site: Int64 = 1,
    limits: LaneLimits = LaneLimits(),
    pool poolID: Int64? = nil
  ) async throws -> Int64 {
    let lane = LaneSpecification(kind: kind, key: key, siteID: site, limits: limits, poolID: poolID)
    let rows = try await pool.query(LaneStatements.ensure([lane]))
    return try rows[0].get("lane_id")
  }

  @discardableResult
  func enqueue(_ jobs: [NewJob]) async throws -> [Int64?] {
    try JobQueue.numbers(try await pool.query(Enqueue.jobs(jobs)), count: jobs.count, column: "job_id")
  }

  func count(_ sql: SQL) async throws -> Int {
    try await pool.query(sql)[0].get(0)
  }

  func queue(
    _ handlers: [String: any JobHandler],
    extensions: [ClaimExtension] = [],
    periodic: [PeriodicJob] = [],
    hooks: ClosingHooks = ClosingHooks(),
    logger: Logger = .current,
    _ change: (inout QueueSettings) -> Void = { _ in }
  ) -> JobQueue {
    var settings = QueueSettings(home: "test")
    settings.pollInterval = .milliseconds(100)
    settings.rescueInterval = .milliseconds(50)
    settings.heartbeatInterval = .milliseconds(100)
    settings.serverStartGrace = .zero
    change(&settings)
    return JobQueue(
      settings: settings,
      database: configuration,
      pool: pool,
      handlers: handlers,
      extensions: extensions,
      periodic: periodic,
      hooks: hooks,
      logger: logger
    )
  }

  /// Whether every counter agrees with the rows it counts and every open job is in exactly one place.
  func inconsistencies() async throws -> [String] {
    let rows = try await pool.query(
      """
      SELECT 'lane ' || o.lane_id || ' pending ' || o.pending || '/' || r.n || ' inflight ' || o.inflight || '/' || e.n AS text
      FROM lanes o
      CROSS JOIN LATERAL (SELECT count(*) AS n FROM ready WHERE lane_id = o.lane_id) r
      CROSS JOIN LATERAL (SELECT count(*) AS n FROM leases WHERE lane_id = o.lane_id) e
      WHERE o.pending <> r.n OR o.inflight <> e.n OR o.inflight > o.cap
        OR (o.pending > 0 AND o.inflight < o.cap AND NOT o.paused AND o.runnable_at = 'infinity')
        OR (o.runnable_at < 'infinity' AND (o.pending = 0 OR o.inflight >= o.cap))
      UNION ALL
      SELECT 'job ' || j.job_id || ' ' || j.state || ' is in ' || p.n || ' places'
      FROM jobs j
      CROSS JOIN LATERAL (
        SELECT count(*) AS n FROM (
          SELECT FROM due d WHERE d.job_id = j.job_id UNION ALL SELECT FROM ready d WHERE d.job_id = j.job_id
          UNION ALL SELECT FROM parked d WHERE d.job_id = j.job_id UNION ALL SELECT FROM leases d WHERE d.job_id = j.job_id
        ) x
      ) p
      WHERE p.n <> CASE j.state WHEN 'open' THEN 1 ELSE 0 END
      UNION ALL
      SELECT 'row of no job: ' || x.job_id FROM (
        SELECT job_id FROM due UNION ALL SELECT job_id FROM ready UNION ALL SELECT job_id FROM parked
        UNION ALL SELECT job_id FROM leases
      ) x WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.job_id = x.job_id)
      """
    )
    return try rows.map { try $0.get("text", as: String.self) }
  }
}

/// A node without loops: each step of the queue, one at a time, on a session of its own.
struct ManualNode: Sendable {
  let epoch = UUID()
  let session: Session
  let shape: ClaimShape
  var hooks = ClosingHooks()

  init(_ configuration: Configuration, extensions: [ClaimExtension] = []) {
    session = Session(JobQueue.hot(configuration))
    shape = ClaimShape(nodeEpoch: epoch, extensions: extensions)
  }

  @discardableResult
  func promote(limit: Int = 10_000, turn: PromotionTurn = .oldest) async throws -> PromoteStatement.Answer {
    let statement = PromoteStatement.make(limit: limit, turn: turn, hooks: hooks)
    return try PromoteStatement.answer(try await session.query(statement))
  }

  func claim(
    _ count: Int = 1_000,
    quantum: Int = 1_000,
    afterSite: Int64 = .min,
    kinds: [String] = ["test"]
  ) async throws -> ClaimOperation.Answer {
    let request = ClaimLedger.Request(count: count, quantum: quantum, afterSite: afterSite)
    let operation = ClaimOperation(shape: shape, kinds: kinds, request: request)
    let rows = try await session.query(ClaimOperation.statement(for: [operation]))
    return try ClaimOperation.outputs(of: rows, for: [operation])[0]
  }

  func checks(_ count: Int = 1_000) async throws -> [ClaimedJob] {
    let operation = CheckOperation(shape: shape, kinds: ["test"], count: count)
    let rows = try await session.query(CheckOperation.statement(for: [operation]))
    return try CheckOperation.outputs(of: rows, for: [operation])[0].jobs
  }

  /// Returns the fences under which a commit may start.
  func start(_ leases: [Lease]) async throws -> Set<Int64> {
    let rows = try await session.query(
      "WITH \(fragment: LeaseGuard.started(leases.map { ($0, isCommit: true) })) SELECT fence FROM ok"
    )
    return Set(try rows.map { try $0.get("fence", as: Int64.self) })
  }

  @discardableResult
  func settle(
    _ leases: [Lease],
    _ way: SettleOperation.Way,
    delay: Duration = .zero,
    laneBlock: Duration? = nil
  ) async throws -> [SettleOperation.Output] {
    guard !leases.isEmpty else { return [] }
    let operations = leases.map {
      SettleOperation(lease: $0, way: way, delay: delay, laneBlock: laneBlock, error: "test", hooks: hooks)
    }
    let rows = try await session.query(SettleOperation.statement(for: operations))
    return try SettleOperation.outputs(of: rows, for: operations)
  }
}

extension SettleOperation.Output {
  var isStale: Bool {
    if case .stale = self { true } else { false }
  }

  var way: SettleOperation.Way? {
    if case .settled(let way, _) = self { way } else { nil }
  }
}

/// Numbers that are the same for the same seed.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }
}
