import FoundationEssentials
import PluginManifest
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// What people do to deliveries.
@Suite(.database) struct DeliveryControlTests {
  private static let publish =
    #"http post post '{"text":"a"}'; case $reply in *'"status":200'*) ok 1;; *) fail outcomeUnknown reconcile;; esac"#
  private static let unknowable = ProbeManifest.text(absence: "never")

  private func expectConflict(_ code: String, _ body: () async throws -> Void) async {
    let error = await #expect(throws: PublishingError.self) { try await body() }
    #expect(error?.code == code)
    #expect(error?.kind == .conflict)
  }

  /// A delivery that only a person can settle.
  private func unconfirmed(_ fixture: PublishingFixture) async throws -> Int64 {
    fixture.platform.next("POST /posts", .unknown)
    let id = try await fixture.dispatch()
    try await fixture.drive()
    try #require(try await fixture.delivery(id).state == .unconfirmed)
    return id
  }

  private static let looks =
    #"case $method in post/reconcile) answer '{"verdict":"unknown","why":"x"}';; *) \#(publish);; esac"#

  @Test func aPlannedDeliveryCanBeWithdrawnOnce() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let id = try await fixture.dispatch(scheduledFor: Date().addingTimeInterval(3600))
      try await fixture.control.cancel(id, site: fixture.site, user: fixture.user)
      #expect(try await fixture.delivery(id).state == .canceled)
      #expect(try await fixture.events(id) == ["delivery.canceled"])
      await expectConflict("already_ended") {
        try await fixture.control.cancel(id, site: fixture.site, user: fixture.user)
      }
      await expectConflict("not_retryable") {
        try await fixture.control.retry(id, site: fixture.site, user: fixture.user)
      }
      #expect(try await fixture.drive().isEmpty)
    }
  }

  @Test func anotherSiteCanDoNothing() async throws {
    try await PublishingFixture.run(Self.looks, manifest: Self.unknowable) { fixture in
      let other = try await PublishingFixture.makeSite(fixture.pool)
      let id = try await unconfirmed(fixture)
      for body in [
        { try await fixture.control.cancel(id, site: other, user: nil) },
        { try await fixture.control.retry(id, site: other, user: nil) },
        { try await fixture.control.sendNow(id, site: other, user: nil) },
        { try await fixture.control.answer(.notPublished, for: id, site: other, user: fixture.user) },
      ] as [() async throws -> Void] {
        let error = await #expect(throws: PublishingError.self) { try await body() }
        #expect(error?.kind == .notFound)
      }
      #expect(try await fixture.delivery(id).state == .unconfirmed)
    }
  }

  @Test func sendNowTakesWhatWaits() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let id = try await fixture.dispatch(scheduledFor: Date().addingTimeInterval(3600))
      try await fixture.control.sendNow(id, site: fixture.site, user: fixture.user)
      #expect(try await fixture.delivery(id).scheduledFor < Date().addingTimeInterval(5))
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      await expectConflict("already_ended") {
        try await fixture.control.sendNow(id, site: fixture.site, user: fixture.user)
      }
    }
  }

  @Test func openAndSentDeliveriesAreNotRetried() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let id = try await fixture.dispatch()
      await expectConflict("not_retryable") { try await fixture.control.retry(id, site: fixture.site, user: nil) }
      try await fixture.drive()
      await expectConflict("not_retryable") { try await fixture.control.retry(id, site: fixture.site, user: nil) }
      #expect(fixture.platform.published.count == 1)
    }
  }

  @Test func anUnconfirmedDeliveryWaitsForAnAnswer() async throws {
    try await PublishingFixture.run(Self.looks, manifest: Self.unknowable) { fixture in
      let id = try await unconfirmed(fixture)
      await expectConflict("outcome_unknown") { try await fixture.control.retry(id, site: fixture.site, user: nil) }
      #expect(try await fixture.drive().isEmpty)
      #expect(fixture.platform.count("POST /posts") == 1)
    }
  }

  @Test func publishedIsTakenAtItsWord() async throws {
    try await PublishingFixture.run(Self.looks, manifest: Self.unknowable) { fixture in
      let id = try await unconfirmed(fixture)
      let url = "https://a.example/seen"
      try await fixture.control.answer(.published(url: url), for: id, site: fixture.site, user: fixture.user)
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(delivery.url == url)
      #expect(try await fixture.events(id) == ["delivery.unconfirmed", "delivery.sent"])
      let closed = try await fixture.store.records(of: id).first { $0.effectClass == .commit }?.closedBy
      #expect(closed == "user:\(fixture.user)")
      await expectConflict("nothing_to_answer") {
        try await fixture.control.answer(.notPublished, for: id, site: fixture.site, user: fixture.user)
      }
    }
  }

  @Test func notPublishedSendsItInANewRun() async throws {
    try await PublishingFixture.run(Self.looks, manifest: Self.unknowable) { fixture in
      let id = try await unconfirmed(fixture)
      try await fixture.control.answer(.notPublished, for: id, site: fixture.site, user: fixture.user)
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(delivery.run == 2)
      #expect(fixture.platform.count("POST /posts") == 2)
    }
  }

  @Test func givingUpEndsIt() async throws {
    try await PublishingFixture.run(Self.looks, manifest: Self.unknowable) { fixture in
      let id = try await unconfirmed(fixture)
      try await fixture.control.answer(.giveUp, for: id, site: fixture.site, user: fixture.user)
      #expect(try await fixture.delivery(id).state == .failed)
      #expect(try await fixture.events(id) == ["delivery.unconfirmed", "delivery.failed"])
    }
  }

  @Test func givingUpNeverCallsAPublishedPartFailed() async throws {
    try await PublishingFixture.run(
      #"""
      case $method in post/reconcile) answer '{"verdict":"unknown","why":"x"}'; continue;; esac
      http post one '{"text":"1"}'; http post two '{"text":"2"}'; fail outcomeUnknown reconcile
      """#,
      manifest: Self.unknowable
    ) { fixture in
      fixture.platform.next("POST /posts", .ok(#"{"id":"1"}"#), .unknown)
      let id = try await fixture.dispatch()
      try await fixture.drive()
      try #require(try await fixture.delivery(id).state == .unconfirmed)
      try await fixture.control.answer(.giveUp, for: id, site: fixture.site, user: fixture.user)
      #expect(try await fixture.delivery(id).state == .partial)
    }
  }

  @Test func aRetryWhoseJobIsStillThereChangesNothing() async throws {
    try await PublishingFixture.run("fail contentRejected userFix") { fixture in
      let id = try await fixture.dispatch()
      try await fixture.drive()
      try await fixture.pool.execute(
        """
        INSERT INTO jobs (job_id, site_id, lane_id, due_at, priority, max_attempts, kind)
        VALUES (\(id), \(fixture.site), \(fixture.lane), now(), 1, 3, 'delivery')
        """
      )
      await expectConflict("not_retryable") { try await fixture.control.retry(id, site: fixture.site, user: nil) }
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .failed)
      #expect(delivery.run == 1)
    }
  }

  @Test func aWithdrawnRetryOfAThreadIsStillPartlyOut() async throws {
    let script = #"""
      http post one '{"text":"1"}'
      answer '{"partial":{"remoteId":"1","sent":1,"total":2,"error":{"code":1020,"message":"no"}}}'
      """#
    try await PublishingFixture.run(script) { fixture in
      let id = try await fixture.dispatch()
      try await fixture.drive()
      try #require(try await fixture.delivery(id).state == .partial)
      try await fixture.control.retry(id, site: fixture.site, user: nil)
      try await fixture.control.cancel(id, site: fixture.site, user: nil)
      #expect(try await fixture.delivery(id).state == .partial)
      #expect(try await fixture.events(id) == ["delivery.partial", "delivery.partial"])
    }
  }
}
