import Egress
import JSONText
import PluginManifest
import Testing

/// What the host takes out of answers, and what a plugin can do with the handles.
@Suite struct CaptureTests {
  private static let rules = #"""
    [
      {"rule": "start", "class": "prepare", "repeatable": true, "method": "POST", "origin": "https://api.example.com",
       "path": "/start", "calls": ["post/publish"], "body": "json",
       "slots": {"header.authorization": {"secret": "token", "format": "Bearer {}"}},
       "capture": [
         {"pointer": "/upload_url", "as": "upload", "kind": "url", "suffix": ["upload.example.com"]},
         {"header": "location", "as": "session", "kind": "url", "suffix": ["example.com"]},
         {"pointer": "/page/token", "as": "pageToken", "kind": "secret"},
         {"each": "/data/*", "pointer": "/access_token", "as": "page:{id}", "kind": "secret"}
       ],
       "exposeHeaders": ["location", "x-echo"], "maxBody": 4000, "timeoutMs": 5000},
      {"rule": "send", "class": "prepare", "repeatable": true, "method": "PUT",
       "origin": {"capture": "upload", "suffix": ["upload.example.com"]}, "query": ["part"],
       "calls": ["post/publish"], "body": "json", "maxBody": 2000, "timeoutMs": 5000},
      {"rule": "page", "class": "commit", "method": "POST", "origin": "https://api.example.com", "path": "/page",
       "calls": ["post/publish"], "body": "json",
       "slots": {"header.authorization": {"capture": "page", "format": "Bearer {}"}}, "maxBody": 2000,
       "timeoutMs": 5000},
      {"rule": "exchange", "class": "read", "reason": "asks for a token", "method": "POST",
       "origin": "https://api.example.com", "path": "/token", "calls": ["post/publish"], "body": "form",
       "slots": {"form.client_secret": {"secret": "other"}},
       "tokenEndpoint": {"returns": ["/expires_in", "/scope"]},
       "capture": [{"pointer": "/access_token", "as": "fresh", "kind": "secret"}], "maxBody": 2000, "timeoutMs": 5000}
    ]
    """#

  private static let upload = "https://a.upload.example.com/u/1?sig=top-secret-signature"
  private static let answer = #"""
    {"id": 5, "upload_url": "\#(upload)", "page": {"token": "page-token-abcdef", "name": "P"},
     "data": [{"id": "17", "access_token": "list-token-17", "x": 1}, {"id": 18, "access_token": "list-token-18"}],
     "again": "see list-token-17"}
    """#

  private func fixture() throws -> RuleFixture {
    try RuleFixture(Self.rules, stands: ["https://a.upload.example.com"]) { request in
      switch request.target {
      case "/start":
        .answer(200, headers: ["location": "/sessions/9?key=session-key-123", "x-echo": "hi"], body: Self.answer)
      case "/token": .answer(200, body: #"{"access_token":"fresh-token-1","refresh_token":"r-1","expires_in":60}"#)
      default: .answer(200, body: #"{"ok":true}"#)
      }
    }
  }

  @Test func handlesStandInPlaceOfValues() async throws {
    let fixture = try fixture()
    let result = try #require(try await fixture.json(#"{"rule":"start","step":"s/1","json":{}}"#))
    #expect(result.pointer("/json/upload_url/$url")?.text == #""capture:s/1/upload""#)
    #expect(result.pointer("/json/page/token/$secret")?.text == #""capture:s/1/pageToken""#)
    #expect(result.pointer("/json/page/name")?.text == #""P""#)
    #expect(result.pointer("/json/data/0/access_token/$secret")?.text == #""capture:s/1/page:17""#)
    #expect(result.pointer("/json/data/1/access_token/$secret")?.text == #""capture:s/1/page:18""#)
    #expect(result.pointer("/json/data/0/x")?.text == "1")
    #expect(result.pointer("/headers/location")?.text == #""capture:s/1/session""#)
    #expect(result.pointer("/captured/page:18")?.text == #""capture:s/1/page:18""#)
    for secret in ["signature", "page-token", "list-token", "session-key"] {
      #expect(!result.text.contains(secret), "\(secret)")
    }
    #expect(await fixture.journal.text("capture:s/1/upload") == Self.upload)
    #expect(
      await fixture.journal.text("capture:s/1/session") == "https://api.example.com/sessions/9?key=session-key-123"
    )
    #expect(await fixture.journal.text("capture:s/1/page:18") == "list-token-18")
    // What is kept for a replay is what the plugin was told.
    #expect(await fixture.journal.outcomes.first?.answer == result)
  }

  @Test func capturesThatAreExpectedAreNoAlarm() async throws {
    let answer = try await fixture().perform(#"{"rule":"start","step":"s","json":{}}"#)
    #expect(answer.redactions == 0)
    #expect(answer.resultText?.contains("see [redacted]") == true)
  }

  @Test func aCapturedAddressIsSentTo() async throws {
    let fixture = try fixture()
    _ = try await fixture.perform(#"{"rule":"start","step":"s","json":{}}"#)
    let params = #"{"rule":"send","step":"p","captures":{"upload":"capture:s/upload"},"query":{"part":2},"json":{}}"#
    #expect(try await fixture.perform(params).failure == nil)
    #expect(fixture.server.requests.last?.target == "/u/1?sig=top-secret-signature&part=2")
    #expect(fixture.server.requests.last?.method == "PUT")
  }

  @Test func aCapturedSecretFillsASlot() async throws {
    let fixture = try fixture()
    _ = try await fixture.perform(#"{"rule":"start","step":"s","json":{}}"#)
    let params = #"{"rule":"page","step":"p","captures":{"page":"capture:s/page:18"},"json":{"a":1}}"#
    #expect(try await fixture.perform(params).failure == nil)
    #expect(fixture.server.requests.last?.headers["authorization"] == "Bearer list-token-18")
  }

  @Test func theDigestNamesTheHandleNotTheValue() async throws {
    let fixture = try fixture()
    _ = try await fixture.perform(#"{"rule":"start","step":"s","json":{}}"#)
    for handle in ["17", "18", "17"] {
      _ = try await fixture.perform(
        #"{"rule":"page","step":"p\#(handle)","captures":{"page":"capture:s/page:\#(handle)"},"json":{}}"#
      )
    }
    let digests = await fixture.journal.digests
    try #require(digests.count == 4)
    #expect(digests[1] == digests[3])
    #expect(digests[1] != digests[2])
  }

  @Test(arguments: [
    (#"{"rule":"send","step":"p","json":{}}"#, EgressError.Kind.invalidParams),
    (#"{"rule":"send","step":"p","captures":{"upload":"https://evil.example"},"json":{}}"#, .invalidParams),
    (#"{"rule":"send","step":"p","captures":{"upload":"capture:s/pageToken"},"json":{}}"#, .invalidParams),
    (#"{"rule":"send","step":"p","captures":{"upload":"capture:s/session"},"json":{}}"#, .invalidParams),
    (#"{"rule":"send","step":"p","captures":{"upload":"capture:never/upload"},"json":{}}"#, .prepareExpired),
    (#"{"rule":"start","step":"p","captures":{"upload":"capture:s/upload"},"json":{}}"#, .egressDenied),
    (#"{"rule":"page","step":"p","captures":{"page":"capture:s/upload"},"json":{}}"#, .invalidParams),
  ])
  func aHandleIsOfUseOnlyWhereTheManifestSays(_ params: String, _ kind: EgressError.Kind) async throws {
    let fixture = try fixture()
    _ = try await fixture.perform(#"{"rule":"start","step":"s","json":{}}"#)
    let answer = try await fixture.perform(params)
    #expect(answer.failure?.kind == kind)
    if kind == .prepareExpired { #expect(answer.failure?.steps == ["never"]) }
    #expect(fixture.server.requests.count == 1)
  }

  @Test func aTokenEndpointTellsOnlyWhatItDeclares() async throws {
    let fixture = try fixture()
    let result = try #require(try await fixture.json(#"{"rule":"exchange","step":"t","form":{"a":"b"}}"#))
    #expect(result.pointer("/json")?.text == #"{"access_token":{"$secret":"capture:t/fresh"},"expires_in":60}"#)
    #expect(await fixture.journal.text("capture:t/fresh") == "fresh-token-1")
  }

  @Test(arguments: [
    "https://evil.example/u", "https://upload.example.com.evil.example/u", "https://xupload.example.com/u",
    "http://a.upload.example.com/u", "https://user@a.upload.example.com/u", "https://a.upload.example.com./u",
    "https://127.0.0.1/u", "https://[::1]/u", "ftp://a.upload.example.com/u", "javascript:alert(1)",
    "https://a.upload.example.com/../u", "https://a.upload.example.com/%2e%2e/u", "//evil.example/u",
    "https://a.upload.example.com\\\\@evil.example/u", "https:/a.upload.example.com/u",
  ])
  func anAddressElsewhereIsWithheld(_ address: String) async throws {
    let fixture = try RuleFixture(Self.rules) { _ in .answer(200, body: #"{"upload_url":"\#(address)"}"#) }
    let result = try #require(try await fixture.json(#"{"rule":"start","step":"s","json":{}}"#))
    #expect(result.pointer("/json/upload_url")?.isNull == true)
    #expect(await fixture.journal.captures.isEmpty)
  }

  @Test(arguments: ["not json token=abc-secret", #"{"upload_url":"#, "\u{1}"])
  func anAnswerThatCannotBeReadIsWithheld(_ body: String) async throws {
    let fixture = try RuleFixture(Self.rules) { _ in .answer(200, body: body) }
    let result = try #require(try await fixture.json(#"{"rule":"start","step":"s","json":{}}"#))
    #expect(result.pointer("/text")?.text == #""""#)
  }

  @Test func aCutAnswerIsWithheld() async throws {
    let filler = String(repeating: "x", count: 5_000)
    let fixture = try RuleFixture(Self.rules) { _ in
      .answer(200, body: #"{"upload_url":"https://a.upload.example.com/secret-part","filler":"\#(filler)"}"#)
    }
    let result = try #require(try await fixture.json(#"{"rule":"start","step":"s","json":{}}"#))
    #expect(result.pointer("/truncated")?.text == "true")
    #expect(!result.text.contains("secret-part"))
  }
}
