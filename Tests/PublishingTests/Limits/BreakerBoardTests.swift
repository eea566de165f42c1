import FoundationEssentials
import Logging
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// Breakers in the database, where all hosts see them.
@Suite(.database) struct BreakerBoardTests {
  private static let failing = ServerSign.failing("it answered 503")

  private func subject(
    _ fixture: PublishingFixture,
    connection: Int64? = nil,
    lane: Int64? = nil,
    open: Bool = false
  )
    -> BreakerBoard.Subject
  {
    BreakerBoard.Subject(
      platform: "probe",
      connectionID: connection ?? fixture.connection,
      siteID: fixture.site,
      laneID: lane ?? fixture.lane,
      sharesServer: true,
      connectionIsBroken: open,
      platformIsBroken: open
    )
  }

  private func board(_ fixture: PublishingFixture) -> BreakerBoard {
    BreakerBoard(pool: fixture.pool, logger: .current)
  }

  private func events(_ fixture: PublishingFixture) async throws -> [String] {
    try await fixture.pool.query("SELECT kind FROM outbox WHERE kind LIKE 'breaker.%' ORDER BY id").map {
      try $0.get("kind")
    }
  }

  private func trips(_ fixture: PublishingFixture) async throws -> [Int32] {
    try await fixture.pool.query("SELECT trips FROM breakers ORDER BY connection_id").map { try $0.get("trips") }
  }

  @Test func anAccountThatFailsAgainAndAgainStandsStill() async throws {
    try await PublishingFixture.run("ok 1") { fixture in
      let (one, other) = (board(fixture), board(fixture))
      for _ in 0..<4 { try await one.note([Self.failing], of: subject(fixture)) }
      #expect(try await trips(fixture).isEmpty)
      try await one.note([Self.failing], of: subject(fixture))
      #expect(try await trips(fixture) == [1])
      let lane = try await fixture.pool.query(
        "SELECT block_reason, blocked_until > now() + interval '20 s' AS blocked FROM lanes WHERE lane_id = \(fixture.lane)"
      )
      #expect(try lane[0].get("block_reason", as: String.self) == "breaker")
      #expect(try lane[0].get("blocked", as: Bool.self))
      // While it is open neither a late failure nor a late answer changes it, on whichever host.
      try await other.note([Self.failing], of: subject(fixture, open: true))
      try await other.note([.alive], of: subject(fixture, open: true))
      #expect(try await trips(fixture) == [1])
      // The probe on another host fails, then one on the first host is answered.
      try await fixture.pool.execute("UPDATE breakers SET open_until = clock_timestamp()")
      try await other.note([Self.failing], of: subject(fixture, open: true))
      #expect(try await trips(fixture) == [2])
      try await fixture.pool.execute("UPDATE breakers SET open_until = clock_timestamp()")
      try await one.note([Self.failing, .alive], of: subject(fixture, open: true))
      #expect(try await trips(fixture).isEmpty)
      #expect(try await events(fixture) == ["breaker.opened", "breaker.closed"])
    }
  }

  @Test func aPlatformThatFailsForManyGivesOutProbes() async throws {
    try await PublishingFixture.run("ok 1") { fixture in
      var accounts = [(fixture.connection, fixture.lane)]
      for name in ["b", "c", "d"] {
        accounts.append(
          try await PublishingFixture.connect(fixture.pool, vault: fixture.vault, site: fixture.site, account: name)
        )
      }
      try await fixture.assembly.lanes.apply(platform: nil)
      let board = board(fixture)
      for number in 0..<20 {
        // An answer between keeps the accounts' own breakers closed.
        let account = accounts[number % 4]
        try await board.note(
          number < 12 ? [Self.failing] : [Self.failing, .failing("reset")],
          of: subject(fixture, connection: account.0, lane: account.1)
        )
      }
      let rows = try await fixture.pool.query("SELECT connection_id FROM breakers WHERE connection_id = 0")
      #expect(rows.count == 1)
      let pool = try await fixture.pool.query(
        """
        SELECT pool_id, block_reason, probe_for IS NOT NULL AS probes, blocked_until > clock_timestamp() AS blocked
        FROM lane_pools WHERE site_id = 0
        """
      )
      #expect(try pool[0].get("block_reason", as: String.self) == "breaker")
      #expect(try pool[0].get("probes", as: Bool.self) && pool[0].get("blocked", as: Bool.self))
      let holds = try await fixture.pool.transaction(scope: .site(fixture.site)) { tx in
        try await LimitStore().holds(connection: fixture.connection, in: tx)
      }
      #expect(holds.contains { $0.extent == .platform && $0.reason == "breaker" })
      try await fixture.pool.execute("UPDATE breakers SET open_until = clock_timestamp()")
      try await board.note([.alive], of: subject(fixture, open: true))
      let after = try await fixture.pool.query(
        "SELECT probe_for IS NULL AND blocked_until = '-infinity' AS free FROM lane_pools WHERE site_id = 0"
      )
      #expect(try after[0].get("free", as: Bool.self))
      let kinds = try await fixture.pool.query(
        "SELECT kind FROM outbox WHERE kind LIKE 'breaker.%' AND data->>'scope' = 'platform' ORDER BY id"
      )
      #expect(try kinds.map { try $0.get("kind", as: String.self) } == ["breaker.opened", "breaker.closed"])
    }
  }

  @Test func aServerOfItsOwnSaysNothingAboutOthers() async throws {
    try await PublishingFixture.run("ok 1") { fixture in
      let board = board(fixture)
      for number in 0..<60 {
        var subject = subject(fixture, connection: fixture.connection + Int64(number % 12))
        subject.sharesServer = false
        try await board.note([Self.failing], of: subject)
      }
      #expect(try await fixture.pool.query("SELECT FROM breakers WHERE connection_id = 0").isEmpty)
    }
  }

  @Test func whatStaysOpenIsReportedOnce() async throws {
    try await PublishingFixture.run("ok 1") { fixture in
      let board = board(fixture)
      for _ in 0..<5 { try await board.note([Self.failing], of: subject(fixture)) }
      try await board.reportLong()
      #expect(try await events(fixture) == ["breaker.opened"])
      try await fixture.pool.execute("UPDATE breakers SET opened_at = clock_timestamp() - interval '901 s'")
      try await board.reportLong()
      try await board.reportLong()
      #expect(try await events(fixture) == ["breaker.opened", "breaker.stuck"])
      let data = try await fixture.pool.query(
        "SELECT site_id, data->>'connectionId' AS id, data->>'error' AS why FROM outbox WHERE kind = 'breaker.stuck'"
      )
      #expect(try data[0].get("site_id", as: Int64.self) == fixture.site)
      #expect(try data[0].get("id", as: String.self) == "\(fixture.connection)")
      #expect(try data[0].get("why", as: String.self) == "it answered 503")
    }
  }

  /// From the answer to the block, through a real attempt: five answers of 500 in a row, and never by a refusal.
  @Test(arguments: [(503, true), (403, false)])
  func onlyTheServersOwnFailuresCount(status: Int, opens: Bool) async throws {
    try await PublishingFixture.run("get find find; fail platformDown after") { fixture in
      for number in 0..<6 {
        fixture.platform.next("GET /posts", .refused(status))
        _ = try await fixture.dispatch("post \(number)")
      }
      try await fixture.drive(limit: 6)
      #expect(try await trips(fixture) == (opens ? [1] : []))
    }
  }
}
