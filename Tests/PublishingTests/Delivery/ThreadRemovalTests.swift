import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// Published threads that are deleted on their platform: every post, one after the other.
@Suite(.database) struct ThreadRemovalTests {
  /// Publishes three parts and deletes by the id that it is given; `extra` runs before a deletion answers.
  private static func script(_ extra: String = ":") -> String {
    #"""
    case $method in
      post/reconcile) answer '{"verdict":"unknown","why":"no list"}';;
      post/delete)
        rid=${line#*'"remoteId":"'}; rid=${rid%%'"'*}
        ask erase delete ',"path":{"id":"'$rid'"}'; IFS= read -r reply || exit 0
        \#(extra)
        case $reply in
          *'"status":200'*|*'"status":404'*) answer '{"deleted":true}';;
          *'"status":4'*) fail contentRejected never;;
          *) fail outcomeUnknown reconcile;;
        esac;;
      *) last=
        for s in one two three; do
          http post $s '{"text":"'$s'"}'
          case $reply in
            *'"status":200'*) ;;
            *'"status":4'*) answer '{"partial":{"remoteId":"1","sent":1,"total":3,"error":{"code":1003,"message":"no","data":{"kind":"authExpired","retry":"reauth"}}}}'; continue 2;;
            *) fail outcomeUnknown reconcile; continue 2;;
          esac
        done
        ok 1;;
    esac
    """#
  }

  private func remove(_ id: Int64, _ fixture: PublishingFixture) async throws {
    try await fixture.control.removeFromPlatform(id, site: fixture.site, user: fixture.user)
    try await fixture.drive()
  }

  private func deletions(_ fixture: PublishingFixture) -> [String] {
    fixture.platform.received.filter { $0.method == "DELETE" }.map { String($0.path.dropFirst(7)) }
  }

  private func published(_ fixture: PublishingFixture) async throws -> Int64 {
    let id = try await fixture.dispatchThread()
    try await fixture.drive()
    try #require(try await fixture.delivery(id).state == .sent)
    return id
  }

  @Test func everyPostIsDeletedTheNewestFirst() async throws {
    try await PublishingFixture.run(Self.script()) { fixture in
      let id = try await published(fixture)
      try await remove(id, fixture)
      #expect(deletions(fixture) == ["3", "2", "1"])
      let delivery = try await fixture.delivery(id)
      #expect(delivery.removal == .removed)
      #expect(delivery.removalError == nil)
      #expect(delivery.removedPosts == (3, 3))
      let steps = try await fixture.pool.query(
        "SELECT step FROM delivery_effects WHERE delivery_id = \(id) AND run = 2 ORDER BY started_at"
      ).map { try $0.get("step", as: String.self) }
      #expect(steps == ["delete (3)", "delete (2)", "delete"])
      #expect(try await fixture.drive().isEmpty)
    }
  }

  @Test func whatIsGoneAlreadyCountsAsDeleted() async throws {
    try await PublishingFixture.run(Self.script()) { fixture in
      let id = try await published(fixture)
      fixture.platform.next("DELETE /posts/3", ProbePlatform.Answer(status: 404, body: "{}"))
      fixture.platform.next("DELETE /posts/1", ProbePlatform.Answer(status: 404, body: "{}"))
      try await remove(id, fixture)
      #expect(try await fixture.delivery(id).removal == .removed)
    }
  }

  @Test func anUnknownOutcomeIsAskedAgainAndNothingElseIs() async throws {
    try await PublishingFixture.run(Self.script()) { fixture in
      let id = try await published(fixture)
      fixture.platform.next("DELETE /posts/2", .unknown)
      try await remove(id, fixture)
      #expect(try await fixture.delivery(id).removal == .removed)
      #expect(deletions(fixture) == ["3", "2", "2", "1"])
    }
  }

  @Test(arguments: ["1", "2", "3"]) func aPluginThatDiesRepeatsNothing(_ part: String) async throws {
    let death = "[ $rid = \(part) ] && once died && die"
    try await PublishingFixture.run(Self.script(death)) { fixture in
      let id = try await published(fixture)
      try await remove(id, fixture)
      #expect(try await fixture.delivery(id).removal == .removed)
      #expect(deletions(fixture) == ["3", "2", "1"])
    }
  }

  /// The host is gone after some request: another one takes the job up with what the journal holds.
  @Test func anotherHostGoesOnWhereOneStopped() async throws {
    try await PublishingFixture.run(Self.script()) { fixture in
      let id = try await published(fixture)
      try await fixture.control.removeFromPlatform(id, site: fixture.site, user: fixture.user)
      let job = try #require(try await fixture.claim())
      _ = try #require(fixture.assembly.handlers[job.kind])
      _ = await fixture.assembly.handlers[job.kind]?.run(job)
      // What it would have stored is lost with it.
      let lost: Int = try await fixture.pool.execute(
        "UPDATE leases SET check_at = '-infinity', phase = 3 WHERE job_id = \(id)"
      )
      #expect(lost == 1)
      #expect(try await fixture.delivery(id).removal == .asked)
      try await fixture.drive()
      #expect(try await fixture.delivery(id).removal == .removed)
      #expect(deletions(fixture) == ["3", "2", "1"])
    }
  }

  @Test func aRefusalOfOnePostIsToldAndTheRestGoes() async throws {
    try await PublishingFixture.run(Self.script()) { fixture in
      let id = try await published(fixture)
      fixture.platform.next("DELETE /posts/2", .rejected)
      try await remove(id, fixture)
      let delivery = try await fixture.delivery(id)
      #expect(delivery.removal == .failed)
      #expect(delivery.removalError?.contains("2 of 3 posts of the thread are deleted") == true)
      let parts = try await fixture.parts(of: id)
      #expect(parts.map(\.isRemoved) == [true, false, true])
      let summary = DeliveryStory.summary(delivery, [])
      #expect(summary.contains("2 of its 3 known posts are deleted"))
      #expect(DeliveryStory.choices(delivery, QueueFacts()) == [.deleteOnPlatform])
      // Asked again, only what is left is deleted.
      try await remove(id, fixture)
      #expect(deletions(fixture) == ["3", "2", "1", "2"])
      let whole = try await fixture.delivery(id)
      #expect(whole.removal == .removed)
      #expect(whole.removedPosts == (3, 3))
    }
  }

  @Test func whatIsOutOfAPartialThreadIsDeleted() async throws {
    try await PublishingFixture.run(Self.script()) { fixture in
      fixture.platform.next("POST /posts", .ok(#"{"id":"1"}"#), .ok(#"{"id":"2"}"#), .rejected)
      let id = try await fixture.dispatchThread()
      try await fixture.drive()
      try #require(try await fixture.delivery(id).state == .partial)
      try await fixture.pool.execute("UPDATE platform_connections SET status = 'active'")
      fixture.platform.next("DELETE /posts/1", .rejected)
      try await remove(id, fixture)
      #expect(deletions(fixture) == ["2", "1"])
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .partial)
      #expect(delivery.removal == .failed)
      #expect(DeliveryStory.choices(delivery, QueueFacts()) == [.deleteOnPlatform])
      // The requests of the deletion are no posts of the thread.
      let row = try await fixture.pool.query(
        """
        SELECT \(fragment: ThreadParts.published(of: "d")) AS published, \(fragment: ThreadParts.parts(of: "d")) AS parts,
          \(fragment: ThreadParts.areMissing(of: "d")) AS are_missing
        FROM deliveries d WHERE d.id = \(id)
        """
      )[0]
      #expect(try row.get("published", as: Int64.self) == 2)
      #expect(try row.get("parts", as: Int64.self) == 3)
      #expect(try row.get("are_missing", as: Bool.self))
      let effects = try await fixture.count(
        "SELECT count(*)::int8 FROM delivery_effects WHERE delivery_id = \(id) AND class = 'commit' AND outcome = 'accepted'"
      )
      #expect(effects == 3)
    }
  }

  @Test func aPostWithoutAKnownIDIsToldOf() async throws {
    try await PublishingFixture.run(Self.script(), manifest: ProbeManifest.text(absence: "never")) { fixture in
      fixture.platform.next("POST /posts", .ok(#"{"id":"1"}"#), .unknown)
      let id = try await fixture.dispatchThread()
      try await fixture.drive()
      try #require(try await fixture.delivery(id).state == .unconfirmed)
      try await fixture.control.answer(.published(url: nil), for: id, site: fixture.site, user: fixture.user)
      try await remove(id, fixture)
      let delivery = try await fixture.delivery(id)
      #expect(delivery.removal == .failed)
      #expect(delivery.removalError?.contains("1 of 2 posts of the thread are deleted") == true)
      #expect(deletions(fixture) == ["1"])
    }
  }
}
