import PluginKit
import PluginTestKit
import Testing

@testable import Adapter

@Suite struct MicroblogAdapterTests {
  private let account = Account(id: "u-1", name: "Alice")
  private let job = JobInfo(key: "k", now: "2026-01-02T03:04:05Z", seed: "s")

  private func host() -> ScriptedHost<MicroblogAdapter> {
    ScriptedHost(MicroblogAdapter()) { (request) throws(PlatformError) in
      switch request.rule {
      case "uploadPicture": HTTPAnswer(status: 201, json: RawJSON.object { $0.field("id", "pic-1") })
      case "createNote": HTTPAnswer(status: 201, json: RawJSON.object { $0.field("id", "7") })
      default: HTTPAnswer(status: 404)
      }
    }
  }

  @Test func publishesThePictureFirst() async throws {
    let host = host()
    _ = try await host.start()
    let post = Post(text: "Hello", media: [MediaItem(handle: "m-1", type: "image/png", bytes: 67)])
    let end = try await host.publish(post, account, job: job)
    #expect(end == .published(Publication.Published(remoteID: "7", url: nil)))
    #expect(host.requests.map(\.step) == ["picture-1", "note"])
  }

  @Test func asksForTheSameWhenItRunsAgain() async throws {
    let host = host()
    _ = try await host.start()
    _ = try await host.publish(Post(text: "Hello"), account, job: job)
    let first = host.digests
    host.replay()
    _ = try await host.publish(Post(text: "Hello"), account, job: job)
    #expect(host.digests == first)
  }
}
