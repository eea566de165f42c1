import Egress
import FoundationEssentials
import PluginManifest
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// Limits from the manifest and from operators to the lanes, and from answers to people.
@Suite(.database) struct LimitServiceTests {
  private static let manifest = ProbeManifest.text(
    rateLimits: """
      [{"rules": ["post"], "perAccount": {"count": 10, "windowMs": 60000},
        "perSite": {"count": 20, "windowMs": 60000}, "perApp": {"count": 40, "windowMs": 60000}}]
      """
  )

  private func sizes(_ fixture: PublishingFixture) async throws -> [LimitScope: Int64] {
    let quotas = try await fixture.pool.transaction(scope: .site(fixture.site)) { tx in
      try await LimitStore().quotas(connection: fixture.connection, in: tx)
    }
    return Dictionary(quotas.map { ($0.scope, $0.limit ?? 0) }) { first, _ in first }
  }

  private func expectSizes(_ wanted: [LimitScope: Int64], _ fixture: PublishingFixture) async throws {
    let found = try await sizes(fixture)
    #expect(found == wanted)
  }

  @Test func lanesFollowManifestAndOperator() async throws {
    try await PublishingFixture.run("ok 1", manifest: Self.manifest) { fixture in
      let lanes = fixture.assembly.lanes
      try await expectSizes([:], fixture)
      // As after an upgrade from a host that knew no pools.
      try await lanes.refresh()
      try await expectSizes([.perAccount: 5, .perSite: 10, .perApp: 20], fixture)
      try await lanes.set(
        .count(4, per: .seconds(60)),
        scope: .perAccount,
        platform: "probe",
        connection: fixture.connection
      )
      try await lanes.set(.unlimited, scope: .perSite, platform: "probe")
      try await expectSizes([.perAccount: 2, .perApp: 20], fixture)
      try await lanes.set(nil, scope: .perAccount, platform: "probe", connection: fixture.connection)
      try await lanes.set(.unlimited, scope: .perAccount, platform: "probe")
      try await expectSizes([.perApp: 20], fixture)
      // What another program wrote is noticed; what nobody changed is not written again.
      try await LimitService.store(nil, scope: .perAccount, platform: "probe", in: fixture.pool)
      try await lanes.refresh()
      #expect(try await sizes(fixture)[.perAccount] == 5)
      let before = try await fixture.pool.query("SELECT xmin::text AS x FROM lanes WHERE lane_id = \(fixture.lane)")
      try await lanes.apply(platform: nil)
      let after = try await fixture.pool.query("SELECT xmin::text AS x FROM lanes WHERE lane_id = \(fixture.lane)")
      #expect(try before[0].get("x", as: String.self) == after[0].get("x", as: String.self))
    }
  }

  @Test func fourFifthsAreAWarningOnceAWindow() async throws {
    try await PublishingFixture.run("ok 1") { fixture in
      let recorder = LimitRecorder()
      let reset = Date().addingTimeInterval(600)
      func note(_ remaining: Int64, _ resetAt: Date) async throws {
        let reading = RateLimitSnapshot.Reading(limit: 100, remaining: remaining, resetAt: resetAt)
        recorder.note(
          RateLimitSnapshot([reading]),
          site: fixture.site,
          connection: fixture.connection,
          platform: "probe",
          rule: "post"
        )
        try await recorder.flush(fixture.pool)
      }
      func warnings() async throws -> Int {
        try await fixture.pool.query("SELECT FROM outbox WHERE kind = 'connection.quota'").count
      }
      try await note(21, reset)
      #expect(try await warnings() == 0)
      try await note(20, reset)
      try await note(19, reset.addingTimeInterval(0.4))
      #expect(try await warnings() == 1)
      let quotas = try await fixture.pool.transaction(scope: .site(fixture.site)) { tx in
        try await LimitStore().quotas(connection: fixture.connection, in: tx)
      }
      #expect(quotas.map(\.source) == [.headers])
      #expect(quotas[0].remaining == 19 && quotas[0].isLow)
      // The window ended: all is there again, and the next one is warned of again.
      try await fixture.pool.execute(
        "UPDATE rate_limit_tracking SET resets_at = now() - interval '1 s', warned_for = now() - interval '1 s'"
      )
      let later = try await fixture.pool.transaction(scope: .site(fixture.site)) { tx in
        try await LimitStore().quotas(connection: fixture.connection, in: tx)
      }
      #expect(later[0].remaining == 100 && later[0].resetsAt == nil && !later[0].isLow)
      try await note(3, reset.addingTimeInterval(900))
      #expect(try await warnings() == 2)
    }
  }

  @Test func theHostsOwnCountWarnsToo() async throws {
    try await PublishingFixture.run("ok 1", manifest: Self.manifest) { fixture in
      try await fixture.assembly.lanes.refresh()
      let recorder = LimitRecorder()
      for used in [3, 4, 5] {
        try await fixture.pool.execute(
          "UPDATE lanes SET tat = clock_timestamp() + \(Double(used)) * rate_interval WHERE lane_id = \(fixture.lane)"
        )
        recorder.noteUse(connection: fixture.connection)
        try await recorder.flush(fixture.pool)
      }
      let rows = try await fixture.pool.query(
        "SELECT data->>'source' AS source FROM outbox WHERE kind = 'connection.quota'"
      )
      #expect(try rows.map { try $0.get("source", as: String.self) } == ["ownCount"])
    }
  }

  /// The platform's answer to one post keeps the next one back, with the reason for people to see.
  @Test func whatAnAnswerSaysKeepsTheNextPostBack() async throws {
    let script =
      #"http post post '{"text":"a"}'; case $reply in *'"status":200'*) ok 1;; *) fail rateLimited after;; esac"#
    try await PublishingFixture.run(script) { fixture in
      fixture.platform.next("POST /posts", .refused(429, headers: ["retry-after": "77"]))
      _ = try await fixture.dispatch()
      let job = try #require(try await fixture.claim())
      let outcome = await fixture.assembly.handler.run(job)
      // The plugin passed no time on; the platform's own word counts.
      #expect(outcome.laneBlock == .seconds(77))
      #expect(outcome.blockReason == .rateLimited)
      #expect(outcome.way == .snoozed(.seconds(77)))
    }
  }
}
