import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// What a claim brings along for each delivery.
@Suite(.database) struct DeliveryTaskTests {
  @Test func eachDeliveryOfOneClaimBringsItsOwnPostAndAccount() async throws {
    try await PublishingFixture.run { fixture in
      let second = try await PublishingFixture.connect(
        fixture.pool,
        vault: fixture.vault,
        site: fixture.site,
        account: "second"
      )
      var expected: [Int64: (title: String, connection: Int64)] = [:]
      for number in 1...4 {
        let connection = number % 2 == 0 ? second.connection : fixture.connection
        let title = "Post \(number)"
        var request = try fixture.request(post: try await fixture.makePost(title))
        request.connectionIDs = [connection]
        let id = try #require(try await fixture.dispatcher.dispatch(request).deliveries.first).id
        expected[id] = (title, connection)
      }
      try await fixture.pool.execute("UPDATE lanes SET cap = 4")
      try await fixture.promote()
      let claim = ClaimOperation(
        shape: fixture.queue.shape,
        kinds: [DeliveryHandler.kind],
        request: ClaimLedger.Request(count: 10, quantum: 10, afterSite: .min)
      )
      let rows = try await fixture.pool.query(ClaimOperation.statement(for: [claim]))
      let jobs = try ClaimOperation.outputs(of: rows, for: [claim])[0].jobs
      #expect(jobs.map(\.id).sorted() == expected.keys.sorted())
      for job in jobs {
        let task = try DeliveryTask(row: job.row)
        #expect(task.id == job.id)
        #expect(task.title == expected[job.id]?.title)
        #expect(task.connectionID == expected[job.id]?.connection)
        #expect(!task.hasEffects)
      }
    }
  }
}
