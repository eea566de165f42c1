import JSONText
import PluginProtocol
import Testing

@Suite struct ProtocolTests {
  @Test(
    arguments: [
      ("1.0", "1.0", "1.0", "1.0", "1.0"), ("1.0", "1.4", "1.0", "1.2", "1.2"), ("1.2", "2.1", "1.0", "2.0", "2.0"),
      ("1.0", "1.1", "1.2", "1.3", nil), ("2.0", "2.0", "1.0", "1.9", nil),
    ] as [(String, String, String, String, String?)]
  )
  func negotiates(_ aMin: String, _ aMax: String, _ bMin: String, _ bMax: String, _ expected: String?) throws {
    func range(_ low: String, _ high: String) throws -> ProtocolRange {
      ProtocolRange(min: try #require(ProtocolVersion(low)), max: try #require(ProtocolVersion(high)))
    }
    let left = try range(aMin, aMax)
    let right = try range(bMin, bMax)
    #expect(left.negotiate(with: right)?.description == expected)
    #expect(right.negotiate(with: left)?.description == expected)
  }

  @Test(arguments: ["", "1", "1.", ".1", "1.2.3", "a.b", "-1.0", "1.0 ", "99999.0"])
  func refusesVersions(_ text: String) {
    #expect(ProtocolVersion(text) == nil)
  }

  @Test func everyKindHasItsOwnCodeAndAClass() {
    #expect(ErrorKind.known.count == 36)
    #expect(Set(ErrorKind.known.map(\.code)).count == 36)
    for kind in ErrorKind.known { #expect(ErrorKind(code: kind.code) == kind) }
    #expect(ErrorKind.rateLimited.retry == .after)
    #expect(ErrorKind.outcomeUnknown.retry == .reconcile)
    #expect(ErrorKind.contentRejected.retry == .userFix)
    #expect(ErrorKind.authExpired.retry == .reauth)
    #expect(ErrorKind.notPermitted.retry == .never)
    #expect(ErrorKind(rawValue: "new").code.rawValue == -32603)
  }

  @Test func methodsAreUnique() {
    let methods = (MessageRegistry.hostRequests + MessageRegistry.pluginRequests).map { $0.method }
    #expect(Set(methods).count == methods.count)
    #expect(MessageRegistry.platformMethods.isSubset(of: methods))
  }

  @Test func hotMessagesGoThroughTheirText() throws {
    let request = PublishPostRequest(
      meta: CallMeta(call: "c1", deadlineMs: 5, attempt: 2),
      account: Account(id: "1", name: "n", handle: "h", capabilities: .emptyObject),
      job: JobInfo(key: "k", now: "2026-01-02T03:04:05.678Z", seed: "ff"),
      post: Post(
        text: "t",
        title: "ti",
        excerpt: "e",
        content: "c",
        url: "https://a.example",
        tags: ["x"],
        mentions: ["m"],
        media: [MediaItem(handle: "m-1", type: "image/png", bytes: 3, width: 1, height: 2, sha256: "aa", alt: "alt")]
      )
    )
    #expect(try PublishPostRequest(json: request.json) == request)
    let http = PerformHTTPRequest(
      call: "c1",
      rule: "r",
      step: "s",
      path: ["id": "1"],
      query: ["b": "2", "a": "1"],
      headers: ["x": "y"],
      body: .multipart([
        MultipartPart(name: "f", content: .media(handle: "m-1", range: 0...9), filename: "a.png", type: "image/png"),
        .text("k", "v"),
      ]),
      timeoutMs: 3
    )
    #expect(try PerformHTTPRequest(json: http.json) == http)
    for body: HTTPBody in [
      .none, .json(.null), .form([HTTPField("b", "1"), HTTPField("a", "2")]), .text("x"),
      .media(handle: "m", range: nil),
    ] {
      let request = PerformHTTPRequest(call: "c", rule: "r", body: body)
      #expect(try PerformHTTPRequest(json: request.json) == request)
    }
    #expect(http.json.text.contains(#""query":{"a":"1","b":"2"}"#))
    let answer = HTTPAnswer(status: 201, headers: ["a": "b"], json: .emptyObject, truncated: true)
    #expect(try HTTPAnswer(json: answer.json) == answer)
  }

  @Test(arguments: [
    #"{"call":"c","rule":"r","json":{},"text":"x"}"#, #"{"call":"c","rule":"r","query":{"a":1}}"#,
    #"{"call":"c","rule":"r","media":{"handle":"m","range":[5,1]}}"#,
    #"{"call":"c","rule":"r","media":{"handle":"m","range":[-1,1]}}"#, #"{"rule":"r"}"#,
    #"{"call":"c","rule":"r","multipart":[{"name":"a"}]}"#,
    #"{"call":"c","rule":"r","multipart":[{"name":"a","text":"x","media":"m"}]}"#,
  ])
  func refusesHTTPRequests(_ text: String) {
    #expect(throws: JSONTextError.self) { try PerformHTTPRequest(json: try RawJSON(text: text)) }
  }

  @Test func publicationsAndVerdictsGoThroughTheirText() throws {
    let cases: [Publication] = [
      .published(Publication.Published(remoteID: "1", url: nil, warnings: ["w"])),
      .wait(Publication.Wait(afterMs: 5, why: "video")),
      .partial(
        Publication.Partial(remoteID: "1", url: "u", sent: 1, total: 3, error: ProtocolError(.platformDown, "x"))
      ),
    ]
    for publication in cases { #expect(try Publication(json: publication.json) == publication) }
    for verdict: Verdict in [.found(remoteID: "1", url: "u"), .absent, .unknown(why: "w")] {
      #expect(try Verdict(json: verdict.json) == verdict)
    }
  }
}
