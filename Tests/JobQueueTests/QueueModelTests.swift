import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue

/// Does random things to the queue and to a model of it; after each step both must stand alike.
@Suite(.database, .timeLimit(.minutes(10))) struct QueueModelTests {
  private static let isLong = ProcessInfo.processInfo.environment["ROSTRUM_LONG"] == "1"
  private static let seeds = Array(1...(isLong ? 60 : 6)).map(UInt64.init)
  private static let steps = isLong ? 400 : 150

  @Test(arguments: seeds)
  func theTablesStandAsTheModelSays(seed: UInt64) async throws {
    try await QueueDatabase.with { database in
      var run = try await ModelRun(database, seed: seed)
      for step in 0..<Self.steps {
        let what = try await run.step()
        let (expected, found) = (run.model.picture, try await run.picture())
        let inconsistencies = try await database.inconsistencies()
        guard expected == found, inconsistencies.isEmpty, run.complaints.isEmpty else {
          let (missing, extra) = (Set(expected).subtracting(found).sorted(), Set(found).subtracting(expected).sorted())
          Issue.record(
            """
            seed \(seed), step \(step), \(what): model says \(missing), tables say \(extra); \(inconsistencies); \
            \(run.complaints)
            """
          )
          return
        }
      }
      #expect(run.ended > 0)
    }
  }
}

/// One sequence of random steps.
private struct ModelRun {
  private static let laneCount = 5
  private static let groups: [Int64] = [101, 102, 103]
  private static let kind = "test"

  let database: QueueDatabase
  let node: ManualNode
  let control: JobQueue
  var random: SeededGenerator
  var model = QueueModel()
  var leases: [Int64: Lease] = [:]
  var ended = 0
  /// Answers of the queue that differ from the model's.
  var complaints: [String] = []
  private var nextPast = -500_000.0
  private let base = Date()
  private var nextGroup: Int64 = 104

  init(_ database: QueueDatabase, seed: UInt64) async throws {
    self.database = database
    node = ManualNode(database.configuration)
    control = database.queue([:])
    random = SeededGenerator(seed: seed)
    for number in 0..<Self.laneCount {
      let cap = 1 + number % 3
      let site = Int64(1 + number % 2)
      let lane = try await database.lane("lane \(number)", site: site, limits: LaneLimits(cap: cap))
      model.lanes[lane] = QueueModel.Lane(cap: cap)
    }
    for group in Self.groups { try await make(group) }
  }

  private mutating func make(_ group: Int64) async throws {
    try await database.pool.execute(Enqueue.group(group, siteID: 1))
    model.groups[group] = QueueModel.Group()
  }

  /// Where the tables say each job is.
  func picture() async throws -> [String] {
    let rows = try await database.pool.query(
      """
      SELECT s.job_id, CASE WHEN s.state = 'unknown' AND l.check_at IS NULL THEN 'taken' ELSE s.state END AS state,
        s.attempts, coalesce(l.live, d.live, r.live, p.live, false) AS live, coalesce(l.stop, false) AS stop
      FROM job_states s LEFT JOIN leases l USING (job_id) LEFT JOIN due d USING (job_id)
      LEFT JOIN ready r USING (job_id) LEFT JOIN parked p USING (job_id)
      """
    )
    return try rows.map { row in
      let (live, stop) = (try row.get("live", as: Bool.self), try row.get("stop", as: Bool.self))
      let start = "\(try row.get("job_id", as: Int64.self)) \(try row.get("state", as: String.self))"
      return "\(start) \(try row.get("attempts", as: Int16.self))\(live ? " live" : "")\(stop ? " stopped" : "")"
    }
    .sorted()
  }

  // MARK: Steps

  /// Does one random thing to both and says what it was.
  mutating func step() async throws -> String {
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<20: return try await enqueue()
    case 20..<35: return try await promote()
    case 35..<50: return try await claim()
    case 50..<60: return try await start()
    case 60..<63: return try await accept()
    case 63..<80: return try await settle()
    case 80..<84: return try await check()
    case 84..<87: return try await pauseGroup()
    case 87..<91: return try await resumeGroup()
    case 91..<93: return try await cancelGroup()
    case 93..<95: return try await cancelJob()
    case 95..<97: return try await reschedule()
    case 97..<98: return try await pauseLane()
    default: return try await retryDeadLetter()
    }
  }

  private mutating func pick<Value>(_ values: [Value]) -> Value? {
    values.randomElement(using: &random)
  }

  /// A time in the past that no other job has, so that the order is the same for both.
  private mutating func past() -> Date {
    nextPast += 1
    let jitter = Int.random(in: 0..<1_000, using: &random)
    return base.addingTimeInterval(nextPast - Double(jitter) * 100)
  }

  private mutating func enqueue() async throws -> String {
    var jobs: [NewJob] = []
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      let isFuture = Int.random(in: 0..<5, using: &random) == 0
      jobs.append(
        NewJob(
          siteID: 1,
          laneID: try #require(pick(model.lanes.keys.sorted())),
          groupID: Bool.random(using: &random) ? pick(model.groups.keys.sorted()) : nil,
          kind: Self.kind,
          priority: pick(JobPriority.allCases) ?? .normal,
          dueAt: isFuture ? base.addingTimeInterval(86_400) : past()
        )
      )
    }
    for (id, job) in zip(try await database.enqueue(jobs), jobs) {
      let due = try #require(job.dueAt)
      model.jobs[try #require(id)] = QueueModel.Job(
        lane: job.laneID,
        group: job.groupID,
        priority: job.priority.rawValue,
        due: due
      )
    }
    return "enqueue \(jobs.count)"
  }

  private mutating func promote() async throws -> String {
    try await node.promote()
    model.promote(now: Date())
    return "promote"
  }

  private mutating func claim() async throws -> String {
    let answer = try await node.claim()
    var claimed: [Int64: [Int64]] = [:]
    for job in answer.jobs {
      claimed[job.laneID, default: []].append(job.id)
      leases[job.id] = job.lease
      let attempts = (model.jobs[job.id]?.attempts ?? 0) + 1
      if job.attempt != attempts { complaints.append("attempt \(job.attempt) instead of \(attempts)") }
    }
    let expected = model.claim()
    if claimed != expected { complaints.append("claimed \(claimed) instead of \(expected)") }
    for lease in answer.stopped { try await node.settle([lease], .refused) }
    return "claim"
  }

  private mutating func start() async throws -> String {
    guard let id = pick(model.ids(\.isLeased)), let lease = leases[id] else { return "start nothing" }
    let isStarted = try await !node.start([lease]).isEmpty
    if isStarted != model.start(id) { complaints.append("started: \(isStarted)") }
    return "start \(id)"
  }

  /// A part of the effect is accepted.
  private mutating func accept() async throws -> String {
    guard let id = pick(model.ids { $0.place == .committing }) else { return "accept nothing" }
    try await node.session.execute("WITH \(fragment: LeaseGuard.markLive([id])) SELECT")
    model.jobs[id]?.isLive = true
    return "accept \(id)"
  }

  private mutating func settle() async throws -> String {
    guard let id = pick(model.ids(\.isLeased)), let lease = leases[id] else { return "settle nothing" }
    let ways: [SettleOperation.Way] = [
      .finished, .finished, .failed, .retried, .snoozed, .released, .refused, .unknown, .retriedOrUnknown,
      .releasedOrUnknown,
    ]
    let way = pick(ways) ?? .finished
    let output = try await node.settle([lease], way)[0]
    let expected = model.settle(id, way, now: Date())
    if output.way != expected {
      complaints.append("\(way) became \(output) instead of \(String(describing: expected))")
    }
    if expected != nil, expected != .unknown { ended += 1 }
    return "settle \(id) as \(way)"
  }

  private mutating func check() async throws -> String {
    let jobs = try await node.checks()
    for job in jobs { leases[job.id] = job.lease }
    let expected = model.check()
    if jobs.map(\.id).sorted() != expected { complaints.append("checks \(jobs.map(\.id)) instead of \(expected)") }
    return "check"
  }

  private mutating func pauseGroup() async throws -> String {
    guard let group = pick(model.groups.keys.sorted()) else { return "pause nothing" }
    _ = try await control.pauseGroup(group)
    model.pause(group)
    return "pause group \(group)"
  }

  private mutating func resumeGroup() async throws -> String {
    guard let group = pick(model.groups.filter(\.value.isPaused).keys.sorted()) else { return "resume nothing" }
    try await control.resumeGroup(group)
    model.resume(group)
    return "resume group \(group)"
  }

  /// Cancels a group; a fresh one takes its place.
  private mutating func cancelGroup() async throws -> String {
    guard let group = pick(model.groups.filter { !$0.value.isCanceled }.keys.sorted()) else { return "cancel nothing" }
    let result = try await control.cancelGroup(group)
    let expected = model.cancel(group)
    if result != expected { complaints.append("canceled \(result) instead of \(expected)") }
    try await make(nextGroup)
    nextGroup += 1
    return "cancel group \(group)"
  }

  private mutating func cancelJob() async throws -> String {
    // A claimed job would carry its own mark of cancellation, which the model leaves out.
    let waiting = model.ids { !$0.isLeased && $0.place != .failed }
    guard let id = pick(waiting), let job = model.jobs[id] else { return "cancel nothing" }
    let outcome = try await control.cancelJob(id)
    let expected: JobQueue.CancelOutcome = job.isLive ? .alreadySending : .dropped
    if outcome != expected { complaints.append("canceled: \(outcome) instead of \(expected)") }
    if !job.isLive { model.jobs[id] = nil }
    return "cancel job \(id)"
  }

  private mutating func reschedule() async throws -> String {
    let ids = Array(model.jobs.keys.sorted().shuffled(using: &random).prefix(1))
    let date = Bool.random(using: &random) ? past() : base.addingTimeInterval(86_400)
    let moved = try await control.reschedule(ids, to: date)
    let expected = model.reschedule(ids, to: date)
    if moved != expected { complaints.append("moved \(moved) instead of \(expected)") }
    return "reschedule \(ids)"
  }

  private mutating func pauseLane() async throws -> String {
    guard let lane = pick(model.lanes.keys.sorted()), let isPaused = model.lanes[lane]?.isPaused else {
      return "pause no lane"
    }
    try await database.pool.execute(LaneStatements.setPaused(lane, !isPaused))
    model.lanes[lane]?.isPaused = !isPaused
    return "lane \(lane) paused: \(!isPaused)"
  }

  private mutating func retryDeadLetter() async throws -> String {
    guard let id = pick(model.ids { $0.place == .failed }) else { return "retry nothing" }
    let retried = try await control.retryDeadLetters([id])
    if model.retryDeadLetter(id, now: Date()) != (retried == [id]) { complaints.append("retried \(retried)") }
    return "retry \(id)"
  }
}
