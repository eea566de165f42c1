import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue

@Suite(.database) struct QueueStatementTests {
  // MARK: Order, caps, gaps, rates

  @Test func claimsTheOldestOfTheHighestPriorityFirst() async throws {
    try await QueueDatabase.with { database in
      let lane = try await database.lane()
      let past = Date().addingTimeInterval(-100)
      let jobs = [(3, 5.0), (3, 1.0), (1, 9.0), (4, 0.0), (3, 1.0)].enumerated().map { index, item in
        NewJob(
          id: Int64(100 + index),
          siteID: 1,
          laneID: lane,
          kind: "test",
          priority: JobPriority(rawValue: Int16(item.0)) ?? .normal,
          dueAt: past.addingTimeInterval(item.1)
        )
      }
      try await database.enqueue(jobs)
      let node = ManualNode(database.configuration)
      try await node.promote()
      var order: [Int64] = []
      while let job = try await node.claim().jobs.first {
        order.append(job.id)
        try await node.settle([job.lease], .finished)
      }
      #expect(order == [102, 101, 104, 100, 103])
      #expect(try await database.inconsistencies() == [])
      #expect(try await database.count("SELECT count(*) FROM attempts WHERE outcome = 1") == 5)
    }
  }

  @Test func neverClaimsEarly() async throws {
    try await QueueDatabase.with { database in
      let lane = try await database.lane()
      try await database.enqueue([NewJob(siteID: 1, laneID: lane, kind: "test", dueAt: Date().addingTimeInterval(600))])
      let node = ManualNode(database.configuration)
      let answer = try await node.promote()
      #expect(answer.moved == 0)
      let next = try #require(answer.nextDue)
      #expect(next > .seconds(60) && next <= .seconds(600))
      #expect(try await node.claim().jobs.isEmpty)
    }
  }

  @Test func keepsTheCapOfALane() async throws {
    try await QueueDatabase.with { database in
      let lane = try await database.lane(limits: LaneLimits(cap: 3))
      try await database.enqueue((0..<10).map { _ in NewJob(siteID: 1, laneID: lane, kind: "test") })
      let node = ManualNode(database.configuration)
      try await node.promote()
      let first = try await node.claim().jobs
      #expect(first.count == 3)
      #expect(try await node.claim().jobs.isEmpty)
      try await node.settle([first[1].lease], .finished)
      #expect(try await node.claim().jobs.count == 1)
      #expect(try await database.inconsistencies() == [])
    }
  }

  @Test func startsTheGapAtTheEndOfAJob() async throws {
    try await QueueDatabase.with { database in
      let lane = try await database.lane(limits: LaneLimits(cap: 2, minimumGap: .seconds(600)))
      try await database.enqueue((0..<3).map { _ in NewJob(siteID: 1, laneID: lane, kind: "test") })
      let node = ManualNode(database.configuration)
      try await node.promote()
      let answer = try await node.claim()
      #expect(answer.jobs.count == 1)
      let wait = try #require(answer.nextSlot)
      #expect(wait > .seconds(60) && wait <= .seconds(600))
      try await database.pool.execute("UPDATE lanes SET next_slot_at = now() - interval '1 s', runnable_at = now()")
      try await node.settle([answer.jobs[0].lease], .finished)
      #expect(try await node.claim().jobs.isEmpty)
      #expect(
        try await database.count(
          "SELECT count(*) FROM lanes WHERE next_slot_at > now() + interval '60 s' AND runnable_at = next_slot_at"
        ) == 1
      )
    }
  }

  @Test func blocksALaneAfterTooManyRequests() async throws {
    try await QueueDatabase.with { database in
      let lane = try await database.lane()
      try await database.enqueue((0..<2).map { _ in NewJob(siteID: 1, laneID: lane, kind: "test") })
      let node = ManualNode(database.configuration)
      try await node.promote()
      let job = try #require(try await node.claim().jobs.first)
      try await node.settle([job.lease], .snoozed, delay: .seconds(0), laneBlock: .seconds(600))
      try await node.promote()
      #expect(try await node.claim().jobs.isEmpty)
      #expect(
        try await database.count("SELECT count(*) FROM lanes WHERE runnable_at > now() + interval '60 s'") == 1
      )
      // The attempt did not count.
      #expect(try await database.count("SELECT max(attempts) FROM ready") == 0)
    }
  }

  @Test func spacesJobsByTheLanesRateAndGivesUnusedTurnsBack() async throws {
    try await QueueDatabase.with { database in
      let rate = RateLimit(interval: .seconds(100), burst: .seconds(100))
      let lane = try await database.lane(limits: LaneLimits(cap: 10, rate: rate))
      try await database.enqueue((0..<5).map { _ in NewJob(siteID: 1, laneID: lane, kind: "test") })
      let node = ManualNode(database.configuration)
      try await node.promote()
      let first = try await node.claim().jobs
      let second = try await node.claim().jobs
      #expect(first.count == 1 && second.count == 1)
      let third = try await node.claim()
      #expect(third.jobs.isEmpty)
      try await node.settle(second.map(\.lease), .released)
      #expect(try await node.claim().jobs.map(\.id) == second.map(\.id))
      // A turn that was used is not given back.
      try await node.settle(first.map(\.lease), .finished)
      #expect(try await node.claim().jobs.isEmpty)
      #expect(try await database.inconsistencies() == [])
    }
  }

  @Test func lanesOfAPoolShareItsRate() async throws {
    try await QueueDatabase.with { database in
      let rate = RateLimit(interval: .seconds(100), burst: .seconds(200))
      let rows = try await database.pool.query(LaneStatements.ensurePool(siteID: 1, key: "pool", rate: rate))
      let poolID: Int64 = try rows[0].get("pool_id")
      for number in 0..<6 {
        let lane = try await database.lane("lane \(number)", pool: poolID)
        try await database.enqueue([NewJob(siteID: 1, laneID: lane, kind: "test")])
      }
      let free = try await database.lane("free")
      try await database.enqueue([NewJob(siteID: 1, laneID: free, kind: "test")])
      let node = ManualNode(database.configuration)
      try await node.promote()
      let jobs = try await node.claim().jobs
      #expect(jobs.filter { $0.laneID != free }.count == 3)
      #expect(jobs.contains { $0.laneID == free })
      let again = try await node.claim()
      #expect(again.jobs.isEmpty)
      let wait = try #require(again.nextSlot)
      #expect(wait > .seconds(90) && wait <= .seconds(100))
      // The lanes now wait for the pool instead of being looked at again and again.
      #expect(try await node.claim().lanes == 0)
      try await database.pool.execute(LaneStatements.blockPool(poolID, for: .seconds(500), .rateLimited))
      try await database.pool.execute("UPDATE lane_pools SET tat = '-infinity'")
      try await database.pool.execute("UPDATE lanes SET runnable_at = now() WHERE pending > 0")
      #expect(try await node.claim().jobs.isEmpty)
      #expect(try await database.inconsistencies() == [])
    }
  }

  @Test func aPausedLaneKeepsItsJobs() async throws {
    try await QueueDatabase.with { database in
      let lane = try await database.lane()
      try await database.pool.execute(LaneStatements.setPaused(lane, true))
      try await database.enqueue([NewJob(siteID: 1, laneID: lane, kind: "test")])
      let node = ManualNode(database.configuration)
      try await node.promote()
      #expect(try await node.claim().jobs.isEmpty)
      try await database.pool.execute(LaneStatements.setPaused(lane, false))
      #expect(try await node.claim().jobs.count == 1)
    }
  }

  // MARK: Fairness

  @Test func aLargeBacklogDoesNotStarveOtherSites() async throws {
    try await QueueDatabase.with { database in
      for number in 0..<40 {
        let lane = try await database.lane("big \(number)", site: 1)
        try await database.enqueue((0..<5).map { _ in NewJob(siteID: 1, laneID: lane, kind: "test") })
      }
      for site in 2...6 {
        let lane = try await database.lane("small \(site)", site: Int64(site))
        try await database.enqueue([NewJob(siteID: Int64(site), laneID: lane, kind: "test")])
      }
      let node = ManualNode(database.configuration)
      try await node.promote()
      var ledger = ClaimLedger(slots: 8)
      var started: Set<Int64> = []
      var claims = 0
      while started.count < 6, claims < 100 {
        let request = try #require(ledger.request)
        let answer = try await node.claim(request.count, quantum: request.quantum, afterSite: request.afterSite)
        claims += answer.jobs.count
        started.formUnion(answer.jobs.map(\.siteID))
        _ = ledger.learned(
          request,
          jobs: answer.jobs.count,
          lanes: answer.lanes,
          sites: answer.sites,
          lastSite: answer.lastSite
        )
        try await node.settle(answer.jobs.map(\.lease), .finished)
      }
      #expect(started == [1, 2, 3, 4, 5, 6])
      #expect(claims <= 24)
    }
  }

  @Test func aHeavierSiteGetsMoreOfARound() async throws {
    try await QueueDatabase.with { database in
      for site in 1...2 {
        for number in 0..<10 {
          let lane = try await database.lane("\(site) \(number)", site: Int64(site))
          try await database.enqueue([NewJob(siteID: Int64(site), laneID: lane, kind: "test")])
        }
      }
      try await database.pool.execute(LaneStatements.setSite(2, weight: 3, paused: false))
      let node = ManualNode(database.configuration)
      try await node.promote()
      let jobs = try await node.claim(100, quantum: 2).jobs
      #expect(jobs.filter { $0.siteID == 1 }.count == 2)
      #expect(jobs.filter { $0.siteID == 2 }.count == 6)
      try await database.pool.execute(LaneStatements.setSite(2, weight: 3, paused: true))
      #expect(try await node.claim(100, quantum: 2).jobs.allSatisfy { $0.siteID == 1 })
    }
  }

  // MARK: Fences

  @Test func aFenceMakesALateEndHarmless() async throws {
    try await QueueDatabase.with { database in
      let lane = try await database.lane()
      try await database.enqueue([NewJob(siteID: 1, laneID: lane, kind: "test")])
      let (old, new) = (ManualNode(database.configuration), ManualNode(database.configuration))
      try await old.promote()
      let lost = try #require(try await old.claim().jobs.first).lease
      try await new.settle([lost], .released)
      let held = try #require(try await new.claim().jobs.first)
      #expect(held.lease.fence != lost.fence)
      #expect(held.attempt == 1)
      #expect(try await old.start([lost]).isEmpty)
      for way: SettleOperation.Way in [.finished, .failed, .retried, .unknown, .refused, .releasedOrUnknown] {
        #expect(try await old.settle([lost], way)[0].isStale)
      }
      let guarded: SQL = "WITH \(fragment: LeaseGuard.held([lost, held.lease])) SELECT fence FROM g"
      #expect(try await new.session.query(guarded).map { try $0.get("fence", as: Int64.self) } == [held.lease.fence])
      #expect(try await new.settle([held.lease], .finished)[0].way == .finished)
      #expect(try await database.inconsistencies() == [])
      #expect(try await database.count("SELECT count(*) FROM jobs") == 0)
    }
  }

  // MARK: Enqueueing

  @Test func aUniqueKeyHasOneOpenJob() async throws {
    try await QueueDatabase.with { database in
      let lane = try await database.lane()
      let job = NewJob(siteID: 1, laneID: lane, kind: "test", uniqueKey: "only")
      let ids = try await database.enqueue([job, job])
      #expect(ids[0] != nil && ids[1] == nil)
      #expect(try await database.enqueue([job]) == [nil])
      let node = ManualNode(database.configuration)
      try await node.promote()
      let claimed = try #require(try await node.claim().jobs.first)
      #expect(try await database.enqueue([job]) == [nil])
      try await node.settle([claimed.lease], .failed)
      let second = try #require(try await database.enqueue([job])[0])
      // The dead letter's key is taken, so it stays dead.
      let queue = database.queue([:])
      #expect(try await queue.retryDeadLetters([claimed.id]) == [])
      #expect(try await queue.cancelJob(second) == .dropped)
      #expect(try await queue.retryDeadLetters([claimed.id]) == [claimed.id])
      #expect(try await database.inconsistencies() == [])
    }
  }

  @Test func aRepeatedNumberIsPutInOnce() async throws {
    try await QueueDatabase.with { database in
      let lane = try await database.lane()
      let job = NewJob(id: 7, siteID: 1, laneID: lane, kind: "test")
      #expect(try await database.enqueue([job]) == [7])
      #expect(try await database.enqueue([job, NewJob(id: 8, siteID: 1, laneID: lane, kind: "test")]) == [nil, 8])
      #expect(try await database.inconsistencies() == [])
    }
  }

  @Test func aRolledBackEnqueueLeavesNothing() async throws {
    struct Refusal: Error {}
    try await QueueDatabase.with { database in
      let lane = try await database.lane()
      await #expect(throws: Refusal.self) {
        try await database.pool.transaction { transaction in
          try await transaction.execute(Enqueue.jobs([NewJob(siteID: 1, laneID: lane, kind: "test")]))
          throw Refusal()
        }
      }
      #expect(try await database.count("SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM due)") == 0)
    }
  }

  @Test func makesEachLaneOnce() async throws {
    try await QueueDatabase.with { database in
      let queue = database.queue([:])
      let lanes = (0..<5).map { LaneSpecification(kind: "test", key: "lane \($0)", siteID: 3) }
      let ids = try await withThrowingTaskGroup(of: [Int64].self) { group in
        for _ in 0..<8 { group.addTask { try await queue.ensureLanes(lanes) } }
        return try await group.reduce(into: Set<[Int64]>()) { $0.insert($1) }
      }
      #expect(ids.count == 1)
      #expect(ids.first?.count == 5)
    }
  }

  @Test func aRequestSeesItsOwnSiteOnly() async throws {
    try await QueueDatabase.with { database in
      for site in 1...2 {
        let lane = try await database.lane("lane \(site)", site: Int64(site))
        try await database.enqueue([NewJob(siteID: Int64(site), laneID: lane, kind: "test")])
      }
      let node = ManualNode(database.configuration)
      try await node.promote()
      let rows = try await database.pool.query("SELECT site_id, state FROM job_states", scope: .site(2))
      #expect(try rows.map { try $0.get("site_id", as: Int64.self) } == [2])
      #expect(try rows[0].get("state", as: String.self) == "ready")
      for table in ["queue_sites", "lanes", "jobs", "ready"] {
        let count = try await database.pool.query("SELECT count(*) FROM \(identifier: table)", scope: .site(2))
        #expect(try count[0].get(0, as: Int.self) == 1, "\(table)")
      }
      await #expect(throws: PostgresError.self) {
        try await database.pool.execute("DELETE FROM jobs", scope: .site(2))
      }
    }
  }

  // MARK: Extensions

  @Test func anExtensionBringsColumnsOfItsKind() async throws {
    try await QueueDatabase.with { database in
      try await database.pool.execute("CREATE TABLE notes (id bigint PRIMARY KEY, body text)")
      let lane = try await database.lane(limits: LaneLimits(cap: 5))
      let ids = try await database.enqueue(
        [
          NewJob(siteID: 1, laneID: lane, kind: "test", payload: JSONB(text: #"{"a": 1}"#)),
          NewJob(siteID: 1, laneID: lane, kind: "other"),
        ]
      ).compactMap(\.self)
      try await database.pool.execute("INSERT INTO notes SELECT x, 'note ' || x FROM unnest(\(ids)) x")
      let query: SQL = "SELECT n.body AS note_body FROM notes n WHERE n.id = d.job_id AND n.body <> \("unwanted")"
      let node = ManualNode(
        database.configuration,
        extensions: [
          ClaimExtension(kind: "test", query: query), ClaimExtension(kind: "none", query: "SELECT 1 AS one"),
        ]
      )
      try await node.promote()
      let jobs = try await node.claim().jobs.sorted { $0.id < $1.id }
      #expect(try jobs[0].row.get("note_body", as: String?.self) == "note \(ids[0])")
      #expect(try jobs[1].row.get("note_body", as: String?.self) == nil)
      #expect(jobs[0].payload == #"{"a": 1}"#)
      #expect(jobs[1].payload == nil)
      // A check brings them too.
      _ = try await node.start([jobs[0].lease])
      try await node.settle([jobs[0].lease], .unknown)
      let check = try #require(try await node.checks().first)
      #expect(try check.row.get("note_body", as: String.self) == "note \(ids[0])")
      #expect(check.isCheck && check.checks == 1 && check.calledAt != nil)
    }
  }

  @Test func anExtensionThatBringsSeveralRowsForAJobIsRefused() async throws {
    try await QueueDatabase.with { database in
      let lane = try await database.lane(limits: LaneLimits(cap: 5))
      try await database.enqueue([
        NewJob(siteID: 1, laneID: lane, kind: "test"), NewJob(siteID: 1, laneID: lane, kind: "test"),
      ])
      // The name of the claimed rows as a table: all of them, for each of them.
      let node = ManualNode(
        database.configuration,
        extensions: [ClaimExtension(kind: "test", query: "SELECT d.job_id AS own_id FROM d")]
      )
      try await node.promote()
      await #expect(throws: PostgresError.self) { try await node.claim() }
    }
  }
}
