import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import Publishing

/// What old deliveries need no more goes; what proves what they did stays.
@Suite(.database) struct JournalRetentionTests {
  /// Made, started and ended so many days ago.
  private func age(_ id: Int64, days: Int64, _ fixture: PublishingFixture) async throws {
    try await fixture.pool.execute(
      """
      UPDATE deliveries SET created_at = now() - \(days + 1) * interval '1 day',
        ended_at = now() - \(days) * interval '1 day' WHERE id = \(id)
      """
    )
  }

  private struct Kept: Equatable {
    var captures = 0
    var answers = 0
    var inputs = 0
    var effects = 0
  }

  private func kept(_ id: Int64, _ fixture: PublishingFixture) async throws -> Kept {
    Kept(
      captures: try await fixture.count("SELECT count(*) FROM delivery_captures WHERE delivery_id = \(id)"),
      answers: try await fixture.count(
        "SELECT count(*) FROM delivery_effects WHERE delivery_id = \(id) AND answer IS NOT NULL"
      ),
      inputs: try await fixture.count("SELECT count(*) FROM delivery_inputs WHERE delivery_id = \(id)"),
      effects: try await fixture.count("SELECT count(*) FROM delivery_effects WHERE delivery_id = \(id)")
    )
  }

  private func capture(_ id: Int64, _ fixture: PublishingFixture) async throws {
    try await fixture.pool.execute(
      """
      INSERT INTO delivery_captures (delivery_id, run, step, name, try, site_id, kind, sealed, key_id)
      VALUES (\(id), 1, 'up', 'token', 1, \(fixture.site), 'secret', ''::bytea, 1)
      """
    )
  }

  @Test func anOldDeliveryLosesBodiesAndKeepsItsStory() async throws {
    try await PublishingFixture.run("http post post '{\"text\":\"a\"}'; ok 1") { fixture in
      let retention = JournalRetention(pool: fixture.pool, days: 30)
      #expect(try await retention.clean().total == 0)
      var ids: [Int64] = []
      for text in ["Old", "Young", "Waits", "Open"] {
        // Only one of them gets an answer that it must keep or lose.
        let id = try await fixture.dispatch(text)
        try await fixture.drive()
        #expect(try await fixture.delivery(id).state == .sent)
        try await fixture.pool.execute("UPDATE deliveries SET remote_id = NULL WHERE id = \(id)")
        try await capture(id, fixture)
        ids.append(id)
      }
      let whole = Kept(captures: 1, answers: 1, inputs: 1, effects: 1)
      for (id, days) in zip(ids, [31, 29, 31, 31] as [Int64]) {
        try await age(id, days: days, fixture)
        #expect(try await kept(id, fixture) == whole)
      }
      try await fixture.pool.execute("UPDATE deliveries SET ended_as = 'unconfirmed' WHERE id = \(ids[2])")
      try await fixture.pool.execute("UPDATE deliveries SET ended_as = NULL WHERE id = \(ids[3])")
      #expect(try await retention.clean().total == 1)
      #expect(try await kept(ids[0], fixture) == Kept(effects: 1))
      for id in ids.dropFirst() { #expect(try await kept(id, fixture) == whole) }
      #expect(try await fixture.delivery(ids[0]).state == .sent)
      #expect(try await retention.clean().total == 0)
      // A shorter time takes the younger one too.
      #expect(try await JournalRetention(pool: fixture.pool, days: 28).clean().total == 1)
      #expect(try await kept(ids[1], fixture) == Kept(effects: 1))
    }
  }

  /// The platform's id, which stays, is answer enough; without it the post is looked for.
  @Test(arguments: [true, false])
  func aDeliveryThatIsRetriedWithoutItsAnswersPublishesNothingTwice(isIDKnown: Bool) async throws {
    let verdict =
      isIDKnown
      ? #"{"verdict":"unknown","why":"nobody asked"}"#
      : #"{"verdict":"found","remoteId":"1","url":"https://a.example/1"}"#
    let script = #"""
      case $method in
        post/reconcile) answer '\#(verdict)'; continue;;
      esac
      http post post '{"text":"a"}'
      if failed; then fail internal never; else ok 1; fi
      """#
    try await PublishingFixture.run(script) { fixture in
      let id = try await fixture.dispatch()
      try await fixture.drive()
      try await fixture.pool.execute("UPDATE deliveries SET ended_as = 'partial' WHERE id = \(id)")
      try await age(id, days: 40, fixture)
      #expect(try await JournalRetention(pool: fixture.pool, days: 30).clean().total == 1)
      if !isIDKnown { try await fixture.pool.execute("UPDATE delivery_effects SET remote_id = NULL") }
      try await fixture.control.retry(id, site: fixture.site, user: fixture.user)
      try await fixture.drive()
      #expect(fixture.platform.published.count == 1)
      #expect(try await fixture.delivery(id).state == .sent)
    }
  }

  @Test func manyDeliveriesAreCleanedPieceByPiece() async throws {
    try await PublishingFixture.run { fixture in
      let first = try await fixture.dispatch()
      try await fixture.drive()
      let count = JournalRetention.pieceSize * 2 + 1
      try await fixture.pool.execute(
        """
        WITH made AS (
          INSERT INTO deliveries (id, site_id, distribution_id, connection_id, lane_id, platform, post_id, post_version,
            scheduled_for, ended_as, ended_at, created_at)
          SELECT \(first) + n, site_id, distribution_id, connection_id, lane_id, platform, post_id, post_version,
            scheduled_for, 'failed', now() - n * interval '1 min' - interval '31 days', now() - interval '90 days'
          FROM deliveries, generate_series(1, \(Int64(count))) n WHERE id = \(first) RETURNING id, site_id
        )
        INSERT INTO delivery_inputs (delivery_id, run, site_id, variant, started_at, seed, plugin_version)
        SELECT id, 1, site_id, '{}', now(), ''::bytea, '1.0.0' FROM made
        """
      )
      try await fixture.pool.execute(
        "UPDATE deliveries SET created_at = now() - interval '91 days' WHERE id = \(first)"
      )
      #expect(try await JournalRetention(pool: fixture.pool, days: 30).clean().total == count)
      #expect(try await fixture.count("SELECT count(*) FROM delivery_inputs WHERE delivery_id <> \(first)") == 0)
    }
  }
}
