import Testing

@testable import SandboxKit

@Suite struct WebhookReceiverTests {
  private let receiver = WebhookReceiver()
  private let now: Int64 = 1_767_323_045_000
  private static let payload =
    #"{"type":"post.published","timestamp":"2026-01-02T03:04:05Z","data":{"id":"p1","text":"Hi"}}"#

  init() throws {
    let secret = try #require(WebhookSecret(SandboxFixture.secret))
    receiver.setHook(WebhookHookOrder(name: "blog", secrets: [secret]))
  }

  private struct Answer {
    let status: Int
    let code: String?
    let message: String?
    let body: JSON
  }

  /// Delivers a message that is right but for `change`.
  private func deliver(
    id: String = "msg_1",
    body: String = payload,
    at: Int64? = nil,
    now: Int64? = nil,
    method: String = "POST",
    change: (inout [(String, String)]) -> Void = { _ in }
  ) throws -> Answer {
    let bytes = Array(body.utf8)
    var headers = try SandboxFixture.signed(id: id, body: bytes, at: at ?? self.now)
    change(&headers)
    let request = HTTPRequest(
      method: method,
      path: "/hooks/blog",
      headers: headers.map { .init(name: $0.0, value: $0.1) },
      body: bytes
    )
    let response = receiver.answer(request, hook: "blog", now: now ?? self.now, origin: "http://h")
    let json = try JSONParser.parse(response.body)
    return Answer(
      status: response.status,
      code: json["error"]?["code"]?.string,
      message: json["error"]?["message"]?.string,
      body: json
    )
  }

  private var events: [WebhookEvent] { receiver.state.withLock { $0.hooks["blog"]?.events ?? [] } }

  @Test func acceptsTheVectorOfTheLibraries() throws {
    let secret = try #require(WebhookSecret(SandboxFixture.secret))
    let request = HTTPRequest(
      method: "POST",
      path: "/",
      headers: [
        .init(name: "webhook-id", value: "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        .init(name: "webhook-timestamp", value: "1614265330"),
        .init(name: "webhook-signature", value: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
      ],
      body: Array(#"{"test": 2432232314}"#.utf8)
    )
    let verifier = WebhookVerifier(now: 1_614_265_330_000, secrets: [secret])
    #expect(try verifier.verify(request) == "msg_p5jXN8AQM9LWM0D4loKWxJek")
  }

  @Test func acceptsTheVectorWithOtherCharacters() throws {
    let secret = try #require(WebhookSecret("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="))
    let body = #"{"type":"post.published","timestamp":"2026-01-02T03:04:05Z","data":{"id":"p1","t":"é😀"}}"#
    let request = HTTPRequest(
      method: "POST",
      path: "/",
      headers: [
        .init(name: "webhook-id", value: "msg_01"), .init(name: "webhook-timestamp", value: "1767323045"),
        .init(name: "webhook-signature", value: "v1,Jtvfv3h4VnH3JmSimLKwXcpcPaKrj7VD/5Adnx2Cuj4="),
      ],
      body: Array(body.utf8)
    )
    #expect(try WebhookVerifier(now: now, secrets: [secret]).verify(request) == "msg_01")
  }

  @Test func answersWithIDAndAddressAndCountsOnce() throws {
    let first = try deliver()
    #expect(first.status == 200)
    #expect(first.body["id"]?.string == "msg_1")
    #expect(first.body["url"]?.string == "http://h/hooks/blog/msg_1")
    // The retry has a new timestamp and so a new signature.
    let again = try deliver(at: now + 60_000, now: now + 60_000)
    #expect(again.body == first.body)
    #expect(events.count == 1)
    #expect(events.first?.deliveries == 2)
    #expect(events.first?.text == "Hi")
  }

  @Test(arguments: ["webhook-id", "webhook-timestamp", "webhook-signature"])
  func refusesAMissingOrDoubledHeader(name: String) throws {
    #expect(try deliver { $0.removeAll { $0.0 == name } }.code == "missing_header")
    let doubled = try deliver { headers in headers += headers.filter { $0.0 == name } }
    #expect(doubled.status == 400)
  }

  @Test(arguments: ["", "msg.1", "a b"])
  func refusesWrongIDs(id: String) throws {
    let answer = try deliver(id: id)
    #expect(answer.status == 400)
    #expect(answer.code == "invalid_id")
  }

  @Test(arguments: ["", "1.5", "-1", "abc", "123abc", "1767323045000", "0x10", "+1767323045"])
  func refusesTimestampsThatAreNotSeconds(text: String) throws {
    let answer = try deliver { headers in
      headers = headers.map { $0.0 == "webhook-timestamp" ? ($0.0, text) : $0 }
    }
    #expect(answer.status == 401)
    #expect(answer.code?.hasPrefix("invalid_timestamp") == true || answer.code?.hasPrefix("timestamp_too") == true)
  }

  @Test func allowsFiveMinutesBothWays() throws {
    #expect(try deliver(id: "a", at: now - 300_000).status == 200)
    #expect(try deliver(id: "b", body: Self.payload.replacing("Hi", with: "Ho"), at: now + 300_000).status == 200)
    #expect(try deliver(id: "c", at: now - 301_000).code == "timestamp_too_old")
    #expect(try deliver(id: "d", at: now + 301_000).code == "timestamp_too_new")
    #expect(events.count == 2)
  }

  @Test func refusesSignaturesMadeWrongAndSaysHow() throws {
    let secret = try #require(WebhookSecret(SandboxFixture.secret))
    let content = Array("msg_1.\(now / 1000).".utf8) + Array(Self.payload.utf8)
    let code = HMACSHA256.code(key: secret.key, message: content)
    let textKey = HMACSHA256.code(key: Array(SandboxFixture.secret.utf8), message: content)
    let reserialised = HMACSHA256.code(key: secret.key, message: content + [32])
    let right = Base64.encode(code)
    let urlSafe = right.replacing("+", with: "-").replacing("/", with: "_")
    let cases: [(String, String)] = [
      (right, "prefix"), ("v1,\(Hexadecimal.string(code))", "hexadecimal"),
      ("v1,\(right.dropLast())", "standard alphabet"), ("v1,\(Base64.encode(textKey))", "text of the secret"),
      ("v1,\(Base64.encode(reserialised))", "no v1 signature"), ("v1a,\(right)", "no v1 signature"), ("", "no v1"),
      ("v2,\(right)", "no v1 signature"),
    ]
    for (signature, word) in cases + (urlSafe == right ? [] : [("v1,\(urlSafe)", "standard alphabet")]) {
      let answer = try deliver { headers in
        headers = headers.map { $0.0 == "webhook-signature" ? ($0.0, signature) : $0 }
      }
      #expect(answer.status == 401)
      #expect(answer.code == "signature_mismatch")
      #expect(answer.message?.contains(word) == true, "\(signature): \(answer.message ?? "")")
    }
    #expect(events.isEmpty)
    let listed = try deliver { headers in
      headers = headers.map { $0.0 == "webhook-signature" ? ($0.0, "v1a,x v1,AAAA \($0.1)") : $0 }
    }
    #expect(listed.status == 200)
  }

  @Test func acceptsOldAndNewKeysDuringARotation() throws {
    let old = try #require(WebhookSecret(SandboxFixture.secret))
    let new = try #require(WebhookSecret("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="))
    receiver.setHook(WebhookHookOrder(name: "blog", secrets: [new, old]))
    #expect(try deliver().status == 200)
    receiver.setHook(WebhookHookOrder(name: "blog", secrets: [new]))
    #expect(try deliver(id: "msg_2").code == "signature_mismatch")
  }

  @Test func refusesARetryWithANewID() throws {
    #expect(try deliver(id: "msg_1").status == 200)
    let again = try deliver(id: "msg_2")
    #expect(again.status == 409)
    #expect(again.code == "retry_with_new_id")
    #expect(events.count == 1)
  }

  @Test func acceptsARetryWithItsNamesInAnotherOrder() throws {
    #expect(try deliver().status == 200)
    let other = #"{"data":{"text":"Hi","id":"p1"}, "timestamp":"2026-01-02T03:04:05Z","type":"post.published"}"#
    #expect(try deliver(body: other).status == 200)
    #expect(try deliver(id: "msg_2", body: other).code == "retry_with_new_id")
    #expect(events.count == 1)
  }

  @Test func refusesAnIDForAnotherBody() throws {
    #expect(try deliver().status == 200)
    #expect(try deliver(body: Self.payload.replacing("Hi", with: "Ho")).code == "id_reused")
  }

  @Test(arguments: [
    ("nonsense", "invalid_json"), (#"{"timestamp":"2026-01-02T03:04:05Z","data":{}}"#, "invalid_payload"),
    (#"{"type":"a","data":{}}"#, "invalid_payload"),
    (#"{"type":"a","timestamp":"2026-01-02T03:04:05Z"}"#, "invalid_payload"),
    (#"{"type":"a","timestamp":"now","data":{}}"#, "invalid_payload"),
    (#"{"type":"a-b","timestamp":"2026-01-02T03:04:05Z","data":{}}"#, "invalid_type"),
    (#"{"type":"a..b","timestamp":"2026-01-02T03:04:05Z","data":{}}"#, "invalid_type"),
    (#"{"type":"","timestamp":"2026-01-02T03:04:05Z","data":{}}"#, "invalid_type"),
    (#"{"type":"a","timestamp":"2026-01-02T03:04:05Z","data":[]}"#, "invalid_payload"),
  ])
  func refusesOtherPayloads(body: String, code: String) throws {
    let answer = try deliver(body: body)
    #expect(answer.status == 400)
    #expect(answer.code == code)
  }

  @Test func refusesOtherMethodsTypesAndSizes() throws {
    #expect(try deliver(method: "PUT").status == 405)
    #expect(try deliver(method: "GET").status == 405)
    let text = try deliver { headers in
      headers = headers.map { $0.0 == "content-type" ? ($0.0, "text/plain") : $0 }
    }
    #expect(text.status == 415)
    let secret = try #require(WebhookSecret(SandboxFixture.secret))
    receiver.setHook(
      WebhookHookOrder(name: "blog", secrets: [secret], maximumBytes: Self.payload.utf8.count, requiresHTTPS: false)
    )
    #expect(try deliver().status == 200)
    #expect(try deliver(id: "msg_2", body: Self.payload + " ").status == 413)
  }

  @Test func takesHTTPSOnlyWhereAsked() throws {
    let secret = try #require(WebhookSecret(SandboxFixture.secret))
    receiver.setHook(WebhookHookOrder(name: "blog", secrets: [secret], requiresHTTPS: true))
    #expect(try deliver().status == 403)
    #expect(try deliver { $0.append(("x-forwarded-proto", "https")) }.status == 200)
  }

  @Test func knowsNoOtherHook() throws {
    let response = receiver.answer(HTTPRequest(method: "POST", path: "/"), hook: "other", now: now, origin: "")
    #expect(response.status == 404)
  }

  @Test func marksDeletedPosts() throws {
    #expect(try deliver().status == 200)
    let deleted = #"{"type":"post.deleted","timestamp":"2026-01-02T03:05:05Z","data":{"id":"msg_1"}}"#
    #expect(try deliver(id: "msg_2", body: deleted).status == 200)
    #expect(events.first?.deletedAt == now)
    #expect(events.count == 2)
  }

  @Test(arguments: [
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_AAAA", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa",
    "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
  ])
  func refusesOtherSecrets(text: String) {
    #expect(WebhookSecret(text) == nil)
  }
}
