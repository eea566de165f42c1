import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue

/// Limits that lanes share: pools inside pools, blocks with reasons, and probes.
@Suite(.database, .timeLimit(.minutes(10))) struct PoolTests {
  private static let rate = RateLimit(interval: .seconds(100), burst: .seconds(200))

  private func pool(
    _ database: QueueDatabase,
    _ key: String,
    site: Int64 = 1,
    rate: RateLimit? = nil,
    inside parent: Int64? = nil
  ) async throws -> Int64 {
    let statement = LaneStatements.ensurePool(siteID: site, key: key, rate: rate, parentID: parent)
    return try await database.pool.query(statement)[0].get("pool_id")
  }

  private func fill(_ database: QueueDatabase, _ name: String, site: Int64 = 1, lanes: Int, pool: Int64) async throws {
    for number in 0..<lanes {
      let lane = try await database.lane("\(name) \(number)", site: site, pool: pool)
      try await database.enqueue([NewJob(siteID: site, laneID: lane, kind: "test")])
    }
  }

  @Test func anOuterPoolBindsTheLanesOfAllSites() async throws {
    try await QueueDatabase.with { database in
      let outer = try await pool(database, "all", site: 0, rate: Self.rate)
      for site in 1...4 {
        let inner = try await pool(database, "all", site: Int64(site), inside: outer)
        try await fill(database, "site \(site)", site: Int64(site), lanes: 3, pool: inner)
      }
      let node = ManualNode(database.configuration)
      try await node.promote()
      let jobs = try await node.claim(100, quantum: 1).jobs
      // Three at once, each of another site.
      #expect(jobs.count == 3)
      #expect(Set(jobs.map(\.siteID)).count == 3)
      let again = try await node.claim()
      #expect(again.jobs.isEmpty && !again.isContended)
      let wait = try #require(again.nextSlot)
      #expect(wait > .seconds(90) && wait <= .seconds(100))
      // They wait one behind the other, and are not looked at before.
      #expect(try await node.claim().lanes == 0)
      let spread = try await database.count(
        "SELECT count(DISTINCT runnable_at) FROM lanes WHERE runnable_at < 'infinity'"
      )
      #expect(spread > 1)
      #expect(try await database.inconsistencies() == [])
    }
  }

  @Test func anInnerPoolLeavesTheOthersTheirShare() async throws {
    try await QueueDatabase.with { database in
      let outer = try await pool(
        database,
        "all",
        site: 0,
        rate: RateLimit(interval: .seconds(100), burst: .seconds(900))
      )
      let narrow = try await pool(database, "all", site: 1, rate: Self.rate, inside: outer)
      let wide = try await pool(database, "all", site: 2, inside: outer)
      try await fill(database, "narrow", site: 1, lanes: 8, pool: narrow)
      try await fill(database, "wide", site: 2, lanes: 20, pool: wide)
      let node = ManualNode(database.configuration)
      try await node.promote()
      var jobs: [ClaimedJob] = []
      for _ in 0..<4 { jobs += try await node.claim().jobs }
      #expect(jobs.count { $0.siteID == 1 } == 3)
      #expect(jobs.count { $0.siteID == 2 } == 7)
    }
  }

  @Test func aTurnThatWasNotUsedGoesBackToEveryPool() async throws {
    try await QueueDatabase.with { database in
      let outer = try await pool(database, "all", site: 0, rate: RateLimit(interval: .seconds(100)))
      let inner = try await pool(database, "all", rate: RateLimit(interval: .seconds(100)), inside: outer)
      try await fill(database, "lane", lanes: 2, pool: inner)
      let node = ManualNode(database.configuration)
      try await node.promote()
      let first = try await node.claim().jobs
      #expect(first.count == 1)
      try await node.settle(first.map(\.lease), .snoozed, delay: .seconds(1_000))
      try await database.pool.execute(LaneStatements.wakeLanes(of: outer))
      let second = try await node.claim().jobs
      #expect(second.count == 1)
      // A job that made more requests than one pays for them.
      var end = SettleOperation(lease: second[0].lease, way: .finished, hooks: ClosingHooks())
      end.extraTurns = 4
      _ = try await node.session.query(SettleOperation.statement(for: [end]))
      let debts = try await database.pool.query(
        "SELECT extract(epoch FROM tat - clock_timestamp())::float8 AS debt FROM lane_pools"
      )
      for row in debts {
        let debt: Double = try row.get("debt")
        #expect(debt > 490 && debt <= 500)
      }
    }
  }

  @Test func aBlockedPoolKeepsItsLanesStillAndSaysWhy() async throws {
    try await QueueDatabase.with { database in
      let outer = try await pool(database, "all", site: 0)
      let inner = try await pool(database, "all", inside: outer)
      try await fill(database, "lane", lanes: 3, pool: inner)
      let node = ManualNode(database.configuration)
      try await node.promote()
      try await database.pool.execute(LaneStatements.blockPool(outer, for: .seconds(500), .rateLimited))
      try await database.pool.execute(LaneStatements.blockPool(outer, for: .seconds(5), .breaker))
      let answer = try await node.claim()
      #expect(answer.jobs.isEmpty)
      #expect(try #require(answer.nextSlot) > .seconds(490))
      #expect(try await node.claim().lanes == 0)
      // A shorter block changes nothing, not even the reason.
      let reason = try await database.pool.query("SELECT block_reason FROM lane_pools WHERE pool_id = \(outer)")
      #expect(try reason[0].get("block_reason", as: String.self) == "rateLimited")
    }
  }

  /// Over any number of nodes: one probe, and after it either the next one or all.
  @Test func aProbingPoolGivesOutOneJobAtATime() async throws {
    try await QueueDatabase.with { database in
      let outer = try await pool(database, "all", site: 0)
      let inner = try await pool(database, "all", inside: outer)
      try await fill(database, "lane", lanes: 5, pool: inner)
      let nodes = [ManualNode(database.configuration), ManualNode(database.configuration)]
      try await nodes[0].promote()
      let block = LaneStatements.blockPool(outer, for: .zero, .breaker, probing: .seconds(300))
      try await database.pool.execute(block)
      let probe = try await nodes[0].claim().jobs
      #expect(probe.count == 1)
      #expect(try await nodes[1].claim().jobs.isEmpty)
      #expect(try await nodes[0].claim().jobs.isEmpty)
      // The probe's host died: after the time another one goes.
      try await database.pool.execute("UPDATE lane_pools SET blocked_until = clock_timestamp()")
      try await database.pool.execute(LaneStatements.wakeLanes(of: outer))
      #expect(try await nodes[1].claim().jobs.count == 1)
      #expect(try await nodes[1].claim().jobs.isEmpty)
      try await database.pool.execute(LaneStatements.open(pool: outer))
      try await database.pool.execute(LaneStatements.wakeLanes(of: outer))
      #expect(try await nodes[1].claim().jobs.count == 3)
      #expect(try await database.inconsistencies() == [])
    }
  }

  @Test func aPoolThatAnotherClaimHoldsIsPassedOver() async throws {
    try await QueueDatabase.with { database in
      let held = try await pool(database, "held", rate: Self.rate)
      try await fill(database, "lane", lanes: 2, pool: held)
      let free = try await database.lane("free")
      try await database.enqueue([NewJob(siteID: 1, laneID: free, kind: "test")])
      let node = ManualNode(database.configuration)
      try await node.promote()
      let other = Session(database.configuration)
      try await other.transaction { transaction in
        _ = try await transaction.query("SELECT FROM lane_pools FOR NO KEY UPDATE")
        let answer = try await node.claim()
        #expect(answer.jobs.map(\.laneID) == [free])
        #expect(answer.isContended)
      }
      #expect(try await node.claim().jobs.count == 2)
      await other.close()
    }
  }

  @Test func changingALaneWritesOnlyWhatDiffers() async throws {
    try await QueueDatabase.with { database in
      let lanes = [try await database.lane("a"), try await database.lane("b")]
      let limits = LaneLimits(cap: 1, rate: Self.rate)
      let changes = lanes.map { LaneStatements.Change(laneID: $0, limits: limits, poolID: nil) }
      #expect(try await database.pool.query(LaneStatements.configure(changes)).count == 2)
      #expect(try await database.pool.query(LaneStatements.configure(changes)).isEmpty)
    }
  }

  /// A block that a handler asks for stands with its reason, and a shorter one does not cut it short.
  @Test func aHandlersBlockStandsWithItsReason() async throws {
    try await QueueDatabase.with { database in
      let lane = try await database.lane()
      try await database.enqueue((0..<2).map { _ in NewJob(siteID: 1, laneID: lane, kind: "test") })
      let node = ManualNode(database.configuration)
      try await node.promote()
      let job = try #require(try await node.claim().jobs.first)
      var end = SettleOperation(lease: job.lease, way: .finished, hooks: ClosingHooks())
      end.laneBlock = .seconds(400)
      end.blockReason = .pacing
      _ = try await node.session.query(SettleOperation.statement(for: [end]))
      try await database.pool.execute(LaneStatements.block(lane, for: .seconds(4), .breaker))
      let rows = try await database.pool.query("SELECT block_reason FROM lanes")
      #expect(try rows[0].get("block_reason", as: String.self) == "pacing")
      #expect(try await node.claim().jobs.isEmpty)
    }
  }

  @Test func theLongerOfTwoBlocksOfAnOutcomeCounts() {
    let outcome = JobOutcome.finished().blockingLane(for: .seconds(5), .rateLimited).blockingLane(
      for: .seconds(2),
      .pacing
    )
    #expect(outcome.laneBlock == .seconds(5))
    #expect(outcome.blockReason == .rateLimited)
    #expect(outcome.blockingLane(for: .seconds(9), .breaker).blockReason == .breaker)
  }
}
