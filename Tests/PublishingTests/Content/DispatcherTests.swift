import Audit
import FoundationEssentials
import JSONText
import JobQueue
import PluginHost
import Postgres
import TestSupport
import Testing

@testable import Publishing

/// A dispatch from the request to the rows, with a queue that does not run.
@Suite(.database) struct DispatcherTests {
  private func rows(_ fixture: PublishingFixture) async throws -> [Int] {
    var counts: [Int] = []
    for table in ["distributions", "deliveries", "jobs", "due", "job_groups", "outbox", "idempotency_keys"] {
      counts.append(try await fixture.count("SELECT count(*) FROM \(identifier: table)"))
    }
    return counts
  }

  private func expectRefusal(
    _ code: String,
    _ fixture: PublishingFixture,
    _ request: DispatchRequest,
    location: SourceLocation = #_sourceLocation
  ) async throws {
    let before = try await rows(fixture)
    let error = await #expect(throws: PublishingError.self, sourceLocation: location) {
      try await fixture.dispatcher.dispatch(request)
    }
    #expect(error?.code == code, sourceLocation: location)
    #expect(try await rows(fixture) == before, "a refusal changes nothing", sourceLocation: location)
  }

  @Test func writesEverythingInOneTransaction() async throws {
    try await PublishingFixture.run { fixture in
      let post = try await fixture.makePost()
      let due = Date(timeIntervalSince1970: 4_000_000_000)
      let request = try fixture.request(post: post, scheduledFor: due, options: #"{"customMessage":"hi"}"#)
      let dispatched = try await fixture.dispatcher.dispatch(request) { dispatched in
        DispatchRecord(first: [
          """
          INSERT INTO idempotency_keys (site_id, user_id, key, request_hash, status, response)
          VALUES (\(fixture.site), \(fixture.user), 'k', '\\x00', 202, \("\(dispatched.distributionID)"))
          """
        ])
      }
      #expect(try await rows(fixture) == [1, 1, 1, 1, 1, 1, 1])
      let delivery = try await fixture.delivery(try #require(dispatched.deliveries.first).id)
      #expect(delivery.state == .pending)
      #expect(delivery.scheduledFor == due)
      #expect(delivery.nextAttemptAt == due)
      #expect(delivery.distributionID == dispatched.distributionID)
      #expect(delivery.platform == "probe")
      let job = try #require(try await fixture.pool.query("SELECT job_id, group_id, lane_id, kind FROM jobs").first)
      #expect(try job.get("job_id", as: Int64.self) == delivery.id)
      #expect(try job.get("group_id", as: Int64.self) == dispatched.distributionID)
      #expect(try job.get("lane_id", as: Int64.self) == fixture.lane)
    }
  }

  @Test func whatIsRecordedFailsWithTheRest() async throws {
    try await PublishingFixture.run { fixture in
      let post = try await fixture.makePost()
      let before = try await rows(fixture)
      await #expect(throws: PostgresError.self) {
        try await fixture.dispatcher.dispatch(fixture.request(post: post)) { _ in DispatchRecord(last: ["SELECT 1 / 0"])
        }
      }
      #expect(try await rows(fixture) == before)
    }
  }

  @Test func refusesWhatIsNotThere() async throws {
    try await PublishingFixture.run { fixture in
      let post = try await fixture.makePost()
      try await expectRefusal("post_not_found", fixture, fixture.request(post: post + 1))
      var request = try fixture.request(post: post)
      request.connectionIDs = [fixture.connection + 1]
      try await expectRefusal("connection_not_found", fixture, request)
      request.connectionIDs = []
      try await expectRefusal("out_of_range", fixture, request)
      request.targetIDs = [9]
      try await expectRefusal("target_not_found", fixture, request)
      request.targetIDs = []
      request.connectionIDs = [fixture.connection, fixture.connection]
      try await expectRefusal("connection_named_twice", fixture, request)
      request.connectionIDs = Array(repeating: fixture.connection, count: 101)
      try await expectRefusal("out_of_range", fixture, request)
    }
  }

  @Test func refusesWhatBelongsToAnotherSite() async throws {
    try await PublishingFixture.run { fixture in
      let other = try await PublishingFixture.makeSite(fixture.pool)
      let foreign = try await PublishingFixture.connect(fixture.pool, vault: fixture.vault, site: other, account: "b")
      let foreignPost = try await fixture.makePost(site: other)
      try await expectRefusal("post_not_found", fixture, fixture.request(post: foreignPost))
      var request = try fixture.request(post: try await fixture.makePost())
      request.connectionIDs = [foreign.connection]
      try await expectRefusal("connection_not_found", fixture, request)
      let target: Int64 = try await fixture.pool.query(
        """
        INSERT INTO publishing_targets (site_id, connection_id, name) VALUES (\(other), \(foreign.connection), 't')
        RETURNING id
        """
      )[0].get(0)
      request.connectionIDs = []
      request.targetIDs = [target]
      try await expectRefusal("target_not_found", fixture, request)
    }
  }

  @Test func refusesWhatIsSwitchedOff() async throws {
    try await PublishingFixture.run { fixture in
      let post = try await fixture.makePost()
      let target = try await fixture.pool.transaction(scope: .site(fixture.site)) { tx in
        try await TargetStore().create(
          name: "t",
          connection: fixture.connection,
          defaultPayload: "{}",
          isActive: false,
          rateLimitPerHour: nil,
          site: fixture.site,
          in: tx
        )
      }
      var request = try fixture.request(post: post)
      request.targetIDs = [target.id]
      request.connectionIDs = []
      try await expectRefusal("target_inactive", fixture, request)
      try await fixture.pool.execute("UPDATE publishing_targets SET is_active = true")
      request.connectionIDs = [fixture.connection]
      try await expectRefusal("connection_named_twice", fixture, request)
      try await fixture.pool.execute("UPDATE platform_connections SET status = 'expired'")
      try await expectRefusal("connection_not_active", fixture, fixture.request(post: post))
      try await fixture.disconnect()
      try await expectRefusal("connection_not_found", fixture, fixture.request(post: post))
      try await fixture.pool.execute("UPDATE posts SET deleted_at = now()")
      try await expectRefusal("post_not_found", fixture, fixture.request(post: post))
    }
  }

  @Test func theWholeWayOfTheTarget() async throws {
    try await PublishingFixture.run(
      #"text=${line#*'"text":"'}; text=${text%%'"'*}; http post post '{"text":"'"$text"'"}'; ok 1"#
    ) { fixture in
      let target = try await fixture.pool.transaction(scope: .site(fixture.site)) { tx in
        try await TargetStore().create(
          name: "t",
          connection: fixture.connection,
          defaultPayload: #"{"text":"from the target"}"#,
          isActive: true,
          rateLimitPerHour: nil,
          site: fixture.site,
          in: tx
        )
      }
      var request = try fixture.request(post: try await fixture.makePost())
      request.targetIDs = [target.id]
      request.connectionIDs = []
      _ = try await fixture.dispatcher.dispatch(request)
      try await fixture.drive()
      #expect(fixture.platform.published == [#"{"text":"from the target"}"#])
    }
  }

  @Test func theOldestOfAnAccountGoesFirst() async throws {
    try await PublishingFixture.run(
      #"text=${line#*'"text":"'}; text=${text%%'"'*}; http post post '{"text":"'"$text"'"}'; ok "$text""#
    ) { fixture in
      for age in [10, 30, 20] {
        _ = try await fixture.dispatch("\(age)", scheduledFor: Date().addingTimeInterval(-Double(age)))
      }
      try await fixture.drive()
      #expect(fixture.platform.published == ["30", "20", "10"].map { #"{"text":"\#($0)"}"# })
    }
  }
}
