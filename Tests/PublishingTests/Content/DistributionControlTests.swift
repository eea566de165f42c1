import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// Whole distributions, accounts and sites, held and let go.
@Suite(.database) struct DistributionControlTests {
  private static let publish = #"http post post '{"text":"a"}'; ok 1"#

  /// A distribution to the fixture's account and two more.
  private func distribute(
    _ fixture: PublishingFixture,
    scheduledFor: Date? = nil
  ) async throws -> (distribution: Int64, deliveries: [Int64]) {
    var request = try fixture.request(post: try await fixture.makePost(), scheduledFor: scheduledFor)
    for account in ["b", "c"] {
      request.connectionIDs.append(
        try await PublishingFixture.connect(
          fixture.pool,
          vault: fixture.vault,
          site: fixture.site,
          account: account
        ).connection
      )
    }
    let dispatched = try await fixture.dispatcher.dispatch(request)
    return (dispatched.distributionID, dispatched.deliveries.map(\.id))
  }

  private func states(_ fixture: PublishingFixture, _ ids: [Int64]) async throws -> [DeliveryState] {
    var states: [DeliveryState] = []
    for id in ids { states.append(try await fixture.delivery(id).state) }
    return states
  }

  private func progress(_ fixture: PublishingFixture, _ id: Int64) async throws -> DistributionProgress {
    try await fixture.pool.transaction(scope: .site(fixture.site)) { tx in
      try await DistributionStore().progress(id, in: tx)
    }
  }

  private func events(_ fixture: PublishingFixture, _ id: Int64, _ kind: String) async throws -> [String] {
    try await fixture.pool.query(
      "SELECT kind FROM outbox WHERE subject_id = \(id) AND kind LIKE \(kind + ".%") ORDER BY id"
    ).map { try $0.get(0) }
  }

  @Test func nothingOfAPausedDistributionStarts() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let (id, deliveries) = try await distribute(fixture)
      let claimed = try #require(try await fixture.claim())
      let held = try await fixture.control.pause(distribution: id, site: fixture.site, user: fixture.user)
      #expect(held == DeliveryControl.Held(waiting: 3, sending: 0))
      // The one that was claimed before finds the door shut.
      try await fixture.settle(claimed, await fixture.assembly.handler.run(claimed))
      #expect(try await fixture.drive().isEmpty)
      #expect(fixture.platform.received.isEmpty)
      #expect(try await progress(fixture, id).phase == .paused)
      // Saying it twice changes nothing and tells nobody.
      _ = try await fixture.control.pause(distribution: id, site: fixture.site, user: fixture.user)

      _ = try await fixture.control.resume(distribution: id, site: fixture.site, user: fixture.user)
      _ = try await fixture.control.resume(distribution: id, site: fixture.site, user: fixture.user)
      try await fixture.drive()
      #expect(try await states(fixture, deliveries) == [.sent, .sent, .sent])
      #expect(fixture.platform.count("POST /posts") == 3)
      #expect(
        try await events(fixture, id, "distribution") == [
          "distribution.created", "distribution.paused", "distribution.resumed", "distribution.ended",
        ]
      )
      let whole = try await progress(fixture, id)
      #expect(whole.phase == .ended)
      #expect(whole.endedAt != nil)
      #expect(whole.states == [.sent: 3])
    }
  }

  @Test func whatHasBegunRunsToItsEndAndIsCounted() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let (id, deliveries) = try await distribute(fixture)
      let job = try #require(try await fixture.claim())
      try await fixture.pool.execute("UPDATE leases SET phase = 2 WHERE job_id = \(job.id)")
      let held = try await fixture.control.pause(distribution: id, site: fixture.site, user: fixture.user)
      #expect(held == DeliveryControl.Held(waiting: 2, sending: 1))
      let canceled = try await fixture.control.cancel(distribution: id, site: fixture.site, user: fixture.user)
      #expect(canceled.dropped == 2)
      #expect(canceled.alreadySending == 1)
      #expect(try await progress(fixture, id).phase == .canceling)
      let ended = try await states(fixture, deliveries.filter { $0 != job.id })
      #expect(ended == [.canceled, .canceled])
    }
  }

  @Test(arguments: [true, false])
  func aHeldAccountOrSiteStartsNothing(isSite: Bool) async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let id = try await fixture.dispatch()
      let claimed = try #require(try await fixture.claim())
      func hold(_ isHeld: Bool) async throws -> DeliveryControl.Held {
        if isSite { return try await fixture.control.hold(site: fixture.site, isHeld, user: nil) }
        return try await fixture.control.hold(
          connection: fixture.connection,
          isHeld,
          site: fixture.site,
          user: nil
        )
      }
      #expect(try await hold(true) == DeliveryControl.Held(waiting: isSite ? nil : 1, sending: 0))
      try await fixture.settle(claimed, await fixture.assembly.handler.run(claimed))
      #expect(fixture.platform.received.isEmpty)
      _ = try await hold(true)
      try await fixture.pool.execute("UPDATE due SET due_at = now() - interval '1 s'")
      _ = try await fixture.pool.query(PromoteStatement.make(limit: 100, hooks: DeliveryClosing.hooks))
      let story = try await fixture.pool.transaction(scope: .site(fixture.site)) { tx in
        try await DeliveryStore().explain(id, in: tx)
      }
      #expect(story.holds.map(\.kind).contains(isSite ? "sitePaused" : "connectionPaused"))
      #expect(story.choices == [.resume, .cancel])
      let claim = ClaimOperation(
        shape: fixture.queue.shape,
        kinds: [DeliveryHandler.kind],
        request: ClaimLedger.Request(count: 1, quantum: 1, afterSite: .min)
      )
      let rows = try await fixture.pool.query(ClaimOperation.statement(for: [claim]))
      #expect(try ClaimOperation.outputs(of: rows, for: [claim])[0].jobs.isEmpty)
      _ = try await hold(false)
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      let (subject, word) = isSite ? (fixture.site, "site") : (fixture.connection, "connection")
      #expect(try await events(fixture, subject, word) == ["\(word).paused", "\(word).resumed"])
    }
  }

  @Test func whatFailedGoesOutAgainAsOne() async throws {
    let script =
      #"once a && { fail contentRejected userFix; continue; }; once b && { fail contentRejected userFix; continue; }; http post post '{"text":"a"}'; ok "$id""#
    try await PublishingFixture.run(script) { fixture in
      let (id, deliveries) = try await distribute(fixture)
      try await fixture.drive()
      #expect(try await states(fixture, deliveries).filter { $0 == .failed }.count == 2)
      let result = try await fixture.control.retryFailed(id, site: fixture.site, user: fixture.user)
      #expect(result.retried.count == 2)
      #expect(result.unconfirmed == 0)
      #expect(result.left.isEmpty)
      try await fixture.drive()
      #expect(try await states(fixture, deliveries) == [.sent, .sent, .sent])
      #expect(fixture.platform.count("POST /posts") == 3)
      // Asked once more, there is nothing to do.
      let again = try await fixture.control.retryFailed(id, site: fixture.site, user: fixture.user)
      #expect(again == DeliveryControl.RetryResult())
      #expect(try await fixture.drive().isEmpty)
    }
  }

  @Test func whatIsUnconfirmedIsNeverRetriedByTheWay() async throws {
    let script =
      #"case $method in post/reconcile) answer '{"verdict":"unknown","why":"x"}'; continue;; esac; http post post '{"text":"a"}'; fail outcomeUnknown reconcile"#
    try await PublishingFixture.run(script, manifest: ProbeManifest.text(absence: "never")) { fixture in
      fixture.platform.next("POST /posts", .unknown)
      let delivery = try await fixture.dispatch()
      try await fixture.drive()
      let id = try await fixture.delivery(delivery).distributionID
      let result = try await fixture.control.retryFailed(id, site: fixture.site, user: fixture.user)
      #expect(result == DeliveryControl.RetryResult(retried: [], unconfirmed: 1, left: []))
      #expect(try await fixture.drive().isEmpty)
      #expect(fixture.platform.count("POST /posts") == 1)
    }
  }

  @Test func anotherSiteCanDoNothing() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let (id, deliveries) = try await distribute(fixture, scheduledFor: Date().addingTimeInterval(3600))
      let other = try await PublishingFixture.makeSite(fixture.pool)
      for body in [
        { _ = try await fixture.control.pause(distribution: id, site: other, user: nil) },
        { _ = try await fixture.control.resume(distribution: id, site: other, user: nil) },
        { _ = try await fixture.control.cancel(distribution: id, site: other, user: nil) },
        { _ = try await fixture.control.retryFailed(id, site: other, user: nil) },
        { _ = try await fixture.control.hold(connection: fixture.connection, true, site: other, user: nil) },
        { _ = try await fixture.control.divert(connection: fixture.connection, to: nil, site: other, user: nil) },
        { _ = try await fixture.control.updateDeliveries(of: 1, only: nil, site: other, user: nil) },
        { try await fixture.control.removeFromPlatform(deliveries[0], site: other, user: nil) },
      ] as [() async throws -> Void] {
        let error = await #expect(throws: PublishingError.self) { try await body() }
        #expect(error?.kind == .notFound)
      }
      #expect(try await progress(fixture, id).phase == .scheduled)
    }
  }

  @Test func historyPagesAndFilters() async throws {
    try await PublishingFixture.run("fail contentRejected userFix") { fixture in
      var made: [Int64] = []
      for number in 0..<5 {
        let delivery = try await fixture.dispatch("Post \(number)")
        made.append(try await fixture.delivery(delivery).distributionID)
      }
      try await fixture.drive(limit: 2)
      func list(_ filter: DistributionFilter, before: Int64? = nil, limit: Int = 50) async throws -> [Int64] {
        try await fixture.pool.transaction(scope: .site(fixture.site)) { tx in
          try await DistributionStore().list(filter, before: before, limit: limit, in: tx).map(\.id)
        }
      }
      #expect(try await list(DistributionFilter()) == made.reversed())
      let page = try await list(DistributionFilter(), limit: 2)
      #expect(page == [made[4], made[3]])
      #expect(try await list(DistributionFilter(), before: page.last, limit: 2) == [made[2], made[1]])
      #expect(try await list(DistributionFilter(state: .failed)) == [made[1], made[0]])
      #expect(try await list(DistributionFilter(platform: "other")).isEmpty)
      #expect(try await list(DistributionFilter(createdBefore: Date().addingTimeInterval(-3600))).isEmpty)
      #expect(try await list(DistributionFilter(createdFrom: Date().addingTimeInterval(-3600))).count == 5)
    }
  }
}
