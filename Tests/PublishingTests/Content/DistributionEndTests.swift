import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// The end of a distribution is told once, by whichever transaction ends the last of its deliveries.
@Suite(.database) struct DistributionEndTests {
  private static let publish =
    #"http post post '{"text":"a"}'; case $reply in *'"status":200'*) ok 1;; *) fail contentRejected userFix;; esac"#

  private struct Ended: Equatable {
    var deliveries: Int
    var states: String
  }

  private func accounts(_ fixture: PublishingFixture, _ count: Int) async throws -> [Int64] {
    var ids = [fixture.connection]
    for number in 1..<max(count, 1) {
      ids.append(
        try await PublishingFixture.connect(
          fixture.pool,
          vault: fixture.vault,
          site: fixture.site,
          account: "more\(number)"
        ).connection
      )
    }
    return ids
  }

  private func distribute(
    _ fixture: PublishingFixture,
    to connections: [Int64],
    scheduledFor: Date? = nil
  ) async throws -> (id: Int64, deliveries: [Int64]) {
    var request = try fixture.request(post: try await fixture.makePost(), scheduledFor: scheduledFor)
    request.connectionIDs = connections
    let dispatched = try await fixture.dispatcher.dispatch(request)
    return (dispatched.distributionID, dispatched.deliveries.map(\.id))
  }

  private func ends(_ fixture: PublishingFixture, _ id: Int64) async throws -> [Ended] {
    try await fixture.pool.query(
      """
      SELECT (data->>'deliveries')::int8 AS deliveries, (data->'states')::text AS states FROM outbox
      WHERE subject_id = \(id) AND kind = 'distribution.ended' ORDER BY id
      """
    ).map { Ended(deliveries: try $0.get("deliveries"), states: try $0.get("states")) }
  }

  @Test func theLastDeliveryEndsIt() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let (id, _) = try await distribute(fixture, to: accounts(fixture, 3))
      try await fixture.step()
      try await fixture.step()
      #expect(try await ends(fixture, id).isEmpty)
      fixture.platform.next("POST /posts", .rejected)
      try await fixture.step()
      #expect(try await ends(fixture, id) == [Ended(deliveries: 3, states: #"{"sent": 2, "failed": 1}"#)])
      let row = try await fixture.pool.query(
        """
        SELECT data->>'postId' AS post, (data->>'durationMs')::int8 AS duration, data ? 'scheduledFor' AS is_planned,
          (data->>'endedAt')::timestamptz = (SELECT max(ended_at) FROM deliveries) AS is_last, site_id
        FROM outbox WHERE kind = 'distribution.ended'
        """
      )[0]
      #expect(try row.get("post", as: String?.self) != nil)
      #expect(try row.get("duration", as: Int64.self) >= 0)
      #expect(try !row.get("is_planned", as: Bool.self))
      #expect(try row.get("is_last", as: Bool.self))
      #expect(try row.get("site_id", as: Int64.self) == fixture.site)
      // It is reopened, and ends again.
      _ = try await fixture.control.retryFailed(id, site: fixture.site, user: fixture.user)
      #expect(try await ends(fixture, id).count == 1)
      try await fixture.drive()
      #expect(try await ends(fixture, id).last == Ended(deliveries: 3, states: #"{"sent": 3}"#))
      #expect(try await ends(fixture, id).count == 2)
    }
  }

  @Test func whatIsWithdrawnEndsToo() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let (id, _) = try await distribute(
        fixture,
        to: accounts(fixture, 3),
        scheduledFor: Date().addingTimeInterval(3600)
      )
      _ = try await fixture.control.cancel(distribution: id, site: fixture.site, user: fixture.user)
      #expect(try await ends(fixture, id) == [Ended(deliveries: 3, states: #"{"canceled": 3}"#)])
    }
  }

  @Test func aStandInIsNotTheEnd() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let connections = try await accounts(fixture, 2)
      let (id, _) = try await distribute(
        fixture,
        to: [connections[0]],
        scheduledFor: Date().addingTimeInterval(3600)
      )
      _ = try await fixture.control.divert(
        connection: connections[0],
        to: connections[1],
        site: fixture.site,
        user: fixture.user
      )
      #expect(try await ends(fixture, id).isEmpty)
      try await fixture.drive()
      #expect(try await ends(fixture, id) == [Ended(deliveries: 2, states: #"{"sent": 1, "canceled": 1}"#)])
    }
  }

  /// Two hosts end the last two at the same moment; neither sees the other's end before it is told.
  @Test func endsThatDoNotSeeEachOtherAreOneEnd() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let (id, deliveries) = try await distribute(fixture, to: accounts(fixture, 2))
      try await fixture.pool.transaction(scope: .owner) { one in
        try await one.execute(Self.end(deliveries[0]))
        try await fixture.pool.transaction(scope: .owner) { other in
          _ = try await other.execute(Self.end(deliveries[1]))
        }
        // The second one was first to commit, and saw the first one open.
        let told = try await ends(fixture, id)
        #expect(told.isEmpty)
      }
      #expect(try await ends(fixture, id).count == 1)
    }
  }

  @Test func severalStatementsOfOneTransactionAreOneEnd() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let (id, deliveries) = try await distribute(fixture, to: accounts(fixture, 2))
      try await fixture.pool.transaction(scope: .owner) { tx in
        for delivery in deliveries { try await tx.execute(Self.end(delivery)) }
      }
      #expect(try await ends(fixture, id).count == 1)
    }
  }

  @Test func manyEndsAtOnceAreOneEndEach() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let connections = try await accounts(fixture, 6)
      var distributions: [(id: Int64, deliveries: [Int64])] = []
      for _ in 0..<8 { distributions.append(try await distribute(fixture, to: connections)) }
      // Each transaction ends one delivery of every distribution, half of them in the opposite order.
      try await withThrowingTaskGroup(of: Void.self) { group in
        for place in connections.indices {
          let own = distributions.map { $0.deliveries[place] }
          let order = place.isMultiple(of: 2) ? own : own.reversed()
          group.addTask {
            try await fixture.pool.transaction(scope: .owner) { tx in
              for delivery in order { try await tx.execute(Self.end(delivery)) }
            }
          }
        }
        try await group.waitForAll()
      }
      for distribution in distributions {
        #expect(try await ends(fixture, distribution.id) == [Ended(deliveries: 6, states: #"{"sent": 6}"#)])
      }
    }
  }

  private static func end(_ delivery: Int64) -> SQL {
    "UPDATE deliveries SET ended_as = 'sent', ended_at = clock_timestamp() WHERE id = \(delivery) AND ended_as IS NULL"
  }
}
