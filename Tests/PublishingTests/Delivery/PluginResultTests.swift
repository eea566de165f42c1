import FoundationEssentials
import JSONText
import PluginHost
import PluginProtocol
import Testing

@testable import Publishing

/// Answers of plugins are untrusted.
@Suite struct PluginResultTests {
  private func end(_ text: String) throws -> CallEnd { PluginResult.publishEnd(try RawJSON(text: text)) }

  @Test(arguments: [
    "null", "1", "[]", "{}", #""sent""#, #"{"remoteId":7}"#, #"{"remoteId":""}"#, #"{"remoteId":null}"#,
    #"{"remoteId":"a\u0000b"}"#, #"{"wait":{}}"#, #"{"wait":1}"#, #"{"wait":{"afterMs":"1"}}"#, #"{"partial":{}}"#,
    #"{"partial":{"remoteId":"","sent":1,"total":2,"error":{"code":1,"message":"m"}}}"#,
    #"{"partial":{"remoteId":"1","sent":1,"total":2}}"#,
  ])
  func answersOfAnotherShapeBreakTheProtocol(text: String) throws {
    guard case .pluginLost(let problem) = try end(text) else {
      Issue.record("took \(text)")
      return
    }
    #expect(problem.kind == "protocolViolation")
  }

  @Test func idsThatCannotBeIndexedAreRefused() throws {
    for prefix in [
      #"{"remoteId":"\#("%")"}"#, #"{"partial":{"remoteId":"%","sent":1,"total":2,"error":{"code":1,"message":"m"}}}"#,
    ] {
      let long = prefix.replacing("%", with: String(repeating: "é", count: 257))
      guard case .pluginLost = try end(long) else {
        Issue.record("took an id of 514 bytes")
        continue
      }
      let fits = prefix.replacing("%", with: String(repeating: "é", count: 256))
      if case .pluginLost = try end(fits) { Issue.record("refused an id of 512 bytes") }
    }
  }

  @Test func waitsAreBounded() throws {
    #expect(try end(#"{"wait":{"afterMs":-5,"why":"v"}}"#) == .wait(0.5, why: "v"))
    #expect(try end(#"{"wait":{"afterMs":9223372036854775807,"why":"v"}}"#) == .wait(3600, why: "v"))
  }

  @Test(arguments: ["javascript:alert(1)", "ftp://a.example", "//a.example", "https://a.example/\\u0000"])
  func onlyWebAddressesBecomeLinks(url: String) throws {
    #expect(
      try end(#"{"remoteId":"1","url":"\#(url)","warnings":[]}"#)
        == .published(remoteID: "1", url: nil, warnings: [])
    )
  }

  @Test func textsAreCutAndStorable() throws {
    let many = (0..<50).map { _ in #""w\u0000""# }.joined(separator: ",")
    guard case .published(_, _, _, let warnings) = try end(#"{"remoteId":"1","warnings":[\#(many)]}"#) else {
      Issue.record("refused")
      return
    }
    #expect(warnings.count == 20)
    #expect(warnings.allSatisfy { !$0.utf8.contains(0) })
    let error = ProtocolError(
      ErrorKind(rawValue: "k\0"),
      String(repeating: "m", count: 5000) + "\0",
      retry: RetryClass(rawValue: "someday"),
      retryAfterMs: Int64.max,
      field: "f\0",
      userMessage: "u\0"
    )
    let problem = PluginResult.problem(error)
    #expect(problem.message.count == 1000)
    #expect(problem.retry == .retry)
    #expect(problem.retryAfter == 86_400)
    #expect(!problem.json().text.contains(#"\u0000"#))
  }

  @Test func verdicts() throws {
    func verdict(_ text: String) throws -> ReconcileVerdict { PluginResult.verdict(try RawJSON(text: text)) }
    #expect(try verdict(#"{"verdict":"absent"}"#) == .absent)
    let found = try verdict(
      #"{"verdict":"found","remoteId":"7","url":"https://a.example/7","publishedAt":"2026-01-02T03:04:05Z"}"#
    )
    let date = Date(timeIntervalSince1970: 1_767_323_045)
    #expect(found == .found(remoteID: "7", url: "https://a.example/7", publishedAt: date))
    #expect(
      try verdict(#"{"verdict":"found","remoteId":"7","publishedAt":"soon"}"#)
        == .found(remoteID: "7", url: nil, publishedAt: nil)
    )
    for text in [
      "null", "{}", #"{"verdict":"found"}"#, #"{"verdict":"found","remoteId":""}"#, #"{"verdict":"maybe"}"#,
      #"{"verdict":"unknown"}"#, #"{"verdict":"found","remoteId":"\u0000"}"#,
    ] {
      guard case .unknown(let why) = try verdict(text) else {
        Issue.record("took \(text)")
        continue
      }
      #expect(!why.isEmpty)
    }
  }

  @Test func aCallThatNeverRanCostsNoAttempt() {
    for failure in [PluginFailure.notInstalled("p"), .startFailed("x"), .overloaded, .shuttingDown] {
      #expect(PluginResult.problem(failure).retry == .after)
    }
    for failure in [PluginFailure.connectionLost("x"), .deadlineExceeded, .protocolViolation("x")] {
      #expect(PluginResult.problem(failure).retry == .retry)
    }
    #expect(PluginResult.problem(.backingOff(retryAfter: .seconds(4))).retryAfter == 4)
  }
}
