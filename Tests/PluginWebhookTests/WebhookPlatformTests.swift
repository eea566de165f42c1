import PluginKit
import PluginTestKit
import Testing
import plugin_webhook

@Suite struct WebhookPlatformTests {
  private let account = Account(id: "", name: "", origin: "https://user:pw@Hooks.Example.com:8443/in/?token=secret")
  private let job = JobInfo(key: "k-1", now: "2026-01-02T03:04:05.678Z", seed: "0")

  private func host(
    _ status: Int,
    _ body: String? = nil,
    _ headers: [String: String] = [:]
  ) async throws
    -> ScriptedHost<WebhookPlatform>
  {
    let json = try body.map { try RawJSON(text: $0) }
    let host = ScriptedHost(WebhookPlatform()) { _ throws(PlatformError) in
      HTTPAnswer(status: status, headers: headers, json: json)
    }
    _ = try await host.start()
    return host
  }

  private func body(_ request: PerformHTTPRequest?) -> String {
    if case .json(let json) = request?.body { json.text } else { "" }
  }

  @Test func identifiesTheReceiverWithoutItsSecrets() async throws {
    let host = try await host(204)
    let identity = try await host.identify(account)
    #expect(
      identity == AccountIdentity(id: "hooks.example.com:8443/in", name: "hooks.example.com:8443", type: "webhook")
    )
    #expect(host.requests.first?.rule == "ping")
    #expect(body(host.requests.first).contains(#""type":"test.ping""#))
  }

  @Test func sendsTheEventAndTakesWhatTheReceiverSays() async throws {
    let host = try await host(200, #"{"id":"p-9","url":"https://blog.example/p-9"}"#)
    let media = MediaItem(handle: "m-1", type: "image/png", bytes: 5, sha256: "ab", alt: "cat")
    let post = Post(text: "T", title: "Ti", content: "<p>", url: "https://a.com", tags: ["x"], media: [media])
    let publication = try await host.publish(post, account, job: job)
    #expect(publication == .published(.init(remoteID: "p-9", url: "https://blog.example/p-9")))
    let request = try #require(host.requests.first)
    #expect(request.rule == "send" && request.step == "send")
    #expect(
      body(request)
        == #"{"data":{"content":"<p>","id":"k-1","media":[{"alt":"cat","bytes":5,"sha256":"ab","type":"image/png"}],"mentions":[],"tags":["x"],"text":"T","title":"Ti","url":"https://a.com"},"timestamp":"2026-01-02T03:04:05.678Z","type":"post.published"}"#
    )
    let digests = host.digests
    host.replay()
    _ = try await host.publish(post, account, job: job)
    #expect(host.digests == digests)
  }

  @Test(arguments: [nil, "[]", "{}", #"{"id":5,"url":7}"#, #"{"id":"","url":"javascript:x"}"#] as [String?])
  func aReceiverMaySayNothingOfUse(_ reply: String?) async throws {
    let publication = try await host(202, reply).publish(Post(text: "T"), account, job: job)
    #expect(publication == .published(.init(remoteID: "k-1", url: nil)))
  }

  @Test(arguments: [
    (301, ErrorKind.platformChanged, RetryClass.never), (400, .contentRejected, .userFix), (401, .authRevoked, .reauth),
    (403, .notPermitted, .never), (404, .notFound, .never), (408, .outcomeUnknown, .reconcile),
    (410, .authRevoked, .reauth), (413, .contentRejected, .userFix), (429, .rateLimited, .after),
    (500, .platformDown, .after), (502, .platformDown, .after), (503, .platformDown, .after),
  ])
  func mapsEachRefusal(_ status: Int, _ kind: ErrorKind, _ retry: RetryClass) async throws {
    let host = try await host(status)
    await #expect { try await host.publish(Post(text: "T"), account, job: job) } throws: { error in
      (error as? PlatformError)?.kind == kind && (error as? PlatformError)?.retry == retry
    }
  }

  @Test(
    arguments: [
      (["retry-after": "120"], 120.0),
      (["retry-after": "Fri, 02 Jan 2026 03:05:05 GMT", "date": "Fri, 02 Jan 2026 03:04:05 GMT"], 60),
      (["retry-after": "Fri, 02 Jan 2026 03:00:00 GMT", "date": "Fri, 02 Jan 2026 03:04:05 GMT"], 0),
      (["retry-after": "999999999999"], 86_400), (["retry-after": "-5"], nil), (["retry-after": "soon"], nil),
      ([:], nil),
    ] as [([String: String], Double?)]
  )
  func readsRetryAfter(_ headers: [String: String], _ seconds: Double?) {
    #expect(ReceiverErrors.delay(HTTPAnswer(status: 429, headers: headers)) == seconds.map { .seconds($0) })
  }

  @Test func deletesAndCannotBeAsked() async throws {
    let host = try await host(200)
    #expect(try await host.delete("p-9", account, job: job).deleted)
    #expect(host.requests.first?.rule == "sendDeleted")
    #expect(body(host.requests.first).contains(#""type":"post.deleted""#))
    guard case .unknown = try await host.reconcile(Post(text: "T"), account, job: job, evidence: []) else {
      Issue.record("not unknown")
      return
    }
  }

  @Test func findsEmptyPosts() async throws {
    let host = try await host(200)
    #expect(try await host.validate(Post(text: ""), account).findings.map(\.code) == ["empty"])
    #expect(try await host.validate(Post(text: "", title: "T"), account).findings.isEmpty)
  }

  @Test(
    arguments: [("https://a.example", "a.example"), ("a.example/x/", "a.example/x"), ("https://", nil), ("", nil)]
      as [(String, String?)]
  )
  func namesEndpoints(_ address: String, _ name: String?) {
    #expect(Endpoint(address)?.name == name)
  }
}
