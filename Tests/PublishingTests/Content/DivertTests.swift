import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// What one account can not take goes out by another one.
@Suite(.database) struct DivertTests {
  private func other(_ fixture: PublishingFixture) async throws -> Int64 {
    try await PublishingFixture.connect(
      fixture.pool,
      vault: fixture.vault,
      site: fixture.site,
      account: "other"
    ).connection
  }

  private func code(_ body: () async throws -> Void) async -> String? {
    await #expect(throws: PublishingError.self) { try await body() }?.code
  }

  private static let failsOnce =
    #"once f && { fail contentRejected userFix; continue; }; http post post '{"text":"a"}'; ok "$id""#

  @Test func aFailedDeliveryIsReplacedOnce() async throws {
    try await PublishingFixture.run(Self.failsOnce) { fixture in
      let other = try await other(fixture)
      let id = try await fixture.dispatch()
      #expect(
        await code { _ = try await fixture.control.divert(delivery: id, to: other, site: fixture.site, user: nil) }
          == "not_failed"
      )
      try await fixture.drive()
      let pair = try await fixture.control.divert(delivery: id, to: other, site: fixture.site, user: fixture.user)
      #expect(pair.from == id)
      for refused in [
        { _ = try await fixture.control.divert(delivery: id, to: other, site: fixture.site, user: nil) },
        { try await fixture.control.retry(id, site: fixture.site, user: nil) },
        {
          try await fixture.control.postedByHand(id, url: "https://a.example", site: fixture.site, user: fixture.user)
        },
      ] as [() async throws -> Void] {
        #expect(await code(refused) == "replaced")
      }
      let distribution = try await fixture.delivery(id).distributionID
      #expect(try await fixture.control.retryFailed(distribution, site: fixture.site, user: nil).left == [id])
      try await fixture.drive()
      let stand = try await fixture.delivery(pair.to)
      #expect(stand.state == .sent)
      #expect(stand.replaces == id)
      #expect(stand.connectionID == other)
      #expect(stand.distributionID == distribution)
      let failed = try await fixture.delivery(id)
      #expect(failed.state == .failed)
      #expect(failed.replacedBy == pair.to)
      #expect(fixture.platform.count("POST /posts") == 1)
    }
  }

  @Test func everythingThatWaitsGoesAnotherWay() async throws {
    try await PublishingFixture.run(#"http post post '{"text":"a"}'; ok "$id""#) { fixture in
      let other = try await other(fixture)
      let due = Date().addingTimeInterval(3600)
      let planned = try await fixture.dispatch("Planned", scheduledFor: due)
      let running = try await fixture.dispatch("Running")
      let job = try #require(try await fixture.claim())
      try #require(job.id == running || job.id == planned)
      let waiting = job.id == running ? planned : running
      let withdrawn = try await fixture.dispatch("Withdrawn", scheduledFor: due)
      try await fixture.pool.execute(
        "UPDATE job_groups SET canceled_at = now() WHERE group_id = (SELECT distribution_id FROM deliveries WHERE id = \(withdrawn))"
      )
      let result = try await fixture.control.divert(
        connection: fixture.connection,
        to: other,
        site: fixture.site,
        user: fixture.user
      )
      #expect(result.deliveries.map(\.from) == [waiting])
      #expect(result.alreadySending == 1)
      let gone = try await fixture.delivery(waiting)
      #expect(gone.state == .canceled)
      #expect(gone.error?.contains("diverted") == true)
      let stand = try await fixture.delivery(try #require(result.deliveries.first).to)
      #expect(abs(stand.scheduledFor.timeIntervalSince(gone.scheduledFor)) < 0.001)
      try await fixture.settle(job, await fixture.assembly.handler.run(job))
      try await fixture.drive()
      #expect(try await fixture.delivery(stand.id).state == .sent)
      #expect(fixture.platform.count("POST /posts") == 2)
      // Repeating finds nothing to move.
      let again = try await fixture.control.divert(
        connection: fixture.connection,
        to: other,
        site: fixture.site,
        user: nil
      )
      #expect(again.deliveries.isEmpty)
    }
  }

  @Test func theOtherAccountMustBeThere() async throws {
    try await PublishingFixture.run("fail contentRejected userFix") { fixture in
      let id = try await fixture.dispatch()
      try await fixture.drive()
      func divert(_ to: Int64?) async -> String? {
        await code { _ = try await fixture.control.divert(delivery: id, to: to, site: fixture.site, user: nil) }
      }
      #expect(await divert(9_999) == "connection_not_found")
      #expect(await divert(fixture.connection) == "connection_not_found")
      // The probe has no address of the user's own, so nothing is chosen without being named.
      #expect(await divert(nil) == "no_other_way")
      let other = try await other(fixture)
      try await fixture.pool.execute("UPDATE platform_connections SET status = 'expired' WHERE id = \(other)")
      #expect(await divert(other) == "connection_not_active")
    }
  }

  @Test func postedByHandEndsAsSent() async throws {
    try await PublishingFixture.run("fail contentRejected userFix") { fixture in
      let id = try await fixture.dispatch()
      let url = "https://a.example/mine"
      #expect(
        await code { try await fixture.control.postedByHand(id, url: url, site: fixture.site, user: fixture.user) }
          == "nothing_to_answer"
      )
      try await fixture.drive()
      try await fixture.control.postedByHand(id, url: url, site: fixture.site, user: fixture.user)
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(delivery.isByHand)
      #expect(delivery.url == url)
      #expect(delivery.error == nil)
      #expect(try await fixture.events(id) == ["delivery.failed", "delivery.sent"])
      #expect(await code { try await fixture.control.retry(id, site: fixture.site, user: nil) } == "not_retryable")
      #expect(fixture.platform.received.isEmpty)
    }
  }
}
