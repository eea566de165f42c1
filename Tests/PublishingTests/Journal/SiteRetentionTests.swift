import Postgres
import TestSupport
import Testing

@testable import Publishing

/// What is forgotten site by site, and what the cleaning of the queue answers.
@Suite(.database) struct SiteRetentionTests {
  private static let publish = #"http upload up '{}'; http post post '{"text":"a"}'; ok "$id""#

  private func age(_ fixture: PublishingFixture, _ id: Int64, days: Int32) async throws {
    try await fixture.pool.execute(
      "UPDATE deliveries SET ended_at = now() - \(days) * interval '1 day' WHERE id = \(id)"
    )
  }

  private func bodies(_ fixture: PublishingFixture, _ id: Int64) async throws -> Int {
    try await fixture.count(
      """
      SELECT (SELECT count(*) FROM delivery_effects WHERE delivery_id = \(id) AND answer IS NOT NULL)
        + (SELECT count(*) FROM delivery_inputs WHERE delivery_id = \(id))
      """
    )
  }

  @Test func onlyBodiesOfOldEndsGo() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let old = try await fixture.dispatch("1")
      let young = try await fixture.dispatch("2")
      try await fixture.drive()
      try await age(fixture, old, days: 31)
      try await age(fixture, young, days: 29)
      let kept = try await bodies(fixture, young)
      #expect(kept == 3)
      let other = try await PublishingFixture.makeSite(fixture.pool)
      #expect(try await JournalRetention(pool: fixture.pool, days: 30).clean(site: other) == JournalRetention.Result())
      #expect(try await JournalRetention(pool: fixture.pool, days: 30).clean(site: fixture.site).completed == 1)
      #expect(try await bodies(fixture, old) == 0)
      #expect(try await bodies(fixture, young) == kept)
      // The skeleton stays.
      let steps = try await fixture.store.records(of: old)
      #expect(steps.count == 2)
      #expect(steps.allSatisfy { !$0.digest.isEmpty })
      #expect(try await fixture.delivery(old).url != nil)
      #expect(try await JournalRetention(pool: fixture.pool, days: 30).clean() == JournalRetention.Result())
    }
  }
}
