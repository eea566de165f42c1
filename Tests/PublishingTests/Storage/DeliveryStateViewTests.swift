import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// The SQL holds the same table as the state machine.
@Suite(.database) struct DeliveryStateViewTests {
  /// A way to bring about an event with the queue's own statements; answers nothing, the view tells what happened.
  private func apply(_ event: DeliveryEvent, to id: Int64, _ fixture: PublishingFixture) async throws {
    let lease = try await lease(of: id, fixture)
    func end(_ state: DeliveryState) async throws {
      guard let lease else { return }
      let end = EndDelivery(lease: lease, end: DeliveryEnd(state), attempts: 1)
      _ = try await fixture.queue.writer.submit(end, with: settlement(lease, .finished))
    }
    switch event {
    case .becameDue: try await fixture.promote()
    case .claimed:
      let claim = ClaimOperation(
        shape: fixture.queue.shape,
        kinds: [DeliveryHandler.kind],
        request: ClaimLedger.Request(count: 1, quantum: 1, afterSite: .min)
      )
      _ = try await fixture.pool.query(ClaimOperation.statement(for: [claim]))
    case .released: if let lease { _ = try await fixture.queue.writer.submit(settlement(lease, .released)) }
    case .retryPlanned:
      if let lease {
        _ = try await fixture.queue.writer.submit(settlement(lease, .retried, delay: .seconds(3600)))
      }
    case .published: try await end(.sent)
    case .publishedInPart:
      if lease == nil { try await answer(.giveUp, id, fixture, accepted: true) } else { try await end(.partial) }
    case .gaveUp:
      if lease == nil { try await answer(.giveUp, id, fixture, accepted: false) } else { try await end(.failed) }
    case .leftUnknown: try await end(.unconfirmed)
    case .withdrawn, .withdrawnInPart:
      if event == .withdrawnInPart { try await accept(id, fixture) }
      // Refusals are what the test wants to see.
      _ = try? await fixture.control.cancel(id, site: fixture.site, user: nil)
      if let lease { _ = try await fixture.queue.writer.submit(settlement(lease, .refused)) }
    case .askedAgain:
      let before = try await fixture.delivery(id).state
      _ = try? await fixture.control.retry(id, site: fixture.site, user: nil)
      _ = try? await fixture.control.answer(.notPublished, for: id, site: fixture.site, user: fixture.user)
      // The test looks at the state after the queue has noticed.
      if before.isEnd { try await fixture.promote() }
    case .confirmed: try await answer(.published(url: nil), id, fixture, accepted: false)
    case .postedByHand:
      // Refusals are what the test wants to see.
      _ = try? await fixture.control.postedByHand(
        id,
        url: "https://a.example/1",
        site: fixture.site,
        user: fixture.user
      )
    }
  }

  private func answer(
    _ answer: DeliveryControl.Answer,
    _ id: Int64,
    _ fixture: PublishingFixture,
    accepted: Bool
  ) async throws {
    if accepted { try await accept(id, fixture) }
    _ = try? await fixture.control.answer(answer, for: id, site: fixture.site, user: fixture.user)
  }

  /// A commit of an earlier run that was accepted.
  private func accept(_ id: Int64, _ fixture: PublishingFixture) async throws {
    try await fixture.pool.execute(
      """
      INSERT INTO delivery_effects (delivery_id, run, step, try, site_id, nonce, rule, class, digest, state, outcome,
        fence, node_epoch)
      VALUES (\(id), 1, 'one', 1, \(fixture.site), gen_random_uuid(), 'post', 'commit', 'd1:a', 'done', 'accepted',
        0, gen_random_uuid())
      """
    )
  }

  private func lease(of id: Int64, _ fixture: PublishingFixture) async throws -> Lease? {
    try await fixture.pool.query("SELECT fence, node_epoch FROM leases WHERE job_id = \(id)").first.map { row in
      Lease(jobID: id, fence: try row.get(0), nodeEpoch: try row.get(1))
    }
  }

  private func settlement(
    _ lease: Lease,
    _ way: SettleOperation.Way,
    delay: Duration = .zero
  ) -> SettleOperation {
    SettleOperation(lease: lease, way: way, delay: delay, hooks: DeliveryClosing.hooks)
  }

  /// The events that lead to each state.
  private static let paths: [DeliveryState: [DeliveryEvent]] = [
    .pending: [], .queued: [.becameDue], .sending: [.becameDue, .claimed],
    .retrying: [.becameDue, .claimed, .retryPlanned], .sent: [.becameDue, .claimed, .published],
    .partial: [.becameDue, .claimed, .publishedInPart], .failed: [.becameDue, .claimed, .gaveUp],
    .unconfirmed: [.becameDue, .claimed, .leftUnknown], .canceled: [.withdrawn],
  ]

  @Test(arguments: DeliveryState.allCases) func movesAsTheMachineDoes(state: DeliveryState) async throws {
    try await PublishingFixture.run { fixture in
      for event in DeliveryEvent.allCases {
        let id = try await fixture.dispatch("\(state) \(event)", scheduledFor: Date().addingTimeInterval(3600))
        for step in try #require(Self.paths[state]) { try await apply(step, to: id, fixture) }
        try #require(try await fixture.delivery(id).state == state)
        try await apply(event, to: id, fixture)
        let after = try await fixture.delivery(id).state
        #expect(after == state.after(event) ?? state, "\(state) \(event)")
        try await clear(id, fixture)
      }
    }
  }

  /// Takes the delivery out of the queue, so that the next one is the only one.
  private func clear(_ id: Int64, _ fixture: PublishingFixture) async throws {
    for table in ["due", "ready", "parked", "leases", "jobs"] {
      try await fixture.pool.execute("DELETE FROM \(identifier: table)")
    }
    try await fixture.pool.execute("UPDATE lanes SET pending = 0, inflight = 0, runnable_at = 'infinity'")
  }

  @Test func aPausedGroupIsQueued() async throws {
    try await PublishingFixture.run { fixture in
      let id = try await fixture.dispatch()
      let group = try await fixture.delivery(id).distributionID
      _ = try await fixture.queue.pauseGroup(group)
      try await fixture.promote()
      #expect(try await fixture.count("SELECT count(*) FROM parked") == 1)
      #expect(try await fixture.delivery(id).state == .queued)
    }
  }

  @Test func whatThePlatformPutsOffIsRetrying() async throws {
    try await PublishingFixture.run { fixture in
      let id = try await fixture.dispatch()
      let lease = try #require(try await fixture.claim()).lease
      _ = try await fixture.queue.writer.submit(settlement(lease, .snoozed, delay: .seconds(3600)))
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .retrying)
      #expect(delivery.attempts == 0)
      let step = DeliveryStep(
        run: 1,
        step: "post",
        attempt: 1,
        rule: "createPost",
        effectClass: "commit",
        digest: "d1:0",
        outcome: "rejected",
        status: 429,
        startedAt: Date()
      )
      let story = DeliveryStory.summary(delivery, [step])
      #expect(story.hasPrefix("Put off until "))
      #expect(story.hasSuffix("The platform answered 429 to “post”. 1 request was made."))
    }
  }

  @Test func thePhaseOfTheLeaseDoesNotMatter() async throws {
    try await PublishingFixture.run { fixture in
      let id = try await fixture.dispatch()
      _ = try #require(try await fixture.claim())
      for phase in 1...3 {
        try await fixture.pool.execute("UPDATE leases SET phase = \(Int16(phase))")
        #expect(try await fixture.delivery(id).state == .sending)
      }
    }
  }

  @Test func versionsOfAPostNeverChange() async throws {
    try await PublishingFixture.run { fixture in
      let post = try await fixture.makePost()
      for scope in [Scope.owner, .site(fixture.site)] {
        await #expect(throws: PostgresError.self) {
          try await fixture.pool.execute("UPDATE post_versions SET title = 'x' WHERE post_id = \(post)", scope: scope)
        }
      }
      await #expect(throws: PostgresError.self) {
        try await fixture.pool.execute("DELETE FROM post_versions", scope: .site(fixture.site))
      }
    }
  }
}
