import PluginKit
import PluginTestKit
import Testing

/// An adapter whose publish does what the post's text says.
private struct ProbePlatform: Platform {
  struct Foreign: Error {}

  static let manifest = PlatformManifest(id: "probe", version: "1.2.3", summary: "Tests the kit.")

  func identify(_ context: AccountContext) async throws -> AccountIdentity {
    context.log(.warning, "Looked", ["b": "2", "a": "1"])
    return AccountIdentity(id: "1", name: context.account.name)
  }

  func capabilities(_ context: AccountContext) async throws -> Capabilities {
    throw CancellationError()
  }

  func validate(_ post: Post, _ context: PureContext) throws -> Validation { Validation(findings: []) }

  func render(_ post: Post, _ context: PureContext) throws -> Rendering { Rendering(text: post.text) }

  func publish(_ post: Post, _ job: JobContext) async throws -> Publication.Published {
    switch post.text {
    case "wait":
      let state = try await job.http(rule: "state")
      if try state.json?.pointer("/ready")?.bool() != true {
        try await job.wait(for: .milliseconds(1_500), why: "the video is not ready")
      }
    case "partial":
      let error = PlatformError(.platformDown, "no more")
      throw PartialPublication(Publication.Partial(remoteID: "1", url: nil, sent: 1, total: 2, error: error))
    case "foreign": throw Foreign()
    case "shape": _ = try RawJSON(text: "{}").object().string("id")
    case "form":
      _ = try await job.http(rule: "f", step: "f", body: .form([HTTPField("a", "1"), HTTPField("a", "2")]))
    case "random":
      var random = job.random
      let numbers = (0..<3).map { _ in UInt64.random(in: 0...999, using: &random) }
      _ = try await job.http(
        rule: "r",
        step: "r",
        json: ["numbers": .strings(numbers.map(String.init)), "now": .string(WireDate.text(job.now))]
      )
    default: break
    }
    return Publication.Published(remoteID: job.key, url: nil)
  }

  func reconcile(_ post: Post, evidence: [Evidence], _ job: JobContext) async throws -> Verdict { .absent }

  func delete(_ remoteID: String, _ job: JobContext) async throws {
    throw PlatformError(.rateLimited, "slow", retryAfter: .milliseconds(2_500), upstream: UpstreamDetail(status: 429))
  }
}

@Suite struct PlatformServiceTests {
  private let account = Account(id: "1", name: "Ann")
  private let job = JobInfo(key: "k-1", now: "2026-01-02T03:04:05.678Z", seed: "00ff")

  private func host(_ script: @escaping ScriptedHost<ProbePlatform>.Script) async throws -> ScriptedHost<ProbePlatform>
  {
    let host = ScriptedHost(ProbePlatform(), script: script)
    _ = try await host.start()
    return host
  }

  private func host() async throws -> ScriptedHost<ProbePlatform> {
    try await host { _ throws(PlatformError) in HTTPAnswer(status: 200, json: .emptyObject) }
  }

  private func error(_ text: String) async throws -> PlatformError? {
    let host = try await host()
    do {
      _ = try await host.publish(Post(text: text), account, job: job)
      return nil
    } catch {
      return error
    }
  }

  @Test func saysWhatItIs() async throws {
    let host = ScriptedHost(ProbePlatform()) { _ throws(PlatformError) in HTTPAnswer(status: 200) }
    await #expect { try await host.identify(account) } throws: { ($0 as? PlatformError)?.kind == .invalidRequest }
    let answer = try await host.start()
    #expect(answer.plugin.id == "probe")
    #expect(answer.plugin.version == "1.2.3")
    #expect(try await host.identify(account).name == "Ann")
    #expect(host.log.first?.fields.map(\.name) == ["a", "b"])
    await #expect { try await host.start() } throws: { ($0 as? PlatformError)?.kind == .invalidRequest }
  }

  @Test func errorsOfEveryTypeGetAKind() async throws {
    #expect(try await error("foreign")?.kind == .internal)
    #expect(try await error("shape")?.kind == .platformChanged)
    #expect(try await error("form")?.kind == .invalidParams)
    let host = try await host()
    await #expect { try await host.capabilities(account) } throws: { ($0 as? PlatformError)?.kind == .cancelled }
    await #expect { try await host.delete("1", account, job: job) } throws: { error in
      guard let error = error as? PlatformError else { return false }
      return error.kind == .rateLimited && error.retry == .after && error.retryAfterMs == 2_500
        && error.upstream?.status == 429
    }
  }

  @Test func whatTheHostSaysOfARequestPassesThrough() async throws {
    let host = try await host { _ throws(PlatformError) in throw PlatformError(.outcomeUnknown, "no answer") }
    await #expect { try await host.publish(Post(text: "random"), account, job: job) } throws: { error in
      (error as? PlatformError)?.kind == .outcomeUnknown && (error as? PlatformError)?.retry == .reconcile
    }
  }

  @Test func waitingEndsTheCallAndReplayGoesOn() async throws {
    let host = try await host { _ throws(PlatformError) in
      HTTPAnswer(status: 200, json: .object { $0.field("ready", false) })
    }
    let first = try await host.publish(Post(text: "wait"), account, job: job)
    #expect(first == .wait(Publication.Wait(afterMs: 1_500, why: "the video is not ready")))
    let later = try await self.host { _ throws(PlatformError) in
      HTTPAnswer(status: 200, json: .object { $0.field("ready", true) })
    }
    let second = try await later.publish(Post(text: "wait"), account, job: job)
    #expect(second == .published(Publication.Published(remoteID: "k-1", url: nil)))
  }

  @Test func partialPublicationsAreAnAnswer() async throws {
    guard case .partial(let partial) = try await host().publish(Post(text: "partial"), account, job: job) else {
      Issue.record("not partial")
      return
    }
    #expect(partial.sent == 1 && partial.total == 2 && partial.error.kind == .platformDown)
  }

  @Test func timeAndRandomnessAreTheSameAtEveryRun() async throws {
    let host = try await host()
    _ = try await host.publish(Post(text: "random"), account, job: job)
    let first = host.digests
    host.replay()
    _ = try await host.publish(Post(text: "random"), account, job: job)
    #expect(host.digests == first)
    #expect(first.first?.contains("2026-01-02T03:04:05Z") == true)
    var other = job
    other.seed = "00fe"
    _ = try await host.publish(Post(text: "random"), account, job: other)
    #expect(host.digests.last != first.first)
  }

  @Test func badParametersNameTheField() async throws {
    let host = try await host()
    var bad = job
    bad.now = "yesterday"
    await #expect { try await host.publish(Post(text: ""), account, job: bad) } throws: { error in
      (error as? PlatformError)?.kind == .invalidParams && (error as? PlatformError)?.field == "job.now"
    }
  }
}
