import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// Deliveries of a post that is edited after they were planned.
@Suite(.database) struct VersionUpdateTests {
  private static let publish = #"""
    text=${line#*'"text":"'}; text=${text%%'"'*}
    http post post '{"text":"'"$text"'"}'; ok "$id"
    """#

  private func edit(_ fixture: PublishingFixture, _ post: Int64, _ text: String) async throws {
    try await fixture.pool.transaction(scope: .site(fixture.site)) { tx in
      _ = try await PostStore().update(
        post,
        to: PostContent(title: text),
        expectedVersion: nil,
        site: fixture.site,
        user: nil,
        in: tx
      )
    }
  }

  private func outdated(_ fixture: PublishingFixture, _ post: Int64) async throws -> [DeliveryControl.Outdated] {
    try await fixture.pool.transaction(scope: .site(fixture.site)) { tx in
      try await DeliveryControl.outdated(post, in: tx)
    }
  }

  private func plan(_ fixture: PublishingFixture, _ post: Int64, in seconds: TimeInterval) async throws -> Int64 {
    let request = try fixture.request(post: post, scheduledFor: Date().addingTimeInterval(seconds))
    return try #require(try await fixture.dispatcher.dispatch(request).deliveries.first).id
  }

  @Test func theAuthorIsToldAndTheNewTextGoesOut() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let post = try await fixture.makePost("Old")
      let first = try await plan(fixture, post, in: 3600)
      let second = try await plan(fixture, post, in: 7200)
      #expect(try await outdated(fixture, post).isEmpty)
      try await edit(fixture, post, "New")
      #expect(try await outdated(fixture, post).map(\.delivery) == [first, second])
      let one = try await fixture.control.updateDeliveries(of: post, only: [first], site: fixture.site, user: nil)
      #expect(one == DeliveryControl.Updated(version: 2, deliveries: [first], left: []))
      #expect(try await outdated(fixture, post).map(\.delivery) == [second])
      try await fixture.drive()
      #expect(fixture.platform.published.sorted() == [#"{"text":"New"}"#, #"{"text":"Old"}"#])
    }
  }

  @Test func whatHasBegunKeepsItsVersion() async throws {
    let script =
      #"http upload up '{}'; once w && { answer '{"wait":{"afterMs":1000,"why":"video"}}'; continue; }; \#(Self.publish)"#
    try await PublishingFixture.run(script) { fixture in
      let post = try await fixture.makePost("Old")
      let id = try #require(try await fixture.dispatcher.dispatch(fixture.request(post: post)).deliveries.first).id
      try await fixture.step()
      // Something was prepared, nothing is public: the new version is prepared anew.
      try await edit(fixture, post, "New")
      #expect(try await outdated(fixture, post).map(\.obstacle) == [nil])
      let claimed = try #require(try await fixture.claim())
      let sending = try await fixture.control.updateDeliveries(of: post, only: nil, site: fixture.site, user: nil)
      #expect(sending.deliveries.isEmpty)
      #expect(sending.left.map(\.obstacle) == ["sending"])
      try await fixture.settle(claimed, .released)
      let updated = try await fixture.control.updateDeliveries(of: post, only: nil, site: fixture.site, user: nil)
      #expect(updated.deliveries == [id])
      #expect(try await fixture.delivery(id).run == 2)
      try await fixture.drive()
      #expect(fixture.platform.published == [#"{"text":"New"}"#])
      #expect(fixture.platform.count("POST /uploads") == 2)
    }
  }

  @Test func aStartedCommitIsNeverChanged() async throws {
    let script =
      #"http post post '{"text":"a"}'; case $reply in *'"status":200'*) ok 1;; *) fail platformDown retry;; esac"#
    try await PublishingFixture.run(script) { fixture in
      fixture.platform.next("POST /posts", .rejected)
      let post = try await fixture.makePost("Old")
      let id = try #require(try await fixture.dispatcher.dispatch(fixture.request(post: post)).deliveries.first).id
      try await fixture.step()
      #expect(try await fixture.delivery(id).state == .retrying)
      try await edit(fixture, post, "New")
      #expect(try await outdated(fixture, post).map(\.obstacle) == ["begun"])
      let result = try await fixture.control.updateDeliveries(of: post, only: nil, site: fixture.site, user: nil)
      #expect(result.deliveries.isEmpty)
      #expect(result.left.map(\.delivery) == [id])
      #expect(try await fixture.delivery(id).postVersion == 1)
    }
  }

  /// A claim that read the older version before the update must not run with it.
  @Test func aClaimThatSawTheOlderVersionMissesTheJob() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let post = try await fixture.makePost("Old")
      let id = try #require(try await fixture.dispatcher.dispatch(fixture.request(post: post)).deliveries.first).id
      try await fixture.promote()
      try await edit(fixture, post, "New")
      let before: String = try await fixture.pool.query("SELECT ctid::text FROM ready WHERE job_id = \(id)")[0].get(0)
      _ = try await fixture.control.updateDeliveries(of: post, only: nil, site: fixture.site, user: nil)
      let after: String = try await fixture.pool.query("SELECT ctid::text FROM ready WHERE job_id = \(id)")[0].get(0)
      #expect(before != after)
      try await fixture.drive()
      #expect(fixture.platform.published == [#"{"text":"New"}"#])
    }
  }
}
