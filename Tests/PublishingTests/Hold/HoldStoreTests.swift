import FoundationEssentials
import PluginManifest
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// Holds against a real database, with a real plugin and a real platform.
@Suite(.database) struct HoldStoreTests {
  private static let lookUp = #"""
    case $method in
      post/reconcile) get find find; case $reply in
        *'"found"'*) answer '{"verdict":"found","remoteId":"77","url":"https://a.example/77"}';;
        *) answer '{"verdict":"absent"}';; esac;;
      *) http post post '{"text":"a"}'; case $reply in *'"status":200'*) ok 1;; *) fail outcomeUnknown reconcile;; esac;;
    esac
    """#

  private func hold(_ fixture: PublishingFixture) async throws -> HoldStore {
    let store = HoldStore(pool: fixture.pool)
    try await store.begin(.behind, reason: "The test says so", home: "test", knownUntil: nil)
    return store
  }

  @Test func onHoldNothingLeavesAndLooksGoOn() async throws {
    try await PublishingFixture.run(Self.lookUp) { fixture in
      let id = try await fixture.dispatch()
      let store = try await hold(fixture)
      #expect(try await store.doubtful() == 1)
      try await fixture.drive(limit: 4)
      #expect(fixture.platform.count("POST /posts") == 0)
      #expect(fixture.platform.count("GET /posts") >= 1)
      #expect(try await !fixture.delivery(id).state.isEnd)
      #expect(try await store.end(as: .adopted, by: "Ada", user: fixture.user))
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(fixture.platform.count("POST /posts") == 1)
    }
  }

  @Test func whatIsOnThePlatformIsNotSentAgain() async throws {
    try await PublishingFixture.run(Self.lookUp) { fixture in
      let id = try await fixture.dispatch()
      let store = try await hold(fixture)
      fixture.platform.next("GET /posts", .ok(#"{"found":true}"#))
      try await fixture.drive(limit: 4)
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(try await fixture.delivery(id).remoteID == "77")
      #expect(try await store.doubtful() == 0)
      #expect(fixture.platform.count("POST /posts") == 0)
    }
  }

  @Test func adoptingDoubtsAgainWhatWasAbsentBefore() async throws {
    try await PublishingFixture.run(Self.lookUp) { fixture in
      let id = try await fixture.dispatch()
      let store = try await hold(fixture)
      try await fixture.drive(limit: 2)
      #expect(try await store.doubtful() == 0)
      #expect(try await store.end(as: .adopted, by: "Ada", user: nil))
      #expect(try await store.doubtful() == 1)
      // Another host published it between the look and the end of the hold.
      fixture.platform.next("GET /posts", .ok(#"{"found":true}"#))
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(fixture.platform.count("POST /posts") == 0)
    }
  }

  @Test func releasedPostsAreSentWithoutALook() async throws {
    try await PublishingFixture.run(Self.lookUp) { fixture in
      let id = try await fixture.dispatch()
      let store = try await hold(fixture)
      #expect(try await store.end(as: .released, by: "Ada", user: nil))
      #expect(try await !store.end(as: .released, by: "Ada", user: nil))
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(fixture.platform.count("POST /posts") == 1)
      #expect(fixture.platform.count("GET /posts") == 0)
      #expect(try await fixture.count("SELECT count(*) FROM audit_logs WHERE action = 'hold.released'") == 1)
    }
  }

  @Test func whatWasClaimedBeforeIsTakenAway() async throws {
    try await PublishingFixture.run(Self.lookUp) { fixture in
      _ = try await fixture.dispatch()
      let job = try #require(try await fixture.claim())
      let store = try await hold(fixture)
      #expect(try await store.end(as: .released, by: "Ada", user: nil))
      // The hold is over, but this attempt does not know what was found out meanwhile.
      let outcome = await fixture.assembly.handler.run(job)
      #expect(outcome.way == .refused)
      #expect(fixture.platform.count("POST /posts") == 0)
    }
  }

  @Test func aPlatformThatKnowsOurKeyNeedsNoLook() async throws {
    let keyed =
      #"http keyed post '{"text":"a"}'; case $reply in *'"status":200'*) ok 1;; *) fail platformDown after;; esac"#
    // Only the rule with a key publishes.
    let rules = #"""
      [{"rule": "keyed", "class": "commit", "idempotent": {"windowMs": 3600000, "slot": "header.idempotency-key"},
        "method": "POST", "origin": "https://api.example.com", "path": "/keyed", "calls": ["post/publish"],
        "body": "json", "remoteId": "/id", "maxBody": 65536, "timeoutMs": 20000}]
      """#
    try await PublishingFixture.run(keyed, manifest: ProbeManifest.text(egress: rules, absence: "never")) { fixture in
      let id = try await fixture.dispatch()
      let store = try await hold(fixture)
      #expect(try await store.end(as: .adopted, by: "Ada", user: nil))
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(fixture.platform.count("POST /keyed") == 1)
    }
  }

  @Test func aReadyJobInDoubtLeavesItsLaneForALook() async throws {
    try await PublishingFixture.run(Self.lookUp) { fixture in
      for text in ["one", "two"] { _ = try await fixture.dispatch(text) }
      try await fixture.promote()
      let store = try await hold(fixture)
      try await store.look(fixture.queue)
      #expect(try await fixture.count("SELECT count(*) FROM ready") == 0)
      #expect(try await fixture.count("SELECT count(*) FROM leases WHERE phase = 3 AND check_at IS NOT NULL") == 2)
      #expect(try await fixture.count("SELECT inflight::int FROM lanes WHERE pending = 0") == 2)
      #expect(try await store.end(as: .adopted, by: "Ada", user: nil))
      try await fixture.drive()
      #expect(fixture.platform.count("POST /posts") == 2)
      #expect(try await fixture.count("SELECT inflight + pending FROM lanes") == 0)
    }
  }

  /// While the server is replaced hosts claim and put off; what they lost may be of just these deliveries.
  @Test func whatWasPutOffIsInDoubtAlthoughItWaits() async throws {
    try await PublishingFixture.run(Self.lookUp) { fixture in
      let id = try await fixture.dispatch()
      let job = try #require(try await fixture.claim())
      try await fixture.settle(job, .snoozed(for: .seconds(60)))
      try await fixture.pool.execute("UPDATE due SET due_at = clock_timestamp() + interval '1 minute'")
      let later = try await fixture.dispatch("later", scheduledFor: Date(timeIntervalSinceNow: 3_600))
      #expect(try await fixture.count("SELECT count(*) FROM due WHERE due_at > clock_timestamp()") == 2)
      _ = try await hold(fixture)
      let doubted = try await fixture.count(
        "SELECT coalesce(sum(delivery_id), 0)::bigint FROM delivery_effects WHERE started_at < clock_timestamp()"
      )
      #expect(doubted == Int(id))
      #expect(try await fixture.delivery(later).state == .pending)
    }
  }

  // MARK: The gate

  @Test func onlyTheExaminedServerMaySend() async throws {
    try await PublishingFixture.run { fixture in
      _ = try await fixture.dispatch()
      let job = try #require(try await fixture.claim())
      let facts = try DatabaseFacts(row: try await fixture.pool.query(DatabaseFacts.statement)[0])
      let record = EffectRecord(
        key: EffectKey(run: 1, step: "post", attempt: 1),
        rule: "post",
        effectClass: .commit,
        digest: "d1:a",
        startedAt: Date()
      )
      var operation = StartEffect(lease: job.lease, site: job.siteID, record: record, nonce: UUID())
      for other in [0, facts.startedAt - 1] {
        operation.server = other
        #expect(try await !fixture.effects.submit(operation))
        let refusal = try await fixture.store.refusal(of: job.id, fence: job.lease.fence, server: other)
        #expect(refusal == .held)
      }
      operation.server = facts.startedAt
      let store = try await hold(fixture)
      #expect(try await !fixture.effects.submit(operation))
      #expect(try await store.end(as: .released, by: "Ada", user: nil))
      try await fixture.pool.execute(
        "UPDATE leases SET fence = \(job.lease.fence), check_at = NULL, phase = 1 WHERE job_id = \(job.id)"
      )
      #expect(try await fixture.effects.submit(operation))
    }
  }

  @Test func theFactsAreThoseOfTheServer() async throws {
    try await PublishingFixture.run { fixture in
      let before = try DatabaseFacts(row: try await fixture.pool.query(DatabaseFacts.statement)[0])
      #expect(before.record == nil)
      #expect(!before.isInRecovery)
      #expect(before.timeline == 1)
      try await fixture.pool.execute(HoldStore.record)
      let after = try DatabaseFacts(row: try await fixture.pool.query(DatabaseFacts.statement)[0])
      #expect(after.record == DatabaseFacts.Record(identity: before.identity, timeline: 1))
      #expect(after.flushed >= before.flushed)
      #expect(HoldDecision(mark: nil, facts: after, isStart: true) == .proceed)
      // A restored dump makes its tables anew.
      try await fixture.pool.execute("CREATE TABLE copy (LIKE installation INCLUDING ALL)")
      try await fixture.pool.execute("INSERT INTO copy SELECT * FROM installation")
      try await fixture.pool.execute("DROP TABLE installation")
      try await fixture.pool.execute("ALTER TABLE copy RENAME TO installation")
      let restored = try DatabaseFacts(row: try await fixture.pool.query(DatabaseFacts.statement)[0])
      guard case .hold(.copied, _) = HoldDecision(mark: nil, facts: restored, isStart: true) else {
        Issue.record("A copy may send")
        return
      }
    }
  }
}
