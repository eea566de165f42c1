import FoundationEssentials
import JSONText
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// What is said about a delivery: why it waits, what comes next, what a person can do.
@Suite(.database) struct DeliveryExplanationTests {
  private func explain(_ fixture: PublishingFixture, _ id: Int64) async throws -> DeliveryExplanation {
    try await fixture.pool.transaction(scope: .site(fixture.site)) { tx in
      try await DeliveryStore().explain(id, in: tx)
    }
  }

  @Test func aPlannedDeliveryWaitsForItsTime() async throws {
    try await PublishingFixture.run { fixture in
      let due = Date().addingTimeInterval(3600)
      let story = try await explain(fixture, try await fixture.dispatch(scheduledFor: due))
      #expect(story.holds.map(\.kind) == ["planned"])
      #expect(story.next == "It is sent")
      #expect(abs(try #require(story.nextAt).timeIntervalSince(due)) < 1)
      #expect(story.choices == [.cancel])
      #expect(story.attempts.isEmpty)
    }
  }

  @Test func aDeliveryThatWasPutOffKeepsTheReason() async throws {
    try await PublishingFixture.run(#"fail platformDown after ',"retryAfterMs":600000'"#) { fixture in
      let id = try await fixture.dispatch()
      try await fixture.step()
      // The fixture settles without the wait.
      try await fixture.pool.execute("UPDATE due SET due_at = now() + interval '600 s'")
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .retrying)
      #expect(delivery.error?.contains("platformDown") == true)
      let story = try await explain(fixture, id)
      #expect(story.holds.map(\.kind) == ["planned"])
      #expect(story.attempts.map(\.outcome) == ["putOff"])
      #expect(try #require(story.nextAt) > Date().addingTimeInterval(300))
    }
  }

  @Test func whoStandsInFrontIsCounted() async throws {
    try await PublishingFixture.run { fixture in
      _ = try await fixture.dispatch("1")
      _ = try await fixture.dispatch("2")
      let last = try await fixture.dispatch("3")
      let running = try #require(try await fixture.claim())
      let story = try await explain(fixture, last)
      #expect(running.id < last)
      #expect(story.holds.map(\.kind).contains("order"))
      #expect(story.holds.map(\.kind).contains("account"))
      #expect(story.nextAt == nil)
      #expect(try await explain(fixture, running.id).next == "Its requests are made")
    }
  }

  @Test func anUnconfirmedDeliverySaysWhatToLookFor() async throws {
    let script =
      #"case $method in post/reconcile) answer '{"verdict":"unknown","why":"x"}'; continue;; esac; http post post '{"text":"a"}'; fail outcomeUnknown reconcile"#
    try await PublishingFixture.run(script, manifest: ProbeManifest.text(absence: "never")) { fixture in
      try await fixture.pool.execute("UPDATE platform_connections SET account_url = 'https://a.example/me'")
      fixture.platform.next("POST /posts", .unknown)
      let id = try await fixture.dispatch("Where am I")
      try await fixture.drive()
      let story = try await explain(fixture, id)
      let check = try #require(story.check)
      #expect(check.text == "Where am I")
      #expect(check.accountURL == "https://a.example/me")
      #expect(check.from <= check.to)
      #expect(check.from > Date().addingTimeInterval(-60))
      #expect(story.choices == [.published, .notPublished, .giveUp])
      #expect(story.next == nil)
      #expect(story.steps.filter { $0.effectClass == "commit" }.allSatisfy { $0.digest.hasPrefix("d1:") })
      let object = try story.parts().object()
      #expect(try object.object("check").string("accountUrl") == "https://a.example/me")
    }
  }

  @Test func everyHoldHasItsWord() {
    let now = Date()
    var facts = QueueFacts()
    facts.place = .ready
    facts.isCanceled = true
    facts.groupPausedAt = now
    facts.isLanePaused = true
    facts.isSitePaused = true
    facts.connectionStatus = "expired"
    facts.blocks = [LaneHold(extent: .connection, platform: "a", connectionID: 1, until: now.addingTimeInterval(1))]
    facts.rateUntil = now.addingTimeInterval(2)
    facts.poolUntil = now.addingTimeInterval(3)
    facts.gapUntil = now.addingTimeInterval(4)
    facts.ahead = 1
    facts.isLaneFull = true
    #expect(
      DeliveryStory.holds(facts, now: now).map(\.kind) == [
        "canceled", "distributionPaused", "connectionPaused", "sitePaused", "connection", "blocked", "rate",
        "sharedRate", "gap", "order", "account",
      ]
    )
    facts.place = .unknown
    #expect(DeliveryStory.holds(facts, now: now).map(\.kind) == ["outcomeUnknown"])
    #expect(DeliveryStory.holds(QueueFacts(), now: now).isEmpty)
  }
}
