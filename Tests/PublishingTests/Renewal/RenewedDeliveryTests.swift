import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// Deliveries whose account's token ends or is refused.
@Suite(.database) struct RenewedDeliveryTests {
  /// Publishes, and says what the platform's 401 means.
  private static let script = #"""
    http post post '{"text":"a"}'
    case $reply in
      *'"status":401'*) fail authExpired reauth;;
      *'"kind":"overloaded"'*) fail overloaded after ',"retryAfterMs":1000';;
      *'"error"'*) fail authExpired reauth;;
      *) ok 1;;
    esac
    """#

  @Test func anEndedTokenIsRenewedBeforeTheRequestLeaves() async throws {
    try await PublishingFixture.runWithTokens(Self.script) { fixture in
      let id = try await fixture.dispatch()
      try await fixture.expire()
      let ways = try await fixture.drive()
      #expect(ways.count == 1)
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(fixture.platform.tokens.refreshes == 1)
      #expect(fixture.platform.published.count == 1)
    }
  }

  @Test func aTokenWhoseTimeHasComeIsUsedAndRenewedBeside() async throws {
    try await PublishingFixture.runWithTokens(Self.script) { fixture in
      let id = try await fixture.dispatch()
      try await fixture.grant(age: 6_000)
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      // Joins what was begun, or finds it done.
      _ = try await fixture.renew(.due)
      #expect(fixture.platform.tokens.refreshes == 1)
    }
  }

  @Test func aRefusedTokenIsRenewedAndThePostGoesOutOnce() async throws {
    try await PublishingFixture.runWithTokens(Self.script) { fixture in
      let id = try await fixture.dispatch()
      try await fixture.grant(age: 1_000)
      fixture.platform.next("POST /posts", .refused(401))
      let ways = try await fixture.drive()
      #expect(ways.count == 2)
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(delivery.attempts == 1)
      #expect(fixture.platform.published.count == 1)
      #expect(fixture.platform.tokens.refreshes == 1)
      let status = try await fixture.status()
      #expect(status == "active")
    }
  }

  @Test func aNewTokenThatIsRefusedTooNeedsAPerson() async throws {
    try await PublishingFixture.runWithTokens(Self.script) { fixture in
      let id = try await fixture.dispatch()
      try await fixture.grant(age: 1_000)
      fixture.platform.next("POST /posts", .refused(401), .refused(401), .refused(401))
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .failed)
      #expect(fixture.platform.tokens.refreshes == 1)
      let status = try await fixture.status()
      #expect(status == "expired")
    }
  }

  @Test func aPlatformThatRenewsNothingNowPutsTheDeliveryOff() async throws {
    try await PublishingFixture.runWithTokens(Self.script) { fixture in
      let id = try await fixture.dispatch()
      try await fixture.expire()
      fixture.platform.next("POST /token", .refused(429))
      let way = try await fixture.step()
      guard case .snoozed? = way else {
        Issue.record("\(String(describing: way))")
        return
      }
      #expect(fixture.platform.count("POST /posts") == 0)
      try await fixture.expire()
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(fixture.platform.published.count == 1)
    }
  }

  @Test func aDeadTokenFailsWithWordsAndWaitsForThePerson() async throws {
    try await PublishingFixture.runWithTokens(Self.script) { fixture in
      let id = try await fixture.dispatch()
      fixture.platform.change { $0.revoke("by the person") }
      try await fixture.expire()
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .failed)
      #expect(fixture.platform.count("POST /posts") == 0)
      let status = try await fixture.status()
      #expect(status == "expired")
    }
  }
}
