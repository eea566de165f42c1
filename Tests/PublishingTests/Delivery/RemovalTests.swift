import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// Published posts that are deleted on their platform.
@Suite(.database) struct RemovalTests {
  private static let script = #"""
    case $method in
      post/delete)
        ask erase delete ',"path":{"id":"7"}'; IFS= read -r reply || exit 0
        case $reply in
          *'"status":200'*|*'"status":404'*) answer '{"deleted":true}';;
          *'"status":4'*) fail contentRejected never;;
          *) fail outcomeUnknown reconcile;;
        esac; continue;;
    esac
    http post post '{"text":"a"}'; ok 7
    """#

  private func sent(_ fixture: PublishingFixture) async throws -> Int64 {
    let id = try await fixture.dispatch()
    try await fixture.drive()
    try #require(try await fixture.delivery(id).state == .sent)
    return id
  }

  private func code(_ fixture: PublishingFixture, _ id: Int64) async -> String? {
    await #expect(throws: PublishingError.self) {
      try await fixture.control.removeFromPlatform(id, site: fixture.site, user: nil)
    }?.code
  }

  @Test func aPublishedPostIsDeletedOnce() async throws {
    try await PublishingFixture.run(Self.script) { fixture in
      let id = try await sent(fixture)
      try await fixture.control.removeFromPlatform(id, site: fixture.site, user: fixture.user)
      #expect(try await fixture.delivery(id).removal == .asked)
      #expect(await code(fixture, id) == "being_removed")
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(delivery.removal == .removed)
      #expect(delivery.removedAt != nil)
      #expect(fixture.platform.count("DELETE /posts/7") == 1)
      #expect(fixture.platform.count("POST /posts") == 1)
      #expect(
        try await fixture.events(id) == ["delivery.sent", "delivery.removalAsked", "delivery.removed"]
      )
      #expect(await code(fixture, id) == "removed")
      #expect(try await fixture.drive().isEmpty)
    }
  }

  @Test func whatIsGoneAlreadyCountsAsDeleted() async throws {
    try await PublishingFixture.run(Self.script) { fixture in
      let id = try await sent(fixture)
      fixture.platform.next("DELETE /posts/7", ProbePlatform.Answer(status: 404, body: "{}"))
      try await fixture.control.removeFromPlatform(id, site: fixture.site, user: nil)
      try await fixture.drive()
      #expect(try await fixture.delivery(id).removal == .removed)
    }
  }

  @Test func anUnknownOutcomeIsAskedAgain() async throws {
    try await PublishingFixture.run(Self.script) { fixture in
      let id = try await sent(fixture)
      fixture.platform.next("DELETE /posts/7", .unknown)
      try await fixture.control.removeFromPlatform(id, site: fixture.site, user: nil)
      try await fixture.drive()
      #expect(try await fixture.delivery(id).removal == .removed)
      #expect(fixture.platform.count("DELETE /posts/7") == 2)
    }
  }

  @Test func aRefusalIsToldAndCanBeTriedAgain() async throws {
    try await PublishingFixture.run(Self.script) { fixture in
      let id = try await sent(fixture)
      fixture.platform.next("DELETE /posts/7", .rejected)
      try await fixture.control.removeFromPlatform(id, site: fixture.site, user: nil)
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.removal == .failed)
      #expect(delivery.state == .sent)
      #expect(delivery.removalError?.contains("contentRejected") == true)
      try await fixture.control.removeFromPlatform(id, site: fixture.site, user: nil)
      try await fixture.drive()
      #expect(try await fixture.delivery(id).removal == .removed)
    }
  }

  @Test func aDeletionWithoutARequestIsNotBelieved() async throws {
    let script =
      #"case $method in post/delete) answer '{"deleted":true}'; continue;; esac; http post post '{"text":"a"}'; ok 7"#
    try await PublishingFixture.run(script) { fixture in
      let id = try await sent(fixture)
      try await fixture.control.removeFromPlatform(id, site: fixture.site, user: nil)
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.removal == .failed)
      #expect(delivery.removalError?.contains("protocolViolation") == true)
    }
  }

  @Test func onlyWhatIsOutIsDeleted() async throws {
    try await PublishingFixture.run(Self.script) { fixture in
      let id = try await fixture.dispatch(scheduledFor: Date().addingTimeInterval(3600))
      #expect(await code(fixture, id) == "not_published")
      try await fixture.control.cancel(id, site: fixture.site, user: nil)
      #expect(await code(fixture, id) == "not_published")
    }
  }

  @Test func anAdapterThatCanNotDeleteSaysSo() async throws {
    let methods = ProbeManifest.methods.filter { $0 != "post/delete" }
    let egress = ProbeManifest.egress.replacing(#""calls": ["post/delete"]"#, with: #""calls": ["post/publish"]"#)
    try await PublishingFixture.run(Self.script, manifest: ProbeManifest.text(methods: methods, egress: egress)) {
      fixture in
      let id = try await sent(fixture)
      #expect(await code(fixture, id) == "not_supported")
    }
  }
}
