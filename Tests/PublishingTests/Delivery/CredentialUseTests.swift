import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// The audit trail tells once for each run of a delivery that it used the account's credentials.
@Suite(.database) struct CredentialUseTests {
  private func uses(_ fixture: PublishingFixture) async throws -> [String] {
    try await fixture.pool.query(
      """
      SELECT subject || ' ' || (details->>'delivery') || ' ' || (details->>'run') || ' ' || (details->>'for')
      FROM audit_logs WHERE action = 'credential.use' AND site_id = \(fixture.site) ORDER BY id
      """
    ).map { try $0.get(0, as: String.self) }
  }

  @Test func publishingAndDeletingHaveARowEach() async throws {
    let script = #"""
      case $method in
        post/delete)
          ask erase delete ',"path":{"id":"7"}'; IFS= read -r reply || exit 0
          answer '{"deleted":true}'; continue;;
      esac
      http post post '{"text":"a"}'; ok 7
      """#
    try await PublishingFixture.run(script) { fixture in
      let id = try await fixture.dispatch()
      try await fixture.drive()
      let published = "connection:\(fixture.connection) \(id) 1 publish"
      #expect(try await uses(fixture) == [published])
      try await fixture.control.removeFromPlatform(id, site: fixture.site, user: nil)
      try await fixture.drive()
      let all = try await uses(fixture)
      #expect(all.count == 2 && all.first == published)
      #expect(all.last?.hasSuffix(" delete") == true)
    }
  }

  @Test func whatAsksForNothingUsesNothing() async throws {
    try await PublishingFixture.run("fail contentRejected userFix") { fixture in
      _ = try await fixture.dispatch()
      try await fixture.drive()
      #expect(try await uses(fixture) == [])
    }
  }

  /// Three attempts of one run, of which the first was put off.
  @Test func attemptsOfOneRunShareARow() async throws {
    let script =
      #"http post post '{"text":"a"}'; if once wait; then answer '{"wait":{"afterMs":1000,"why":"v"}}'; else ok 1; fi"#
    try await PublishingFixture.run(script) { fixture in
      let id = try await fixture.dispatch()
      #expect(try await fixture.step() == .snoozed(.seconds(1)))
      #expect(try await uses(fixture) == [])
      #expect(try await fixture.count("SELECT count(*) FROM deliveries WHERE credential_run = run") == 1)
      try await fixture.drive()
      #expect(try await uses(fixture) == ["connection:\(fixture.connection) \(id) 1 publish"])
    }
  }

  /// A delivery that used them and is then withdrawn tells it too; one that never began does not.
  @Test func aWithdrawnDeliveryTellsWhatItUsed() async throws {
    let script = #"http post post '{"text":"a"}'; fail internal retry"#
    try await PublishingFixture.run(script) { fixture in
      fixture.platform.next("POST /posts", .refused(400))
      let planned = try await fixture.dispatch("later", scheduledFor: Date().addingTimeInterval(3_600))
      try await fixture.control.cancel(planned, site: fixture.site, user: nil)
      #expect(try await uses(fixture) == [])
      let id = try await fixture.dispatch("now")
      _ = try await fixture.step()
      try #require(try await fixture.delivery(id).state == .retrying)
      try await fixture.control.cancel(id, site: fixture.site, user: nil)
      #expect(try await uses(fixture) == ["connection:\(fixture.connection) \(id) 1 publish"])
    }
  }
}
