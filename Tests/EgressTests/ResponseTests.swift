import Cryptography
import Egress
import FoundationEssentials
import JSONText
import Testing

/// What plugins see of answers.
@Suite struct ResponseTests {
  @Test func onlyNamedHeadersAreShown() async throws {
    let fixture = try Fixture { _ in
      .answer(
        200,
        headers: ["X-Echo": "seen", "Set-Cookie": "session=1", "X-Other": "hidden", "X-Limit-Remaining": "3"],
        body: "[1]"
      )
    }
    let answer = try await fixture.perform(#"{"rule":"me","path":{"id":"1"}}"#)
    #expect(
      answer.resultText
        == #"{"status":200,"headers":{"x-limit-remaining":"3","x-echo":"seen"},"json":[1],"truncated":false}"#
    )
  }

  @Test(arguments: [
    ("{\n  \"a\": [1,\r\n 2]\n}", #""json":{   "a": [1,   2] }"#),
    ("{\"a\": 1} x", #""text":"{\"a\": 1} x""#),
    ("{\"a\":1,\"a\":2}", #""text":"{\"a\":1,\"a\":2}""#),
    ("{\"a\":\"line\nbreak\"}", #""text":"{\"a\":\"line\nbreak\"}""#),
    ("\"text\"", #""json":"text""#),
    ("", #""text":"""#),
  ])
  func aBodyIsPassedOnAsJSONOnlyIfItIs(_ body: String, _ expected: String) async throws {
    let fixture = try Fixture { _ in .answer(200, body: body) }
    let answer = try await fixture.perform(#"{"rule":"me","path":{"id":"1"}}"#)
    let text = try #require(answer.resultText)
    #expect(text.contains(expected), "\(text)")
    #expect(!text.utf8.contains(0x0A))
  }

  @Test func secretsAreTakenOutOfAnswers() async throws {
    let token = FixedSecrets.token
    let echoes = [
      token, Base64.encode(Array("Bearer \(token)".utf8)), Hex.encode(Array(token.utf8)),
      "tok-4f9c%2FAa%2BZz%3D%C3%A9b7",
    ]
    let body = #"{"echo":["# + echoes.map { "\"\($0)\"" }.joined(separator: ",") + #"],"data":{"id":"7"}}"#
    let fixture = try Fixture { request in
      .answer(201, headers: ["x-echo": request.headers["authorization"] ?? ""], body: body)
    }
    let journal = MemoryJournal()
    let answer = try await fixture.perform(#"{"rule":"create","step":"s","json":{}}"#, journal: journal)
    #expect(answer.redactions == 5)
    let text = try #require(answer.resultText)
    #expect(text.contains(#""x-echo":"Bearer [redacted]""#))
    for echo in echoes { #expect(!text.contains(echo)) }
    #expect(text.contains(#""json":{"echo":["[redacted]","#))
    let outcome = try #require(await journal.outcomes.first)
    #expect(outcome.answer?.text == text)
    #expect(outcome.remoteID == "7")
    #expect(outcome.outcome == .accepted)
  }

  @Test(arguments: [0, 1, 2, 3, 4, 5])
  func redactsEveryForm(_ shift: Int) throws {
    let secret = "s3cr\"et/\\value+with spaces"
    let bytes = Array(secret.utf8)
    let redactor = Redactor([Secret(secret)])
    let around = [UInt8](repeating: 0x41, count: shift)
    let json = String(RawJSON.string(secret).text.dropFirst().dropLast())
    let forms = [
      secret, json, json.replacing("/", with: "\\/"), Hex.encode(bytes), Hex.encode(bytes).uppercased(),
      Base64.encode(around + bytes + around), Base64.encodeURL(around + bytes + around),
      "s3cr%22et%2F%5Cvalue%2Bwith%20spaces", "s3cr%22et%2f%5cvalue%2bwith%20spaces",
      "s3cr%22et%2F%5Cvalue%2Bwith+spaces",
    ]
    for form in forms {
      let (text, count) = redactor.redact("<\(form)>")
      #expect(count == 1, "\(form)")
      #expect(text.contains(Redactor.mark))
      #expect(!text.contains("value"))
    }
    let (same, none) = redactor.redact("nothing to see")
    #expect(same == "nothing to see")
    #expect(none == 0)
  }

  @Test func shortSecretsAreLeftAlone() {
    #expect(Redactor([Secret("1234567")]).redact("1234567").count == 0)
    #expect(Redactor([Secret("12345678")]).redact("1234567812345678").count == 2)
  }

  @Test(arguments: ["Sun, 06 Nov 1994 08:49:37 GMT": 784_111_777.0, "Thu, 29 Feb 2024 23:59:59 GMT": 1_709_251_199])
  func readsHTTPDates(_ text: String, _ seconds: Double) {
    #expect(HTTPDate.parse(text)?.timeIntervalSince1970 == seconds)
  }

  @Test(arguments: [
    "", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 6 Nov 1994 08:49:37 GMT",
  ])
  func refusesOtherDates(_ text: String) {
    #expect(HTTPDate.parse(text) == nil)
  }
}
