import Cryptography
import Egress
import FoundationEssentials
import JSONText
import Testing

/// What the host adds to requests.
@Suite struct RequestDressingTests {
  @Test func slotsAreFilledByTheHost() async throws {
    let fixture = try Fixture()
    let token = FixedSecrets.token
    #expect(try await fixture.perform(#"{"rule":"me","path":{"id":"1"}}"#).failure == nil)
    #expect(try await fixture.perform(#"{"rule":"form","step":"f","form":{"a":"b c"}}"#).failure == nil)
    #expect(try await fixture.perform(#"{"rule":"nested","step":"n","json":{"auth":{"a":1},"b":2}}"#).failure == nil)
    #expect(try await fixture.perform(#"{"rule":"nested","step":"n2","json":{}}"#).failure == nil)
    let requests = fixture.server.requests
    try #require(requests.count == 4)
    #expect(requests[0].headers["authorization"] == "Bearer \(token)")
    #expect(requests[0].headers["accept"] == "application/json")
    #expect(requests[1].text == "a=b%20c&token=tok-4f9c%2FAa%2BZz%3D%C3%A9b7")
    #expect(requests[1].headers["content-type"] == "application/x-www-form-urlencoded")
    #expect(requests[1].headers["idempotency-key"] == "0192f0c1-key_f")
    let query = Base64.encode(Array(token.utf8)).replacing("=", with: "%3D").replacing("+", with: "%2B")
      .replacing("/", with: "%2F")
    #expect(requests[1].target == "/form?k=\(query)")
    #expect(requests[2].text == #"{"auth":{"a":1,"key":"\#(token)"},"b":2}"#)
    #expect(requests[3].text == #"{"auth":{"key":"\#(token)"}}"#)
  }

  @Test func theBodyIsSentAsThePluginWroteIt() async throws {
    let fixture = try Fixture()
    let body = #"{"b":1.50,"a":"\u00e9","text":"x"}"#
    _ = try await fixture.perform(#"{"rule":"create","step":"s","json":\#(body)}"#)
    #expect(fixture.server.requests.first?.text == body)
    #expect(fixture.server.requests.first?.headers["content-type"] == "application/json")
  }

  @Test func filesAreStreamedByRange() async throws {
    let file = FileManager.default.temporaryDirectory.appending(path: "egress-\(UUID().uuidString)")
    try Data("0123456789".utf8).write(to: file)
    // A leftover file does no harm to other tests.
    defer { try? FileManager.default.removeItem(at: file) }
    let stored = MediaFile(path: file.path, byteCount: 10, type: "image/png", sha256: "aa", filename: "dot.png")
    let media = FixedMedia(files: ["m-1": stored])
    let fixture = try Fixture()
    let upload = #"""
      {"rule":"upload","step":"a","multipart":[{"name":"kind","text":"image"},{"name":"file","media":"m-1","range":[2,5]}]}
      """#
    #expect(try await fixture.perform(upload, media: media).failure == nil)
    let chunk = #"{"rule":"chunk","step":"b","media":{"handle":"m-1","range":[8,9]},"headers":{"content-range":"x"}}"#
    #expect(try await fixture.perform(chunk, media: media).failure == nil)
    let form = try #require(fixture.server.requests.first)
    #expect(form.text.contains("name=\"kind\"\r\n\r\nimage\r\n"))
    #expect(form.text.contains("name=\"file\"; filename=\"dot.png\"\r\nContent-Type: image/png\r\n\r\n2345\r\n"))
    let part = try #require(fixture.server.requests.last)
    #expect(part.text == "89")
    #expect(part.headers["content-type"] == "image/png")
    #expect(part.headers["content-range"] == "x")
    let beyond = #"{"rule":"chunk","step":"c","media":{"handle":"m-1","range":[8,10]}}"#
    #expect(try await fixture.perform(beyond, media: media).failure?.kind == .invalidParams)
  }

  @Test(arguments: [
    (
      "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", Int64(1_614_265_330),
      #"{"test": 2432232314}"#, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    ),
    (
      "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "msg_01", 1_767_323_045,
      #"{"type":"post.published","timestamp":"2026-01-02T03:04:05Z","data":{"id":"p1","t":"é😀"}}"#,
      "v1,Jtvfv3h4VnH3JmSimLKwXcpcPaKrj7VD/5Adnx2Cuj4="
    ),
  ])
  func webhookVectors(_ secret: String, _ id: String, _ seconds: Int64, _ body: String, _ signature: String) throws {
    let headers = try #require(
      StandardWebhooks.headers(id: id, seconds: seconds, body: Array(body.utf8), secret: Secret(secret))
    )
    #expect(headers.map(\.0) == ["webhook-id", "webhook-timestamp", "webhook-signature"])
    #expect(headers.map(\.1) == [id, String(seconds), signature])
  }

  @Test(arguments: [
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_AAAA", "whsec_***",
    "whpk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
  ])
  func badSigningSecretsSignNothing(_ secret: String) {
    #expect(StandardWebhooks.headers(id: "msg_1", seconds: 1, body: [], secret: Secret(secret)) == nil)
  }

  @Test func aRepeatedWebhookKeepsItsIdAndRenewsItsTime() async throws {
    let time = TestTime()
    let fixture = try Fixture(time: time) { _ in .answer(503) }
    let params = #"{"rule":"hook","step":"send","json":{"type":"post.published"}}"#
    _ = try await fixture.perform(params)
    time.advance(400)
    _ = try await fixture.perform(params)
    _ = try await fixture.perform(#"{"rule":"hook","step":"send:2","json":{"type":"post.published"}}"#)
    let requests = fixture.server.requests
    try #require(requests.map { $0.headers["webhook-timestamp"] } == ["1700000000", "1700000400", "1700000400"])
    #expect(requests[0].headers["webhook-id"] == "msg_0192f0c1-key_send")
    #expect(requests[1].headers["webhook-id"] == requests[0].headers["webhook-id"])
    #expect(requests[2].headers["webhook-id"] != requests[0].headers["webhook-id"])
    for request in requests {
      let id = try #require(request.headers["webhook-id"])
      let seconds = try #require(request.headers["webhook-timestamp"].flatMap { Int64($0) })
      let expected = StandardWebhooks.headers(
        id: id,
        seconds: seconds,
        body: request.body,
        secret: Secret(FixedSecrets.signing)
      )
      #expect(request.headers["webhook-signature"] == expected?.last?.1)
      #expect(!id.contains("."))
    }
  }
}
