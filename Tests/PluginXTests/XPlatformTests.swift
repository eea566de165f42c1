import PluginKit
import PluginTestKit
import Testing
import plugin_x

@Suite struct XPlatformTests {
  private let account = Account(id: "1001", name: "Ann", handle: "@ann_b")
  private let job = JobInfo(key: "k-1", now: "2026-01-02T03:04:05.678Z", seed: "00ff")
  private let picture = MediaItem(
    handle: "m-5",
    type: "image/png",
    bytes: 1_234,
    sha256: "ab",
    alt: "A \"cat\"",
    filename: "cat.png"
  )

  private func host(_ script: @escaping ScriptedHost<XPlatform>.Script) async throws -> ScriptedHost<XPlatform> {
    let host = ScriptedHost(XPlatform(), script: script)
    _ = try await host.start()
    return host
  }

  private static func json(_ text: String, status: Int = 200) throws(PlatformError) -> HTTPAnswer {
    guard let json = try? RawJSON(text: text) else { throw PlatformError(.internal, "the script is not JSON") }
    return HTTPAnswer(status: status, json: json)
  }

  private static let happy: ScriptedHost<XPlatform>.Script = { request throws(PlatformError) in
    switch request.rule {
    case "me":
      try json(#"{"data":{"id":"1001","name":"Ann","username":"ann_b","subscription_type":"Premium"}}"#)
    case "uploadMedia": try json(#"{"data":{"id":"77","media_key":"3_77","size":1234}}"#)
    case "describeMedia": try json(#"{"data":{}}"#)
    case "createPost": try json(#"{"data":{"id":"555","text":"x"}}"#, status: 201)
    case "deletePost": try json(#"{"data":{"deleted":true}}"#)
    default: throw PlatformError(.egressDenied, "no rule \(request.rule)")
    }
  }

  @Test func identifiesTheAccount() async throws {
    let host = try await host(Self.happy)
    let identity = try await host.identify(account)
    #expect(
      identity
        == AccountIdentity(id: "1001", name: "Ann", handle: "ann_b", url: "https://x.com/ann_b", type: "Premium")
    )
    #expect(try await host.capabilities(account).text.limit == 25_000)
    #expect(host.requests.allSatisfy { $0.rule == "me" })
  }

  @Test func publishesTextLinkAndPictureInOrder() async throws {
    let host = try await host(Self.happy)
    let post = Post(text: "Hello", url: "https://example.com/p", tags: ["swift"], media: [picture])
    let publication = try await host.publish(post, account, job: job)
    #expect(
      publication == .published(.init(remoteID: "555", url: "https://x.com/ann_b/status/555"))
    )
    let requests = host.requests
    try #require(requests.map(\.rule) == ["uploadMedia", "describeMedia", "createPost"])
    #expect(requests.map(\.step) == ["upload-1", "describe-1", "post"])
    #expect(
      requests[0].body
        == .multipart([
          MultipartPart(
            name: "media",
            content: .media(handle: "m-5", range: nil),
            filename: "cat.png",
            type: "image/png"
          ),
          .text("media_category", "tweet_image"), .text("media_type", "image/png"),
        ])
    )
    let texts = requests.dropFirst().map { request in
      if case .json(let json) = request.body { json.text } else { "" }
    }
    #expect(texts[0] == #"{"id":"77","metadata":{"alt_text":{"text":"A \"cat\""}}}"#)
    #expect(texts[1] == #"{"media":{"media_ids":["77"]},"text":"Hello #swift\nhttps://example.com/p"}"#)
  }

  @Test func asksForTheSameThingsWhenItRunsAgain() async throws {
    let host = try await host(Self.happy)
    let post = Post(text: "Hello", url: "https://example.com/p", tags: ["b", "a"], media: [picture, picture])
    let first = try await host.publish(post, account, job: job)
    let digests = host.digests
    host.replay()
    let second = try await host.publish(post, account, job: job)
    #expect(host.digests == digests)
    #expect(digests.count == 5)
    #expect(second == first)
    // A text that was rendered before gives the same request too.
    let rendered = try await host.render(post, account)
    var again = post
    again.text = rendered.text
    host.replay()
    _ = try await host.publish(again, account, job: job)
    #expect(host.digests == digests)
  }

  @Test func refusesBeforeSendingWhatCannotWork() async throws {
    let host = try await host(Self.happy)
    await #expect { try await host.publish(Post(text: ""), account, job: job) } throws: {
      ($0 as? PlatformError)?.kind == .contentRejected && ($0 as? PlatformError)?.field == "text"
    }
    let film = MediaItem(handle: "m", type: "video/x-matroska", bytes: 1)
    await #expect { try await host.publish(Post(text: "a", media: [film]), account, job: job) } throws: {
      ($0 as? PlatformError)?.kind == .mediaRejected
    }
    await #expect { try await host.delete("../1", account, job: job) } throws: {
      ($0 as? PlatformError)?.kind == .invalidParams
    }
    #expect(host.requests.isEmpty)
  }

  @Test(arguments: ["{}", #"{"data":{}}"#, #"{"data":{"id":5}}"#, #"{"data":{"id":"abc"}}"#, "null"])
  func aSuccessWithoutAnIDIsUnknown(_ body: String) async throws {
    let host = try await host { request throws(PlatformError) in try Self.json(body, status: 201) }
    await #expect { try await host.publish(Post(text: "a"), account, job: job) } throws: {
      ($0 as? PlatformError)?.kind == .outcomeUnknown && ($0 as? PlatformError)?.retry == .reconcile
    }
  }

  @Test func deletes() async throws {
    let host = try await host(Self.happy)
    #expect(try await host.delete("555", account, job: job).deleted)
    #expect(host.requests.first?.path == ["id": "555"])
    let gone = try await self.host { _ throws(PlatformError) in try Self.json(#"{"title":"Not Found"}"#, status: 404) }
    #expect(try await gone.delete("555", account, job: job).deleted)
  }

  @Test(
    arguments: [
      ("ann_b", "https://x.com/ann_b/status/5"), ("@ann", "https://x.com/ann/status/5"),
      (nil, "https://x.com/i/web/status/5"), ("a/b", "https://x.com/i/web/status/5"),
      ("", "https://x.com/i/web/status/5"), ("sixteenletters_x", "https://x.com/i/web/status/5"),
    ] as [(String?, String)]
  )
  func makesPublicAddresses(_ handle: String?, _ expected: String) {
    #expect(XPlatform.publicURL(of: "5", by: Account(id: "1", name: "n", handle: handle)) == expected)
  }
}
