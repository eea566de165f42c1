import FoundationEssentials
import JSONText
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// An account does not say the same thing twice by mistake.
@Suite(.database) struct ContentGuardTests {
  private static let publish = #"http post post '{"text":"a"}'; ok "$id""#
  private static let day: TimeInterval = 86_400

  private func refusal(_ body: () async throws -> Void) async -> PublishingError? {
    let error = await #expect(throws: PublishingError.self) { try await body() }
    #expect(error?.code == "content_repeated")
    #expect(error?.kind == .conflict)
    return error
  }

  @Test func theSameTextIsRefusedWithTheEarlierDelivery() async throws {
    try await PublishingFixture.run(Self.publish, duplicateWindow: Self.day) { fixture in
      let first = try await fixture.dispatch("Hello")
      try await fixture.drive()
      // Another post with the same words is the same for the readers of the account.
      let error = await refusal { _ = try await fixture.dispatch("Hello") }
      let details = try RawJSON(text: try #require(error?.details)).object()
      #expect(try details.int64("deliveryId") == first)
      #expect(try details.string("state") == "sent")
      #expect(try details.string("url").hasPrefix("https://a.example/"))
      #expect(error?.field == "connectionIds[0]")
      _ = try await fixture.dispatch("Hello!")

      var request = try fixture.request(post: try await fixture.makePost("Hello"))
      request.allowsRepeats = true
      _ = try await fixture.dispatcher.dispatch(request)
      try await fixture.drive()
      #expect(fixture.platform.count("POST /posts") == 3)
    }
  }

  @Test func whatIsPlannedCountsWithinTheWindow() async throws {
    try await PublishingFixture.run(Self.publish, duplicateWindow: Self.day) { fixture in
      let planned = Date().addingTimeInterval(10 * Self.day)
      _ = try await fixture.dispatch("Weekly", scheduledFor: planned)
      _ = await refusal {
        _ = try await fixture.dispatch("Weekly", scheduledFor: planned.addingTimeInterval(Self.day / 2))
      }
      _ = await refusal {
        _ = try await fixture.dispatch("Weekly", scheduledFor: planned.addingTimeInterval(-Self.day / 2))
      }
      _ = try await fixture.dispatch("Weekly", scheduledFor: planned.addingTimeInterval(7 * Self.day))
      _ = try await fixture.dispatch("Weekly")
    }
  }

  @Test func whatFailedOrWasWithdrawnDoesNotCount() async throws {
    try await PublishingFixture.run("fail contentRejected userFix", duplicateWindow: Self.day) { fixture in
      _ = try await fixture.dispatch("Hello")
      try await fixture.drive()
      let second = try await fixture.dispatch("Hello", scheduledFor: Date().addingTimeInterval(60))
      try await fixture.control.cancel(second, site: fixture.site, user: nil)
      _ = try await fixture.dispatch("Hello")
    }
  }

  @Test func ofTwoAtOnceExactlyOnePasses() async throws {
    try await PublishingFixture.run(Self.publish, duplicateWindow: Self.day) { fixture in
      var posts: [Int64] = []
      for _ in 0..<8 { posts.append(try await fixture.makePost("Race")) }
      let passed = await withTaskGroup(of: Bool.self) { group in
        for post in posts {
          group.addTask { (try? await fixture.dispatcher.dispatch(fixture.request(post: post))) != nil }
        }
        return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
      #expect(passed == 1)
      #expect(try await fixture.count("SELECT count(*) FROM deliveries") == 1)
    }
  }

  @Test func theDigestSeesWhatReadersSee() {
    func variant(_ text: String, title: String = "t", file: String = "aa", name: String = "n") -> Variant {
      Variant(
        text: text,
        title: title,
        excerpt: "",
        url: nil,
        tags: [],
        mentions: [],
        media: [
          VariantMedia(
            mediaID: 1,
            type: "image/png",
            bytes: 1,
            width: nil,
            height: nil,
            sha256: file,
            fileName: name,
            alt: ""
          )
        ]
      )
    }
    let digest = variant("a").contentDigest(isWholeRecord: false)
    #expect(digest.count == 32)
    #expect(variant("a", title: "other", name: "other").contentDigest(isWholeRecord: false) == digest)
    #expect(variant("b").contentDigest(isWholeRecord: false) != digest)
    #expect(variant("a", file: "bb").contentDigest(isWholeRecord: false) != digest)
    let whole = variant("a").contentDigest(isWholeRecord: true)
    #expect(variant("a", title: "other").contentDigest(isWholeRecord: true) != whole)
    #expect(variant("a", name: "other").contentDigest(isWholeRecord: true) == whole)
  }
}
