import Egress
import JSONText
import PluginManifest
import Testing

@Suite struct OutcomeRulesTests {
  @Test(arguments: [
    (200, EffectOutcome.Class.accepted), (201, .accepted), (204, .accepted), (299, .accepted), (301, .unknown),
    (303, .unknown), (308, .unknown), (400, .rejected), (401, .rejected), (403, .rejected), (404, .rejected),
    (408, .unknown), (409, .unknown), (422, .rejected), (425, .unknown), (429, .rejected), (499, .rejected),
    (500, .unknown), (502, .unknown), (503, .unknown), (504, .unknown), (599, .unknown), (999, .unknown),
  ])
  func statusAlone(_ status: Int, _ expected: EffectOutcome.Class) {
    #expect(OutcomeRules.classify(status: status, body: nil, clauses: []) == expected)
    #expect(OutcomeRules.classify(status: status, body: .emptyObject, clauses: []) == expected)
  }

  private static let table: [(Int, String?, EffectOutcome.Class)] = [
    (403, #"{"detail":"duplicate"}"#, .unknown),
    (403, #"{"detail":"other"}"#, .rejected),
    (403, #"{}"#, .rejected),
    (403, nil, .unknown),
    (201, #"{"data":{"id":"1"}}"#, .accepted),
    (201, #"{"data":{}}"#, .unknown),
    (201, nil, .unknown),
    (204, nil, .accepted),
    (200, #"{"error":{"code":"ok"}}"#, .accepted),
    (200, #"{"error":{"code":"spam"}}"#, .rejected),
    (200, #"{"error":{}}"#, .unknown),
    (200, #"{"error":{"code":7}}"#, .rejected),
    (404, nil, .accepted),
    (409, #"{"n":5}"#, .accepted),
    (409, #"{"n":6}"#, .unknown),
  ]

  @Test(arguments: table)
  func theTableComesFirst(_ status: Int, _ body: String?, _ expected: EffectOutcome.Class) throws {
    let text = Fixture.manifestText.replacing(
      #"{"status": [201], "pointer": "/data/id", "exists": false, "class": "unknown"}"#,
      with: #"""
        {"status": [201], "pointer": "/data/id", "exists": false, "class": "unknown"},
        {"status": [200], "pointer": "/error/code", "notEquals": "ok", "class": "rejected"},
        {"status": [404], "class": "accepted"},
        {"status": [409], "pointer": "/n", "equals": 5, "class": "accepted"}
        """#
    )
    let rule = try #require(try PluginManifest.parse(Array(text.utf8)).rule("create"))
    #expect(rule.outcomes.count == 5)
    let json = try body.map { try RawJSON(text: $0) }
    #expect(OutcomeRules.classify(status: status, body: json, clauses: rule.outcomes) == expected)
  }

  @Test func aBodyThatIsCutDecidesNothingWhereTheTableNeedsIt() async throws {
    let long = #"{"data":{"id":"1"},"fill":""# + String(repeating: "a", count: 3_000) + #""}"#
    let fixture = try Fixture { request in .answer(request.text == "1" ? 201 : 200, body: long) }
    let journal = MemoryJournal()
    for (step, status) in [("1", 201), ("2", 200)] {
      let answer = try await fixture.perform(#"{"rule":"create","step":"\#(step)","json":\#(step)}"#, journal: journal)
      #expect(answer.status == status)
      #expect(answer.resultText?.hasSuffix(#""truncated":true}"#) == true)
    }
    #expect(await journal.outcomes.map(\.outcome) == [.unknown, .accepted])
  }

  @Test func aCompleteAnswerIsAResultWhateverItsClass() async throws {
    let fixture = try Fixture { _ in .answer(503, headers: ["content-type": "text/html"], body: "<b>\u{E9}\n</b>") }
    let journal = MemoryJournal()
    let answer = try await fixture.perform(#"{"rule":"create","step":"s","json":{}}"#, journal: journal)
    #expect(answer.resultText == #"{"status":503,"headers":{},"text":"<b>é\n</b>","truncated":false}"#)
    #expect(await journal.outcomes.map(\.outcome) == [.unknown])
  }
}
