import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// What becomes of a post's deliveries when the post is deleted.
@Suite(.database) struct PostRemovalTests {
  private static let publish = #"http post post '{"text":"a"}'; ok 1"#

  @Test func whatWasPlannedIsWithdrawnWithTheReason() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let post = try await fixture.makePost()
      let later = try fixture.request(post: post, scheduledFor: Date().addingTimeInterval(3600))
      let planned = try #require(try await fixture.dispatcher.dispatch(later).deliveries.first).id
      let queued = try #require(try await fixture.dispatcher.dispatch(fixture.request(post: post)).deliveries.first).id
      try await fixture.promote()
      let other = try await fixture.dispatch("Another post")

      let result = try await fixture.control.deletePost(post, site: fixture.site)
      #expect(result.dropped == 2)
      #expect(result.alreadySending == 0)
      for id in [planned, queued] {
        let delivery = try await fixture.delivery(id)
        #expect(delivery.state == .canceled)
        #expect(delivery.error?.contains("postDeleted") == true)
        #expect(try await fixture.events(id) == ["delivery.canceled"])
      }
      try await fixture.drive()
      #expect(fixture.platform.count("POST /posts") == 1)
      #expect(try await fixture.delivery(other).state == .sent)
    }
  }

  @Test func aClaimedDeliveryDoesNotStartAnyMore() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let post = try await fixture.makePost()
      let id = try #require(try await fixture.dispatcher.dispatch(fixture.request(post: post)).deliveries.first).id
      let job = try #require(try await fixture.claim())
      #expect(try await fixture.control.deletePost(post, site: fixture.site).dropped == 1)
      try await fixture.settle(job, await fixture.assembly.handler.run(job))
      #expect(try await fixture.delivery(id).state == .canceled)
      #expect(fixture.platform.received.isEmpty)
    }
  }

  /// The host may die right after the post is gone and before it has withdrawn anything.
  @Test func aJobThatCarriesItsCancellationIsNeverSent() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let id = try await fixture.dispatch()
      try await fixture.pool.execute("UPDATE jobs SET canceled_at = now() WHERE job_id = \(id)")
      try await fixture.promote()
      let claim = ClaimOperation(
        shape: fixture.queue.shape,
        kinds: [DeliveryHandler.kind],
        request: ClaimLedger.Request(count: 1, quantum: 1, afterSite: .min)
      )
      let rows = try await fixture.pool.query(ClaimOperation.statement(for: [claim]))
      let answer = try ClaimOperation.outputs(of: rows, for: [claim])[0]
      #expect(answer.jobs.isEmpty)
      // The queue gives back what it has claimed and may not start.
      for lease in answer.stopped {
        let operation = SettleOperation(lease: lease, way: .refused, hooks: DeliveryClosing.hooks)
        _ = try await fixture.queue.writer.submit(operation)
      }
      #expect(try await fixture.delivery(id).state == .canceled)
      #expect(fixture.platform.received.isEmpty)
    }
  }

  @Test func whatIsPartlyOutRunsToItsEnd() async throws {
    let script =
      #"http post one '{"text":"1"}'; if once wait; then answer '{"wait":{"afterMs":1000,"why":"v"}}'; else http post two '{"text":"2"}'; ok 1; fi"#
    try await PublishingFixture.run(script) { fixture in
      let post = try await fixture.makePost()
      let id = try #require(try await fixture.dispatcher.dispatch(fixture.request(post: post)).deliveries.first).id
      #expect(try await fixture.step() == .snoozed(.seconds(1)))
      #expect(try await fixture.control.deletePost(post, site: fixture.site).alreadySending == 1)
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(delivery.error == nil)
      #expect(fixture.platform.published.count == 2)
    }
  }

  @Test func aDeletedPostIsNotSentAgain() async throws {
    try await PublishingFixture.run("fail contentRejected userFix") { fixture in
      let post = try await fixture.makePost()
      let id = try #require(try await fixture.dispatcher.dispatch(fixture.request(post: post)).deliveries.first).id
      try await fixture.drive()
      try #require(try await fixture.delivery(id).state == .failed)
      #expect(try await fixture.control.deletePost(post, site: fixture.site) == CancelResult())
      let error = await #expect(throws: PublishingError.self) {
        try await fixture.control.retry(id, site: fixture.site, user: nil)
      }
      #expect(error?.code == "post_deleted")
      #expect(try await fixture.delivery(id).error?.contains("postDeleted") == false)
    }
  }

  @Test func onlyThePostsOwnSiteDeletesItAndOnce() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let post = try await fixture.makePost()
      let other = try await PublishingFixture.makeSite(fixture.pool)
      for (site, code) in [(other, "post_not_found"), (fixture.site, nil), (fixture.site, "post_not_found")] {
        do {
          _ = try await fixture.control.deletePost(post, site: site)
          #expect(code == nil)
        } catch let error as PublishingError {
          #expect(error.code == code)
        }
      }
    }
  }

  @Test func aDispatchThatMeetsTheDeletionIsRefused() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let post = try await fixture.makePost()
      let request = try fixture.request(post: post)
      let dispatch = try await fixture.pool.transaction { tx in
        // A deletion that is not committed yet; the dispatch reads the post as it was.
        try await tx.execute("UPDATE posts SET deleted_at = now() WHERE id = \(post)")
        let dispatch = Task { try await fixture.dispatcher.dispatch(request) }
        let waiting: SQL = """
          SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0
          """
        while try await fixture.count(waiting) == 0 {
          await Task.yield()
        }
        return dispatch
      }
      let error = await #expect(throws: PublishingError.self) { try await dispatch.value }
      #expect(error?.code == "post_not_found")
      #expect(try await fixture.count("SELECT count(*) FROM deliveries") == 0)
    }
  }
}
