import Foundation
import JSONText
import PluginProtocol
import Testing

/// Holds the JSON Schemas against the types: what a type writes is described whole, and what is required is missed.
@Suite struct SchemaTests {
  /// Every message once, with every member set. A type that gains a member gains it here, or the first test tells.
  static let samples: [(method: String, params: any WireValue, results: [any WireValue])] = [
    (
      InitializeRequest.method,
      InitializeRequest(hostVersion: "1", plugin: PluginIdentity(id: "a", version: "1.0.0")),
      [InitializeRequest.Answer(version: .current, plugin: Sample.plugin, methods: ["post/publish"])]
    ),
    (InitializedNotification.method, InitializedNotification(), []),
    (CheckHealthRequest.method, CheckHealthRequest(), [EmptyMessage()]),
    (DrainRequest.method, DrainRequest(), [EmptyMessage()]),
    (ShutdownRequest.method, ShutdownRequest(), [EmptyMessage()]),
    (
      IdentifyAccountRequest.method, IdentifyAccountRequest(meta: Sample.meta, account: Sample.account),
      [AccountIdentity(id: "1", name: "a", handle: "b", url: "https://c", followers: 1, type: "person")]
    ),
    (
      DescribeAccountRequest.method, DescribeAccountRequest(meta: Sample.meta, account: Sample.account),
      [Sample.capabilities]
    ),
    (
      ValidatePostRequest.method,
      ValidatePostRequest(meta: Sample.meta, account: Sample.account, post: Sample.post),
      [Validation(findings: [Sample.finding], length: Sample.length)]
    ),
    (
      RenderPostRequest.method, RenderPostRequest(meta: Sample.meta, account: Sample.account, post: Sample.post),
      [
        Rendering(
          text: "a",
          length: Sample.length,
          segments: [RenderedSegment(text: "b", length: Sample.length)],
          findings: [Sample.finding]
        )
      ]
    ),
    (
      PublishPostRequest.method,
      PublishPostRequest(meta: Sample.meta, account: Sample.account, job: Sample.job, post: Sample.post),
      [
        Publication.published(
          .init(
            remoteID: "1",
            url: "https://a",
            segments: [PublishedSegment(remoteID: "1", url: "https://a")],
            warnings: ["b"]
          )
        ),
        Publication.wait(.init(afterMs: 1, why: "a")),
        Publication.partial(
          .init(
            remoteID: "1",
            url: "https://a",
            sent: 1,
            total: 2,
            segments: [PublishedSegment(remoteID: "1", url: "https://a")],
            error: Sample.error
          )
        ),
      ]
    ),
    (
      ReconcilePostRequest.method,
      ReconcilePostRequest(
        meta: Sample.meta,
        account: Sample.account,
        job: Sample.job,
        post: Sample.post,
        evidence: [Sample.evidence]
      ),
      [Verdict.found(remoteID: "1", url: "https://a"), Verdict.absent, Verdict.unknown(why: "a")]
    ),
    (
      DeletePostRequest.method,
      DeletePostRequest(meta: Sample.meta, account: Sample.account, job: Sample.job, remoteID: "1"),
      [DeletePostRequest.Answer()]
    ),
    (PerformHTTPRequest.method, Sample.request(.json(.emptyObject)), [Sample.answer]),
    (PerformHTTPRequest.method, Sample.request(.form([HTTPField("a", "b")])), [Sample.answer]),
    (PerformHTTPRequest.method, Sample.request(.text("a")), [Sample.answer]),
    (PerformHTTPRequest.method, Sample.request(.media(handle: "m", range: 0...9)), [Sample.answer]),
    (
      PerformHTTPRequest.method,
      Sample.request(
        .multipart([
          MultipartPart(name: "a", content: .text("b"), filename: "c", type: "d"),
          MultipartPart(name: "a", content: .media(handle: "m", range: 0...9), filename: "c", type: "d"),
        ])
      ),
      [Sample.answer]
    ),
    (
      OpenHTTPStreamRequest.method, OpenHTTPStreamRequest(Sample.request(.json(.emptyObject))),
      [OpenHTTPStreamRequest.Answer(stream: "s", answer: Sample.answer)]
    ),
    (
      CreditHTTPStreamRequest.method, CreditHTTPStreamRequest(call: "c", stream: "s", events: 1, bytes: 2),
      [EmptyMessage()]
    ),
    (CloseHTTPStreamRequest.method, CloseHTTPStreamRequest(call: "c", stream: "s"), [EmptyMessage()]),
    (StatMediaRequest.method, StatMediaRequest(call: "c", handle: "m"), [Sample.media]),
    (
      ReadMediaRequest.method, ReadMediaRequest(call: "c", handle: "m", offset: 0, length: 1),
      [ReadMediaRequest.Answer(base64: "AA==")]
    ),
    (ProgressNotification.method, ProgressNotification(call: "c", fraction: 0.5, note: "a"), []),
    (LogNotification.method, LogNotification(level: "info", message: "a", fields: [HTTPField("b", "c")]), []),
    (
      StreamNotification.method,
      StreamNotification(
        stream: "s",
        seq: 1,
        events: [.init(event: "a", data: "b", id: "c", more: true)],
        end: .init(reason: "complete", events: 1, bytes: 2, usage: .emptyObject)
      ),
      []
    ),
    (CancelNotification.method, CancelNotification(id: 1), []),
  ]

  private static func schema(_ method: String) throws -> RawJSON {
    let name = method.replacing("$/", with: "").replacing("/", with: ".")
    return try RawJSON(try Adapters.bytes("SDK/Schemas/1.0/\(name).json"))
  }

  @Test func everyMessageHasASample() {
    var methods = MessageRegistry.hostRequests.map { $0.method } + MessageRegistry.pluginRequests.map { $0.method }
    methods += MessageRegistry.hostNotifications.map { $0.method }
    methods += MessageRegistry.pluginNotifications.map { $0.method }
    #expect(Set(Self.samples.map(\.method)) == Set(methods))
  }

  @Test func whatTypesWriteIsDescribedWhole() throws {
    for sample in Self.samples {
      let schema = try SchemaReader(try Self.schema(sample.method))
      let problems = schema.problems(of: sample.params.json, at: "/properties/params")
      #expect(problems == [], "\(sample.method)")
      for result in sample.results {
        #expect(schema.problems(of: result.json, at: "/properties/result") == [], "\(sample.method)")
      }
    }
  }

  @Test func requiredMembersAreThoseThatTypesMiss() throws {
    for sample in Self.samples {
      let schema = try SchemaReader(try Self.schema(sample.method))
      try check(sample.params, schema, "/properties/params", sample.method)
      for result in sample.results { try check(result, schema, "/properties/result", sample.method) }
    }
  }

  /// Takes each member away in turn, on the first level: the type must refuse exactly what the schema requires.
  private func check<Value: WireValue>(_ value: Value, _ schema: SchemaReader, _ place: String, _ method: String) throws
  {
    let object = try value.json.object()
    for key in object.keys {
      let rest = RawJSON.object { writer in
        for (name, member) in object.all where name != key { writer.field(name, member) }
      }
      let isRefused = (try? Value(json: rest)) == nil
      // Of a choice, another form may fit what is left.
      if schema.hasChoice(at: place) { continue }
      #expect(isRefused == schema.requires(key, at: place), "\(method): \(place) \(key)")
    }
  }

  @Test func schemasAndReferenceAreFresh() throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Adapters.python)
    process.arguments = ["\(Adapters.root)/SDK/Schemas/make-schemas.py", "--check"]
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
  }

  @Test func templatesAreFresh() throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Adapters.python)
    process.arguments = ["\(Adapters.root)/SDK/Examples/make-templates.py", "--check"]
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
  }
}

/// Values with every member set.
private enum Sample {
  static let meta = CallMeta(call: "c", deadlineMs: 1, attempt: 1)
  static let plugin = PluginIdentity(id: "a", version: "1.0.0", sdk: "swift/1.0.0")
  static let length = TextLength(count: 1, limit: 2, unit: "characters")
  static let finding = Finding(.error, field: "text", code: "a", "b", actual: "c", allowed: "d")
  static let capabilities = Capabilities(
    text: .init(limit: 1, target: 1, unit: "characters"),
    media: .init(
      images: 1,
      imageBytes: 1,
      imageTypes: ["image/png"],
      altLimit: 1,
      videos: 1,
      videoBytes: 1,
      videoTypes: ["video/mp4"]
    ),
    segments: 2,
    features: ["delete"]
  )
  static let account = Account(
    id: "1",
    name: "a",
    handle: "b",
    url: "https://c",
    origin: "https://d",
    capabilities: capabilities.json
  )
  static let job = JobInfo(key: "k", now: "2026-01-02T03:04:05Z", seed: "s")
  static let media = MediaItem(
    handle: "m",
    type: "image/png",
    bytes: 1,
    width: 1,
    height: 1,
    sha256: "00",
    alt: "a",
    filename: "b"
  )
  static let post = Post(
    text: "a",
    title: "b",
    excerpt: "c",
    content: "d",
    url: "https://e",
    tags: ["f"],
    mentions: ["g"],
    media: [media],
    segments: [PostSegment(text: "h", media: [media])]
  )
  static let error = ProtocolError(
    .rateLimited,
    "a",
    retryAfterMs: 1,
    field: "b",
    userMessage: "c",
    upstream: UpstreamDetail(status: 429, code: "d", requestID: "e"),
    steps: ["f"]
  )
  static let evidence = Evidence(
    step: "a",
    rule: "b",
    effectClass: "commit",
    attempt: 1,
    state: "done",
    outcome: "accepted",
    status: 201,
    sentAt: "2026-01-02T03:04:05Z",
    lastByteAt: "2026-01-02T03:04:05Z",
    remoteID: "1"
  )
  static let answer = HTTPAnswer(
    status: 200,
    headers: ["a": "b"],
    json: .emptyObject,
    text: "c",
    truncated: true,
    captured: ["d": "e"],
    remoteID: "f",
    isReplayed: true
  )

  static func request(_ body: HTTPBody) -> PerformHTTPRequest {
    PerformHTTPRequest(
      call: "c",
      rule: "r",
      step: "s",
      path: ["a": "b"],
      query: ["a": "b"],
      headers: ["a": "b"],
      body: body,
      timeoutMs: 1,
      captures: ["a": "b"]
    )
  }
}
