import FoundationEssentials
import JSONText
import PluginProtocol
import Postgres
import TestSupport
import Testing

@testable import Publishing

/// Posts of several parts: each part once, whatever gets lost between them.
@Suite(.database) struct ThreadDeliveryTests {
  /// Publishes three parts. A refusal ends it in part, with the words of `refusal`.
  private static func script(refusal: String) -> String {
    #"""
    case $method in
      post/reconcile) get find find; case $reply in
        *'"found"'*) answer '{"verdict":"found","remoteId":"77"}';;
        *) answer '{"verdict":"absent"}';; esac;;
      *) n1=0; for s in one two three; do
          http post $s '{"text":"'$s'"}'
          case $reply in
            *'"status":200'*) n1=$((n1+1));;
            *'"error":{'*|*'"status":500'*) fail outcomeUnknown reconcile; continue 2;;
            *) if [ $n1 = 0 ]; then fail contentRejected userFix; continue 2; fi
              answer '{"partial":{"remoteId":"a","url":"https://a.example/a","sent":'$n1',"total":3,"error":{"code":1003,"message":"no","data":{\#(refusal)}}}}'
              continue 2;;
          esac
        done
        ok a;;
    esac
    """#
  }

  private static let reauthorize = #""kind":"authExpired","retry":"reauth""#
  private static let later = #""kind":"platformDown","retry":"after","retryAfterMs":1000"#

  private static func run(
    _ refusal: String,
    manifest: String = ProbeManifest.text(),
    _ body: (PublishingFixture, Int64) async throws -> Void
  ) async throws {
    try await PublishingFixture.run(script(refusal: refusal), manifest: manifest) { fixture in
      try await allowThreads(fixture)
      let post = try await thread(fixture)
      let dispatched = try await fixture.dispatcher.dispatch(fixture.request(post: post))
      try await body(fixture, try #require(dispatched.deliveries.first).id)
    }
  }

  private static func allowThreads(_ fixture: PublishingFixture) async throws {
    let capabilities = #"{"text":{"limit":280,"unit":"characters"},"segments":3}"#
    try await fixture.pool.execute(
      "UPDATE platform_connections SET capabilities = \(JSONB(text: capabilities)) WHERE id = \(fixture.connection)"
    )
  }

  private static func thread(_ fixture: PublishingFixture, parts: Int = 3) async throws -> Int64 {
    let segments = (1..<parts).map { PostContent.Segment(text: "part \($0)") }
    let content = PostContent(title: "part 0", segments: segments)
    return try await fixture.pool.transaction(scope: .site(fixture.site)) { tx in
      try await PostStore().create(content, site: fixture.site, user: nil, in: tx).id
    }
  }

  private func texts(_ fixture: PublishingFixture) -> [String] {
    fixture.platform.received.filter { $0.path == "/posts" && $0.method == "POST" }.map(\.body)
  }

  @Test func eachPartGoesOutInOrder() async throws {
    try await Self.run(Self.reauthorize) { fixture, id in
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(texts(fixture) == ["one", "two", "three"].map { #"{"text":"\#($0)"}"# })
      let inputs = try #require(try await fixture.store.inputs(of: id, run: 1))
      let variant = try RunVariant(inputs)
      #expect(variant.parts == 3)
      let stored = try #require(delivery.segments)
      #expect(try RawJSON(text: stored).array().map { try PublishedSegment(json: $0) }.count == 3)
    }
  }

  @Test func aPartThatIsFoundIsNotTheEnd() async throws {
    try await Self.run(Self.reauthorize) { fixture, id in
      fixture.platform.next("POST /posts", .ok(#"{"id":"a"}"#), .unknown, .ok(#"{"id":"c"}"#))
      fixture.platform.next("GET /posts", .ok(#"{"found":true}"#))
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(delivery.remoteID == "a")
      #expect(texts(fixture).count == 3)
      let ids = try RawJSON(text: try #require(delivery.segments)).array().map {
        try PublishedSegment(json: $0).remoteID
      }
      #expect(ids == ["a", "77", "c"])
    }
  }

  @Test func thePostBeforeIsNotTakenForTheOneThatIsLookedFor() async throws {
    try await Self.run(Self.reauthorize) { fixture, id in
      fixture.platform.next("POST /posts", .ok(#"{"id":"77"}"#), .unknown)
      for _ in 0..<30 { fixture.platform.next("GET /posts", .ok(#"{"found":true}"#)) }
      try await fixture.drive(limit: 30)
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .unconfirmed)
      #expect(delivery.remoteID == "77")
      #expect(texts(fixture).count == 2)
    }
  }

  @Test func aThreadThatTheDatabaseLostIsLeftToAPersonWhenAPostOfItIsThere() async throws {
    try await Self.run(Self.reauthorize) { fixture, id in
      let holds = HoldStore(pool: fixture.pool)
      try await holds.begin(.behind, reason: "The test says so", home: "test", knownUntil: nil)
      #expect(try await holds.end(as: .adopted, by: "Ada", user: nil))
      fixture.platform.next("GET /posts", .ok(#"{"found":true}"#))
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .unconfirmed)
      #expect(texts(fixture).isEmpty)
    }
  }

  @Test func aPartThatIsAbsentGoesOutAgain() async throws {
    try await Self.run(Self.reauthorize) { fixture, id in
      fixture.platform.next("POST /posts", .ok(#"{"id":"a"}"#), .unknown)
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(texts(fixture) == ["one", "two", "two", "three"].map { #"{"text":"\#($0)"}"# })
    }
  }

  @Test func aRefusalInTheMiddleIsPartialAndARetryGoesOn() async throws {
    try await Self.run(Self.reauthorize) { fixture, id in
      fixture.platform.next("POST /posts", .ok(#"{"id":"a"}"#), .rejected)
      try await fixture.drive()
      let partial = try await fixture.delivery(id)
      #expect(partial.state == .partial)
      #expect(partial.remoteID == "a")
      #expect(partial.url == "https://a.example/a")
      let ids = try RawJSON(text: try #require(partial.segments)).array().map {
        try PublishedSegment(json: $0).remoteID
      }
      #expect(ids == ["a"])
      let status: String = try await fixture.pool.query(
        "SELECT status FROM platform_connections WHERE id = \(fixture.connection)"
      )[0].get(0)
      #expect(status == "expired")
      try await fixture.pool.execute("UPDATE platform_connections SET status = 'active'")
      try await fixture.control.retry(id, site: fixture.site, user: fixture.user)
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(texts(fixture) == ["one", "two", "two", "three"].map { #"{"text":"\#($0)"}"# })
    }
  }

  @Test func anOutageInTheMiddleIsWaitedOut() async throws {
    try await Self.run(Self.later) { fixture, id in
      fixture.platform.next("POST /posts", .ok(#"{"id":"a"}"#), .rejected)
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(try await fixture.events(id).contains("delivery.partial") == false)
      #expect(texts(fixture) == ["one", "two", "two", "three"].map { #"{"text":"\#($0)"}"# })
    }
  }

  /// A thread whose second post may be out, on a platform that can not tell.
  private static func inDoubt(_ body: (PublishingFixture, Int64) async throws -> Void) async throws {
    try await run(reauthorize, manifest: ProbeManifest.text(absence: "never")) { fixture, id in
      fixture.platform.next("POST /posts", .ok(#"{"id":"a"}"#), .unknown)
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .unconfirmed)
      #expect(delivery.segments?.contains(#""a""#) == true)
      try await body(fixture, id)
    }
  }

  @Test func aPersonConfirmsOnePostOfAThread() async throws {
    try await Self.inDoubt { fixture, id in
      try await fixture.control.answer(.published(url: nil), for: id, site: fixture.site, user: fixture.user)
      #expect(try await fixture.delivery(id).state == .partial)
      try await fixture.control.retry(id, site: fixture.site, user: fixture.user)
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(texts(fixture) == ["one", "two", "three"].map { #"{"text":"\#($0)"}"# })
    }
  }

  @Test func aLateOutcomeOfOnePostIsNotTheWholeThread() async throws {
    try await Self.inDoubt { fixture, id in
      try await fixture.pool.execute(
        "UPDATE delivery_effects SET outcome = 'accepted' WHERE delivery_id = \(id) AND outcome = 'unknown'"
      )
      let isSettled = try await fixture.store.settleLate(id)
      #expect(isSettled)
      #expect(try await fixture.delivery(id).state == .partial)
      #expect(try await fixture.events(id).last == "delivery.partial")
    }
  }

  @Test func anAccountWithoutThreadsIsRefused() async throws {
    try await PublishingFixture.run { fixture in
      let post = try await Self.thread(fixture)
      await #expect { try await fixture.dispatcher.dispatch(fixture.request(post: post)) } throws: {
        let error = $0 as? PublishingError
        return error?.code == "post_not_publishable" && error?.message.contains("publishes no threads") == true
      }
      // The account's own words may leave the thread out.
      let options = #"{"overrides":{"\#(fixture.connection)":{"segments":[]}}}"#
      _ = try await fixture.dispatcher.dispatch(fixture.request(post: post, options: options))
      try await Self.allowThreads(fixture)
      let long = try await Self.thread(fixture, parts: 4)
      await #expect { try await fixture.dispatcher.dispatch(fixture.request(post: long)) } throws: {
        ($0 as? PublishingError)?.message.contains("up to 3 posts; this one has 4") == true
      }
    }
  }

  @Test func anOverrideNamesFilesOfThePost() async throws {
    try await PublishingFixture.run { fixture in
      try await Self.allowThreads(fixture)
      let post = try await Self.thread(fixture)
      let options = #"{"overrides":{"\#(fixture.connection)":{"segments":[{"text":"a"},{"text":"b","media":[99]}]}}}"#
      await #expect { try await fixture.dispatcher.dispatch(fixture.request(post: post, options: options)) } throws: {
        let error = $0 as? PublishingError
        return error?.code == "media_not_in_post"
          && error?.field == "options.overrides.\(fixture.connection).segments[1].media[0]"
      }
    }
  }
}
