import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue

/// One site's backlog and the other sites' single jobs.
@Suite(.database, .timeLimit(.minutes(10))) struct FairnessTests {
  private static let sites = 60
  private static let backlog = 2_000

  /// However the quantum grew while the large site was alone, newcomers get their turn within a few claims.
  @Test(arguments: [4, 64])
  func newcomersPassALargeBacklog(slots: Int) async throws {
    try await QueueDatabase.with { database in
      var lanes: [Int64] = []
      for number in 0..<100 { lanes.append(try await database.lane("big \(number)", limits: LaneLimits(cap: 50))) }
      try await database.enqueue(
        (0..<Self.backlog).map { NewJob(siteID: 1, laneID: lanes[$0 % lanes.count], kind: "test") }
      )
      let node = ManualNode(database.configuration)
      try await node.promote()
      var ledger = ClaimLedger(slots: slots)
      for _ in 0..<8 { _ = try await round(node, &ledger) }

      for site in 2...Self.sites {
        let lane = try await database.lane("small \(site)", site: Int64(site))
        try await database.enqueue([NewJob(siteID: Int64(site), laneID: lane, kind: "test")])
      }
      try await node.promote()
      var started: Set<Int64> = []
      var ofTheLarge = 0
      var rounds = 0
      while started.count < Self.sites - 1, rounds < 500 {
        let sites = try await round(node, &ledger)
        ofTheLarge += sites.count { $0 == 1 }
        started.formUnion(sites.filter { $0 != 1 })
        rounds += 1
      }
      #expect(started == Set((2...Self.sites).map(Int64.init)))
      // Their fair share of this time is one job; what a claim holds is the grain of fairness.
      #expect(ofTheLarge <= 3 * (slots + slots / 2), "\(ofTheLarge) jobs of the large site went first")
    }
  }

  /// One site with ten thousand jobs that wait, and another one with a single job: that one goes in its very turn.
  @Test func oneJobPassesTenThousand() async throws {
    try await QueueDatabase.with { database in
      var lanes: [Int64] = []
      for number in 0..<50 { lanes.append(try await database.lane("big \(number)", limits: LaneLimits(cap: 50))) }
      try await database.enqueue((0..<10_000).map { NewJob(siteID: 1, laneID: lanes[$0 % lanes.count], kind: "test") })
      let node = ManualNode(database.configuration)
      try await node.promote()
      var ledger = ClaimLedger(slots: 64)
      for _ in 0..<8 { _ = try await round(node, &ledger) }
      let lane = try await database.lane("small", site: 2)
      try await database.enqueue([NewJob(siteID: 2, laneID: lane, kind: "test")])
      try await node.promote()
      var rounds = 0
      while try await !round(node, &ledger).contains(2), rounds < 100 { rounds += 1 }
      #expect(rounds <= 1, "it waited for \(rounds) claims")
      #expect(try await database.count("SELECT count(*) FROM ready WHERE site_id = 1") > 8_000)
    }
  }

  /// What came due behind a site's backlog is not promoted behind all of it, and the backlog keeps its order.
  @Test func promotionsLookAtEachSite() async throws {
    try await QueueDatabase.with { database in
      let (big, small) = (try await database.lane("big"), try await database.lane("small", site: 2))
      let start = Date().addingTimeInterval(-3_600)
      try await database.enqueue(
        (0..<300).map { NewJob(siteID: 1, laneID: big, kind: "test", dueAt: start.addingTimeInterval(Double($0))) }
      )
      try await database.enqueue([NewJob(siteID: 2, laneID: small, kind: "test")])
      let node = ManualNode(database.configuration)
      var turn = PromotionTurn.oldest
      var promotions = 0
      var ofSmall = 0
      while try await database.count("SELECT count(*) FROM due") > 0, promotions < 20 {
        let answer = try await node.promote(limit: 50, turn: turn)
        turn = turn.next(isFull: answer.moved >= 50)
        promotions += 1
        let (behind, newest): (Int, Int) = (
          try await database.count("SELECT count(*) FROM ready WHERE site_id = 2"),
          try await database.count(
            """
            SELECT count(*) FROM ready r WHERE r.site_id = 1
              AND r.due_at > (SELECT min(d.due_at) FROM due d WHERE d.site_id = 1)
            """
          )
        )
        if ofSmall == 0, behind == 1 { ofSmall = promotions }
        #expect(newest == 0, "a job is ready before an older one of its lane")
      }
      #expect(ofSmall == 2)
      #expect(promotions < 20)
      #expect(turn == .oldest)
    }
  }

  /// Two sites with endless work share the claims by their weights, whatever the number of their lanes.
  @Test func weightsDecideNotTheNumberOfLanes() async throws {
    try await QueueDatabase.with { database in
      for (site, count) in [(1, 60), (2, 12)] {
        for number in 0..<count {
          let lane = try await database.lane("\(site) \(number)", site: Int64(site), limits: LaneLimits(cap: 20))
          try await database.enqueue(
            (0..<(1_200 / count)).map { _ in NewJob(siteID: Int64(site), laneID: lane, kind: "test") }
          )
        }
      }
      let node = ManualNode(database.configuration)
      try await node.promote()
      var ledger = ClaimLedger(slots: 16)
      var counts: [Int64: Int] = [:]
      for _ in 0..<40 {
        for site in try await round(node, &ledger) { counts[site, default: 0] += 1 }
      }
      let (large, small) = (try #require(counts[1]), try #require(counts[2]))
      #expect(Double(large) <= 2 * Double(small) && Double(small) <= 2 * Double(large), "\(large) and \(small)")
    }
  }

  /// One claim whose jobs end at once; answers with the site of each.
  private func round(_ node: ManualNode, _ ledger: inout ClaimLedger) async throws -> [Int64] {
    let request = try #require(ledger.request)
    let answer = try await node.claim(request.count, quantum: request.quantum, afterSite: request.afterSite)
    _ = ledger.learned(
      request,
      jobs: answer.jobs.count,
      lanes: answer.lanes,
      sites: answer.sites,
      lastSite: answer.lastSite
    )
    try await node.settle(answer.jobs.map(\.lease), .finished)
    return answer.jobs.map(\.siteID)
  }
}
