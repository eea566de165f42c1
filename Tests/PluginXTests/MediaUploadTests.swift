import PluginKit
import PluginTestKit
import Synchronization
import Testing
import plugin_x

@Suite struct MediaUploadTests {
  private let account = Account(id: "1001", name: "Ann", handle: "ann")
  private let job = JobInfo(key: "k-1", now: "2026-01-02T03:04:05.678Z", seed: "00ff")

  private func video(_ bytes: Int64) -> MediaItem {
    MediaItem(handle: "m-9", type: "video/mp4", bytes: bytes, sha256: "cd", filename: "film.mp4")
  }

  /// A platform whose answers to some rules a test chooses, by the number of the question.
  private func host(
    _ answers: @escaping @Sendable (PerformHTTPRequest, Int) -> (Int, String)? = { _, _ in nil }
  ) async throws -> ScriptedHost<XPlatform> {
    let asked = Mutex<[String: Int]>([:])
    let host = ScriptedHost(XPlatform()) { request throws(PlatformError) in
      let turn = asked.withLock { asked in
        asked[request.rule, default: 0] += 1
        return asked[request.rule, default: 0]
      }
      let (status, text) = answers(request, turn) ?? Self.happy(request, turn)
      guard let json = try? RawJSON(text: text) else { return HTTPAnswer(status: status, text: text) }
      return HTTPAnswer(status: status, json: json)
    }
    _ = try await host.start()
    return host
  }

  private static func happy(_ request: PerformHTTPRequest, _ turn: Int) -> (Int, String) {
    switch request.rule {
    case "uploadMedia", "initializeUpload": (200, #"{"data":{"id":"7\#(turn)","expires_after_secs":86400}}"#)
    case "appendUpload": (200, #"{"data":{"expires_at":1}}"#)
    case "finalizeUpload": (200, #"{"data":{"id":"71","size":1}}"#)
    case "createPost": (201, #"{"data":{"id":"55\#(turn)","text":"x"}}"#)
    default: (200, #"{"data":{}}"#)
    }
  }

  private static func processing(_ state: String, _ more: String = "") -> String {
    #"{"data":{"id":"71","processing_info":{"state":"\#(state)"\#(more)}}}"#
  }

  @Test func sendsAVideoInParts() async throws {
    let host = try await host()
    _ = try await host.publish(Post(text: "a", media: [video(9 << 20)]), account, job: job)
    #expect(
      host.requests.map(\.step) == [
        "initialize-1", "append-1-0", "append-1-1", "append-1-2", "finalize-1", "post",
      ]
    )
    guard case .json(let start) = host.requests[0].body else {
      Issue.record("no JSON")
      return
    }
    #expect(start.text == #"{"media_category":"tweet_video","media_type":"video/mp4","total_bytes":9437184}"#)
    let ranges = host.requests[1...3].compactMap { request -> ClosedRange<Int64>? in
      guard case .multipart(let parts) = request.body, case .media("m-9", let range) = parts[0].content else {
        return nil
      }
      return range
    }
    #expect(ranges == [0...4_194_303, 4_194_304...8_388_607, 8_388_608...9_437_183])
    #expect(host.requests[2].path == ["id": "71"])
  }

  @Test func partsCoverEachSize() {
    for (bytes, parts) in [(1, 1), (4 << 20, 1), (4 << 20 + 1, 2), (1_000 * 4 << 20, 1_000)] as [(Int64, Int)] {
      #expect(MediaUpload.parts(of: bytes) == parts)
    }
  }

  @Test func waitsOutsideTheCallWhileThePlatformWorks() async throws {
    let host = try await host { request, turn in
      switch request.rule {
      case "finalizeUpload": (200, Self.processing("pending", #","check_after_secs":5"#))
      case "uploadStatus" where turn < 3: (200, Self.processing("in_progress", #","check_after_secs":7"#))
      case "uploadStatus": (200, Self.processing("succeeded"))
      default: nil
      }
    }
    let post = Post(text: "a", media: [video(10)])
    for _ in 0..<2 {
      let publication = try await host.publish(post, account, job: job)
      #expect(publication == .wait(.init(afterMs: 7_000, why: "X is processing film.mp4.")))
      host.replay(asking: ["uploadStatus"])
    }
    let publication = try await host.publish(post, account, job: job)
    #expect(publication == .published(.init(remoteID: "551", url: "https://x.com/ann/status/551")))
  }

  @Test func aFileThatThePlatformCanNotUseIsRefusedBeforeAnythingIsPublic() async throws {
    let failed = Self.processing("failed", #","error":{"code":1,"name":"InvalidMedia","message":"Bad codec"}"#)
    let host = try await host { request, _ in
      request.rule == "finalizeUpload" || request.rule == "uploadStatus" ? (200, failed) : nil
    }
    let thread = Post(text: "one", segments: [PostSegment(text: "two", media: [video(10)])])
    await #expect { try await host.publish(thread, account, job: job) } throws: { error in
      let error = error as? PlatformError
      return error?.kind == .mediaRejected && error?.message.contains("Bad codec") == true
    }
    #expect(!host.requests.contains { $0.rule == "createPost" })
  }

  @Test func aForgottenUploadBeginsAnew() async throws {
    let host = try await host { request, _ in
      request.step == "append-1-1"
        ? (400, #"{"errors":[{"message":"Your media IDs are invalid."}],"title":"Invalid Request"}"#) : nil
    }
    await #expect { try await host.publish(Post(text: "a", media: [video(9 << 20)]), account, job: job) } throws: {
      let error = $0 as? PlatformError
      return error?.kind == .prepareExpired && error?.steps == ["initialize-1", "append-1-0", "append-1-1"]
    }
  }

  @Test func anUploadThatEndedUnheardIsAskedAbout() async throws {
    let host = try await host { request, _ in
      request.rule == "finalizeUpload"
        ? (400, #"{"errors":[{"message":"Your media IDs are invalid."}],"title":"Invalid Request"}"#) : nil
    }
    let publication = try await host.publish(Post(text: "a", media: [video(10)]), account, job: job)
    #expect(publication == .published(.init(remoteID: "551", url: "https://x.com/ann/status/551")))
    #expect(host.requests.contains { $0.rule == "uploadStatus" })
  }

  @Test func aLongUploadIsSpreadOverCalls() async throws {
    let host = try await host()
    let post = Post(text: "a", media: [video(30 * 4 << 20)])
    guard case .wait(let wait) = try await host.publish(post, account, job: job) else {
      Issue.record("no wait")
      return
    }
    #expect(wait.afterMs == 0)
    #expect(host.requests.count == 25)
    host.replay()
    let publication = try await host.publish(post, account, job: job)
    #expect(publication == .published(.init(remoteID: "551", url: "https://x.com/ann/status/551")))
  }

  @Test func describesGIFsButNotVideos() async throws {
    let host = try await host()
    var (gif, film) = (video(10), video(10))
    (gif.type, gif.alt, film.alt) = ("image/gif", "A wheel", "A film")
    let post = Post(text: "a", media: [gif], segments: [PostSegment(text: "b", media: [film])])
    guard case .published(let published) = try await host.publish(post, account, job: job) else {
      Issue.record("not published")
      return
    }
    #expect(published.warnings == ["X takes no description of a video; it is left out."])
    #expect(host.requests.filter { $0.rule == "describeMedia" }.map(\.step) == ["describe-1"])
  }
}
