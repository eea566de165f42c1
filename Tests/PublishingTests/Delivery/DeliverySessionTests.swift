import Audit
import FoundationEssentials
import PluginManifest
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// Attempts from the claim to the queue's next move, with a real plugin and a real platform.
@Suite(.database) struct DeliverySessionTests {
  private static let lookUp = #"""
    case $method in
      post/reconcile) get find find; case $reply in
        *'"found"'*) answer '{"verdict":"found","remoteId":"77","url":"https://a.example/77"}';;
        *) answer '{"verdict":"absent"}';; esac;;
      *) http post post '{"text":"a"}'; case $reply in *'"status":200'*) ok 1;; *) fail outcomeUnknown reconcile;; esac;;
    esac
    """#

  // MARK: Unknown outcomes

  @Test func whatIsFoundIsSent() async throws {
    try await PublishingFixture.run(Self.lookUp) { fixture in
      fixture.platform.next("POST /posts", .unknown)
      fixture.platform.next("GET /posts", .ok(#"{"found":true}"#))
      let id = try await fixture.dispatch()
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(delivery.remoteID == "77")
      #expect(delivery.url == "https://a.example/77")
      #expect(fixture.platform.count("POST /posts") == 1)
      #expect(try await fixture.store.records(of: id).first { $0.effectClass == .commit }?.closedBy == "reconcile")
    }
  }

  @Test func whatIsCertainlyAbsentIsSentAgain() async throws {
    try await PublishingFixture.run(Self.lookUp) { fixture in
      fixture.platform.next("POST /posts", .unknown)
      let id = try await fixture.dispatch()
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(fixture.platform.count("POST /posts") == 2)
      #expect(fixture.platform.count("GET /posts") >= 1)
    }
  }

  @Test func aPlatformThatNeverAnswersClearlyEndsIt() async throws {
    try await PublishingFixture.run(Self.lookUp) { fixture in
      for _ in 0..<50 { fixture.platform.next("POST /posts", .unknown) }
      let id = try await fixture.dispatch()
      let ways = try await fixture.drive(limit: 60)
      #expect(try await fixture.delivery(id).state == .failed, "\(ways)")
      #expect(fixture.platform.count("POST /posts") <= 6)
    }
  }

  @Test func withoutProofAPersonIsAsked() async throws {
    let manifest = ProbeManifest.text(absence: "never")
    try await PublishingFixture.run(Self.lookUp, manifest: manifest) { fixture in
      fixture.platform.next("POST /posts", .unknown)
      let id = try await fixture.dispatch()
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .unconfirmed)
      #expect(fixture.platform.count("POST /posts") == 1)
    }
  }

  @Test func aFoundPostOfAnotherDeliveryIsNotTaken() async throws {
    try await PublishingFixture.run(Self.lookUp) { fixture in
      for _ in 0..<2 { fixture.platform.next("POST /posts", .unknown) }
      for _ in 0..<30 { fixture.platform.next("GET /posts", .ok(#"{"found":true}"#)) }
      let first = try await fixture.dispatch("one")
      try await fixture.drive()
      let second = try await fixture.dispatch("two")
      try await fixture.drive(limit: 30)
      #expect(try await fixture.delivery(first).state == .sent)
      #expect(try await fixture.delivery(second).state == .unconfirmed)
    }
  }

  @Test func aHostThatDiedWithACommitOnItsWayLooksFirst() async throws {
    try await PublishingFixture.run(Self.lookUp) { fixture in
      let id = try await fixture.dispatch()
      let job = try #require(try await fixture.claim())
      let record = EffectRecord(
        key: EffectKey(run: 1, step: "post", attempt: 1),
        rule: "post",
        effectClass: .commit,
        digest: "d1:other",
        startedAt: Date()
      )
      let inputs = RunInputs(
        variant: #"{"text":"a","title":"a"}"#,
        startedAt: Date(),
        seed: [1],
        pluginVersion: "1.0.0"
      )
      let operation = StartEffect(lease: job.lease, site: job.siteID, record: record, nonce: UUID(), inputs: inputs)
      #expect(try await fixture.effects.submit(operation))
      // What the rescue of a dead node does with a lease in the phase committing.
      let lease = SettleOperation(lease: job.lease, way: .releasedOrUnknown, hooks: DeliveryClosing.hooks)
      _ = try await fixture.queue.writer.submit(lease)
      fixture.platform.next("GET /posts", .ok(#"{"found":true}"#))
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(fixture.platform.count("POST /posts") == 0)
    }
  }

  // MARK: Keys

  private static let keyed =
    #"http keyed post '{"text":"a"}'; case $reply in *'"status":200'*) ok 1;; *) fail platformDown after;; esac"#

  @Test func aKeyedCommitGoesOutAgainUnderTheSameKey() async throws {
    try await PublishingFixture.run(Self.keyed) { fixture in
      fixture.platform.next("POST /keyed", .unknown, .unknown, .unknown, .unknown, .unknown)
      let id = try await fixture.dispatch()
      let ways = try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent, "\(ways)")
      // Outages cost no attempt, and the lane stays held in the meantime.
      #expect(delivery.attempts == 1)
      let keys = Set(fixture.platform.received.map(\.key))
      #expect(keys.count == 1)
      #expect(keys.first??.isEmpty == false)
      #expect(fixture.platform.count("POST /keyed") == 6)
    }
  }

  @Test func anOpenKeyedCommitCanNotBeWithdrawn() async throws {
    try await PublishingFixture.run(Self.keyed) { fixture in
      fixture.platform.next("POST /keyed", .unknown)
      let id = try await fixture.dispatch()
      #expect(try await fixture.step() == .unknown(.seconds(1)))
      await #expect(throws: PublishingError.self) {
        try await fixture.control.cancel(id, site: fixture.site, user: nil)
      }
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state != .canceled)
    }
  }

  @Test func aRejectionUnderTheKeyIsFinal() async throws {
    try await PublishingFixture.run(
      #"http keyed post '{"text":"a"}'; case $reply in *400*) fail contentRejected userFix;; *) fail platformDown after;; esac"#
    ) { fixture in
      fixture.platform.next("POST /keyed", .unknown, .rejected)
      let id = try await fixture.dispatch()
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .failed)
      // Nothing is in doubt any more, so it can be sent again.
      try await fixture.control.retry(id, site: fixture.site, user: nil)
    }
  }

  // MARK: Prepares, reads and waits

  @Test func anUploadThatMayHaveArrivedDoesNotEndAsSent() async throws {
    let script =
      #"http upload up '{}'; if failed; then fail outcomeUnknown reconcile; else case $reply in *500*) fail platformDown retry;; *) http post post '{"text":"a"}'; ok 1;; esac; fi"#
    try await PublishingFixture.run(script) { fixture in
      fixture.platform.next("POST /uploads", .unknown)
      let id = try await fixture.dispatch()
      let ways = try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .failed, "\(ways)")
      #expect(fixture.platform.count("POST /uploads") == 1)
      #expect(fixture.platform.published.isEmpty)
      // A person's new run starts afresh.
      try await fixture.control.retry(id, site: fixture.site, user: nil)
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
    }
  }

  @Test func expiredPreparesAreMadeAnew() async throws {
    let script = #"""
      http upload up '{"v":1}'
      if once expired; then say '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":1041,"message":"old","data":{"kind":"prepareExpired","retry":"retry","steps":["up"]}}}'
      else http post post '{"text":"a"}'; ok 1; fi
      """#
    try await PublishingFixture.run(script) { fixture in
      let id = try await fixture.dispatch()
      let ways = try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent, "\(ways)")
      #expect(fixture.platform.count("POST /uploads") == 2)
    }
  }

  @Test func aReplaySeesTheSameWorldOnce() async throws {
    let script = #"""
      get me me; first=$reply; http upload up '{}'; if once crash; then die; fi
      get me me; case $reply in *'"n":'*) http post post '{"text":"a"}'; ok 1;; esac
      """#
    try await PublishingFixture.run(script) { fixture in
      let id = try await fixture.dispatch()
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      // Once before the crash, once for the second question of the replay.
      #expect(fixture.platform.count("GET /me") == 2)
      #expect(fixture.platform.count("POST /uploads") == 1)
    }
  }

  @Test func aWaitHoldsNothingAndGoesOn() async throws {
    let script =
      #"http upload up '{}'; if once wait; then answer '{"wait":{"afterMs":1000,"why":"v"}}'; else http post post '{"text":"a"}'; ok 1; fi"#
    try await PublishingFixture.run(script) { fixture in
      let id = try await fixture.dispatch()
      #expect(try await fixture.step() == .snoozed(.seconds(1)))
      #expect(try await fixture.count("SELECT inflight FROM lanes WHERE lane_id = \(fixture.lane)") == 0)
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(try await fixture.delivery(id).attempts == 1)
      #expect(fixture.platform.count("POST /uploads") == 1)
    }
  }

  @Test func afterAnAcceptedCommitNeitherPauseNorCancelStopIt() async throws {
    let script =
      #"http post one '{"text":"1"}'; if once wait; then answer '{"wait":{"afterMs":1000,"why":"v"}}'; else http post two '{"text":"2"}'; ok 1; fi"#
    try await PublishingFixture.run(script) { fixture in
      let id = try await fixture.dispatch()
      #expect(try await fixture.step() == .snoozed(.seconds(1)))
      _ = try? await fixture.control.cancel(id, site: fixture.site, user: nil)
      let group = try await fixture.delivery(id).distributionID
      _ = try await fixture.queue.cancelGroup(group)
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(fixture.platform.published == [#"{"text":"1"}"#, #"{"text":"2"}"#])
    }
  }

  @Test func aCancelBeforeTheFirstCommitWins() async throws {
    try await PublishingFixture.run(#"http post post '{"text":"a"}'; ok 1"#) { fixture in
      let id = try await fixture.dispatch()
      let job = try #require(try await fixture.claim())
      try await fixture.control.cancel(id, site: fixture.site, user: nil)
      let outcome = await fixture.assembly.handler.run(job)
      #expect(outcome.way == .refused)
      try await fixture.settle(job, outcome)
      #expect(try await fixture.delivery(id).state == .canceled)
      #expect(fixture.platform.received.isEmpty)
    }
  }

  // MARK: Runs

  @Test func aPartialThreadGoesOnWhereItStopped() async throws {
    let script = #"""
      http post one '{"text":"1"}'
      http post two '{"text":"2"}'
      case $reply in *'"status":200'*) ok 1;; *) answer '{"partial":{"remoteId":"1","url":"https://a.example/1","sent":1,"total":2,"error":{"code":1020,"message":"no"}}}';; esac
      """#
    try await PublishingFixture.run(script) { fixture in
      fixture.platform.next("POST /posts", .ok(#"{"id":"1"}"#), .rejected)
      let id = try await fixture.dispatch()
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .partial)
      try await fixture.control.retry(id, site: fixture.site, user: nil)
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(delivery.run == 2)
      #expect(fixture.platform.published == [#"{"text":"1"}"#, #"{"text":"2"}"#])
    }
  }

  @Test func editedTextThenRetrySendsTheNewTextOnce() async throws {
    let script =
      #"text=${line#*'"text":"'}; text=${text%%'"'*}; http post post '{"text":"'"$text"'"}'; case $reply in *'"status":200'*) ok 1;; *) fail contentRejected userFix;; esac"#
    try await PublishingFixture.run(script) { fixture in
      fixture.platform.next("POST /posts", .rejected)
      let id = try await fixture.dispatch("old")
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .failed)
      let post = try await fixture.delivery(id).postID
      _ = try await fixture.pool.transaction(scope: .site(fixture.site)) { tx in
        try await PostStore().update(
          post,
          to: PostContent(title: "new"),
          expectedVersion: 1,
          site: fixture.site,
          user: nil,
          in: tx
        )
      }
      try await fixture.control.retry(id, site: fixture.site, user: nil)
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(delivery.postVersion == 2)
      #expect(fixture.platform.published == [#"{"text":"new"}"#])
    }
  }

  // MARK: The host's own trouble

  @Test func anAccountThatIsGoneFailsOnlyWhatIsNotOut() async throws {
    let script =
      #"http post post '{"text":"a"}'; if once wait; then answer '{"wait":{"afterMs":1000,"why":"v"}}'; else ok 1; fi"#
    try await PublishingFixture.run(script) { fixture in
      let sent = try await fixture.dispatch("one")
      #expect(try await fixture.step() == .snoozed(.seconds(1)))
      let waiting = try await fixture.dispatch("two")
      try await fixture.disconnect()
      try await fixture.drive()
      #expect(try await fixture.delivery(sent).state == .sent)
      #expect(try await fixture.delivery(waiting).state == .failed)
      #expect(fixture.platform.published.count == 1)
    }
  }

  @Test func anotherPluginVersionMakesItsOwnPrepares() async throws {
    let script =
      #"http upload up '{}'; if once wait; then answer '{"wait":{"afterMs":1000,"why":"v"}}'; else http post post '{"text":"a"}'; ok 1; fi"#
    try await PublishingFixture.run(script) { fixture in
      let id = try await fixture.dispatch()
      _ = try await fixture.step()
      try await fixture.pool.execute("UPDATE delivery_inputs SET plugin_version = '0.9.0'")
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(fixture.platform.count("POST /uploads") == 2)
    }
  }

  @Test func anotherPluginVersionNeverReplaysACommit() async throws {
    let script =
      #"http post one '{"text":"a"}'; if once wait; then answer '{"wait":{"afterMs":1000,"why":"v"}}'; else http post two '{"text":"a"}'; ok 1; fi"#
    try await PublishingFixture.run(script) { fixture in
      let id = try await fixture.dispatch()
      _ = try await fixture.step()
      try await fixture.pool.execute("UPDATE delivery_inputs SET plugin_version = '0.9.0'")
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(delivery.warnings.count == 1)
      #expect(fixture.platform.published.count == 1)
    }
  }

  @Test func aPostPlannedForLongAgoStillHasItsDayOfPatience() async throws {
    try await PublishingFixture.run("fail rateLimited after") { fixture in
      let id = try await fixture.dispatch(scheduledFor: Date().addingTimeInterval(-300 * 86_400))
      guard case .snoozed = try await fixture.step() else {
        Issue.record("gave up: \(try await fixture.delivery(id).state)")
        return
      }
    }
  }
}
