import PluginKit
import PluginTestKit
import Testing
import plugin_x

@Suite struct ThreadTests {
  private let account = Account(id: "1001", name: "Ann", handle: "ann")
  private let job = JobInfo(key: "k-1", now: "2026-01-02T03:04:05.678Z", seed: "00ff")
  private let thread = Post(
    text: "one",
    tags: ["tag"],
    media: [MediaItem(handle: "m-1", type: "image/png", bytes: 10)],
    segments: [
      PostSegment(text: "two", media: [MediaItem(handle: "m-2", type: "image/png", bytes: 10, alt: "Hills")]),
      PostSegment(text: "three"),
    ],
    options: RawJSON.object { writer in
      writer.field("replySettings", "following")
      writer.field("madeWithAI", true)
    }
  )

  /// - Parameter refusal: Answers one step in place of the platform.
  private func host(
    _ refusal: @escaping @Sendable (String) throws(PlatformError) -> HTTPAnswer? = { _ throws(PlatformError) in nil }
  ) async throws -> ScriptedHost<XPlatform> {
    let host = ScriptedHost(XPlatform()) { request throws(PlatformError) in
      let step = request.step ?? ""
      if let answer = try refusal(step) { return answer }
      let id =
        switch step {
        case "post": "101"
        case "post-2": "102"
        case "post-3": "103"
        case "upload-1": "71"
        default: "72"
        }
      return HTTPAnswer(
        status: request.rule == "createPost" ? 201 : 200,
        json: RawJSON.object { writer in writer.object("data") { $0.field("id", id) } }
      )
    }
    _ = try await host.start()
    return host
  }

  private func published(_ ids: String...) -> [PublishedSegment] {
    ids.map { PublishedSegment(remoteID: $0, url: "https://x.com/ann/status/\($0)") }
  }

  @Test func eachPostAnswersToTheOneBefore() async throws {
    let host = try await host()
    let publication = try await host.publish(thread, account, job: job)
    let segments = published("101", "102", "103")
    #expect(publication == .published(.init(remoteID: "101", url: segments[0].url, segments: segments)))
    // All files are at the platform before anything is public.
    #expect(host.requests.map(\.step) == ["upload-1", "upload-p2-1", "describe-p2-1", "post", "post-2", "post-3"])
    let bodies = host.requests.suffix(3).map { request in
      if case .json(let json) = request.body { json.text } else { "" }
    }
    #expect(
      bodies == [
        #"{"made_with_ai":true,"media":{"media_ids":["71"]},"reply_settings":"following","text":"one #tag"}"#,
        #"{"made_with_ai":true,"media":{"media_ids":["72"]},"reply":{"in_reply_to_tweet_id":"101"},"text":"two"}"#,
        #"{"made_with_ai":true,"reply":{"in_reply_to_tweet_id":"102"},"text":"three"}"#,
      ]
    )
  }

  @Test func tellsHowFarItCame() async throws {
    let host = try await host { step throws(PlatformError) in
      step == "post-3" ? HTTPAnswer(status: 401, json: .emptyObject) : nil
    }
    guard case .partial(let partial) = try await host.publish(thread, account, job: job) else {
      Issue.record("not partial")
      return
    }
    #expect(partial.segments == published("101", "102"))
    #expect(partial.remoteID == "101")
    #expect(partial.sent == 2)
    #expect(partial.total == 3)
    #expect(partial.error.kind == .authExpired)
  }

  @Test(arguments: ["post", "post-2", "post-3"]) func aLostAnswerStaysUnknown(_ lost: String) async throws {
    let host = try await host { step throws(PlatformError) in
      if step == lost { throw PlatformError(.outcomeUnknown, "no answer") }
      return nil
    }
    await #expect { try await host.publish(thread, account, job: job) } throws: {
      ($0 as? PlatformError)?.kind == .outcomeUnknown
    }
  }

  @Test func goesOnBehindAPostThatALookUpFound() async throws {
    let host = try await host { step throws(PlatformError) in
      step == "post-2" ? HTTPAnswer(status: 200, remoteID: "999") : nil
    }
    let publication = try await host.publish(thread, account, job: job)
    let segments = published("101", "999", "103")
    #expect(publication == .published(.init(remoteID: "101", url: segments[0].url, segments: segments)))
    guard case .json(let last)? = host.requests.last?.body else {
      Issue.record("no body")
      return
    }
    let parent = try last.pointer("/reply/in_reply_to_tweet_id")?.string()
    #expect(parent == "999")
  }

  @Test func waitsWhereTheHostsLimitsAreUsedUp() async throws {
    let host = try await host { step throws(PlatformError) in
      if step == "post-2" { throw PlatformError(.rateLimited, "used up", retryAfter: .seconds(20)) }
      return nil
    }
    guard case .partial(let partial) = try await host.publish(thread, account, job: job) else {
      Issue.record("not partial")
      return
    }
    #expect(partial.segments == published("101"))
    #expect(partial.error.kind == .rateLimited)
    #expect(partial.error.retry == .after)
    #expect(partial.error.retryAfterMs == 20_000)
  }

  @Test func deletesEachPostByItself() async throws {
    let host = try await host { step throws(PlatformError) in
      guard step == "delete" else { return nil }
      return HTTPAnswer(status: 200, json: RawJSON.object { $0.object("data") { $0.field("deleted", true) } })
    }
    for id in ["103", "102", "101"] {
      let isDeleted = try await host.delete(id, account, job: job).deleted
      #expect(isDeleted)
    }
    #expect(host.requests.map(\.path) == [["id": "103"], ["id": "102"], ["id": "101"]])
  }

  @Test func nothingAnswersToAPostWithoutAnID() async throws {
    let host = try await host { step throws(PlatformError) in
      step == "post-2" ? HTTPAnswer(status: 200, isReplayed: true) : nil
    }
    guard case .partial(let partial) = try await host.publish(thread, account, job: job) else {
      Issue.record("not partial")
      return
    }
    #expect(partial.error.kind == .notPermitted)
    #expect(partial.segments == published("101"))
  }

  @Test func rendersEachPost() async throws {
    let host = try await host()
    let rendering = try await host.render(thread, account)
    #expect(rendering.segments.map(\.text) == ["two", "three"])
    #expect(rendering.segments.map(\.length?.count) == [3, 5])
  }
}
