import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import Publishing

/// A person's word on a post of a thread: its address tells what the rest answers to.
@Suite(.database) struct ThreadAnswerTests {
  /// Publishes three parts, each as an answer to the one before.
  private static let script = #"""
    case $method in
      post/reconcile) answer '{"verdict":"unknown","why":"no list"}';;
      *) to=
        for s in one two three; do
          http post $s '{"text":"'$s'","to":"'$to'"}'
          case $reply in
            *'"remoteId":"'*) to=${reply#*'"remoteId":"'}; to=${to%%'"'*};;
            *'"status":200'*) to=${reply#*'"id":"'}; to=${to%%'"'*};;
            *) fail outcomeUnknown reconcile; continue 2;;
          esac
        done
        ok 1;;
    esac
    """#

  private static let addresses = ["https://a.example/{handle}/posts/{id:digits}", "https://a.example/p/{id:digits}"]

  /// A thread of which nobody knows whether the post at this place, from 0, is out.
  private func inDoubt(_ place: Int, _ body: (PublishingFixture, Int64) async throws -> Void) async throws {
    let manifest = ProbeManifest.text(postAddresses: Self.addresses, absence: "never")
    try await PublishingFixture.run(Self.script, manifest: manifest) { fixture in
      try await fixture.pool.execute("UPDATE platform_connections SET account_handle = '@Ann'")
      for _ in 0..<place { fixture.platform.next("POST /posts", .ok(#"{"id":"\#(fixture.bodies.count + 1)"}"#)) }
      fixture.platform.next("POST /posts", .unknown)
      let id = try await fixture.dispatchThread()
      try await fixture.drive()
      try #require(try await fixture.delivery(id).state == .unconfirmed)
      try await body(fixture, id)
    }
  }

  private func answer(_ url: String?, _ id: Int64, _ fixture: PublishingFixture) async throws {
    try await fixture.control.answer(.published(url: url), for: id, site: fixture.site, user: fixture.user)
  }

  @Test func theRestAnswersToThePostAtTheAddress() async throws {
    try await inDoubt(1) { fixture, id in
      try await answer("http://www.a.example/ann/posts/77/?s=20#top", id, fixture)
      let partial = try await fixture.delivery(id)
      #expect(partial.state == .partial)
      #expect(partial.remoteID == "1")
      #expect(partial.url == "https://a.example/by-rule/1")
      #expect(try await fixture.parts(of: id).map(\.id) == ["1", "77"])
      try await fixture.control.retry(id, site: fixture.site, user: fixture.user)
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(
        fixture.bodies == [
          #"{"text":"one","to":""}"#, #"{"text":"two","to":"1"}"#, #"{"text":"three","to":"77"}"#,
        ]
      )
      #expect(try await fixture.parts(of: id).map(\.id).prefix(2) == ["1", "77"])
    }
  }

  @Test func theFirstPostGivesTheDeliveryItsID() async throws {
    try await inDoubt(0) { fixture, id in
      try await answer("https://a.example/p/55", id, fixture)
      let partial = try await fixture.delivery(id)
      #expect(partial.state == .partial)
      #expect(partial.remoteID == "55")
      #expect(partial.url == "https://a.example/p/55")
    }
  }

  @Test func theLastPostMakesItWhole() async throws {
    try await inDoubt(2) { fixture, id in
      // Nothing answers to it, so its address need not be known.
      try await answer(nil, id, fixture)
      #expect(try await fixture.delivery(id).state == .sent)
    }
  }

  @Test(
    arguments: [
      (nil, "missing"), ("https://b.example/p/5", "not_allowed"), ("https://a.example/p/x5", "not_allowed"),
      ("https://a.example/bob/posts/5", "not_of_account"), ("https://a.example/p/1", "other_post"),
      ("ftp://a.example/p/5", "not_allowed"), ("https://a.example/p/5/6", "not_allowed"),
    ] as [(String?, String)]
  )
  func anAddressThatDoesNotFitIsRefused(_ url: String?, _ code: String) async throws {
    try await inDoubt(1) { fixture, id in
      let error = await #expect(throws: PublishingError.self) { try await answer(url, id, fixture) }
      #expect(error?.code == code)
      #expect(error?.field == "url")
      let state = try await fixture.delivery(id).state
      #expect(state == .unconfirmed)
    }
  }

  @Test func thePostOfAnotherDeliveryIsRefused() async throws {
    try await inDoubt(1) { fixture, id in
      let other = try await fixture.dispatch("Other")
      try await fixture.pool.execute("UPDATE deliveries SET remote_id = '88', ended_as = 'sent' WHERE id = \(other)")
      let error = await #expect(throws: PublishingError.self) {
        try await answer("https://a.example/p/88", id, fixture)
      }
      #expect(error?.code == "other_post")
      #expect(error?.message.contains("delivery \(other)") == true)
    }
  }
}
