import FoundationEssentials
import Testing

@testable import WebhookEndpoints

@Suite struct WebhookPolicyTests {
  private func decide(
    _ answer: WebhookPolicy.Answer,
    attempt: Int = 1,
    age: Int64 = 0,
    failures: Int = 0,
    failingFor: Int64? = nil
  ) -> WebhookPolicy {
    WebhookPolicy(
      answer,
      WebhookPolicy.Facts(
        attempt: attempt,
        age: .seconds(age),
        failures: failures,
        failingFor: failingFor.map { .seconds($0) }
      )
    )
  }

  @Test(arguments: [200, 201, 204, 299]) func anySuccessDelivers(status: Int) {
    let verdict = decide(.status(status))
    #expect(verdict.next == .delivered)
    #expect(verdict.disabledReason == nil)
    #expect(!verdict.wakesWaiting)
  }

  @Test(arguments: [199, 300, 301, 307, 400, 404, 429, 500, 503]) func anythingElseIsTriedAgain(status: Int) {
    #expect(decide(.status(status)).next == .retry(after: .seconds(5)))
  }

  @Test(arguments: [.none, .refused] as [WebhookPolicy.Answer]) func soIsNoAnswer(answer: WebhookPolicy.Answer) {
    #expect(decide(answer).next == .retry(after: .seconds(5)))
  }

  @Test func goneSwitchesTheEndpointOff() {
    let verdict = decide(.status(410))
    #expect(verdict.next == .giveUp)
    #expect(verdict.disabledReason == "gone")
  }

  @Test func stepsGrowToAnHour() {
    let delays = (1...9).map { decide(.status(500), attempt: $0).next }
    #expect(delays == [5, 30, 120, 300, 900, 1_800, 3_600, 3_600, 3_600].map { .retry(after: .seconds($0)) })
  }

  /// Tries of a message whose every try fails, by the policy's own word.
  @Test func triesGoOnForADay() {
    var age: Int64 = 0
    var tries = 1
    while case .retry(let delay) = decide(.status(500), attempt: tries, age: age).next {
      age += delay.components.seconds
      tries += 1
    }
    #expect(age == 86_400)
    #expect((20...40).contains(tries))
  }

  @Test func oneBadMessageIsNoOutage() {
    #expect(decide(.status(500), failures: 0).pause == nil)
    #expect(decide(.status(500), failures: 1).pause == nil)
    #expect(!decide(.status(200), failures: 2).wakesWaiting)
  }

  @Test func anOutagePausesTheEndpointForMinutesAtMost() {
    let pauses = (2...12).map { decide(.none, failures: $0).pause }
    #expect(pauses.first == .seconds(5))
    #expect(pauses.last == .seconds(300))
    #expect(zip(pauses, pauses.dropFirst()).allSatisfy { ($0 ?? .zero) <= ($1 ?? .zero) })
    #expect(decide(.none, failures: .max - 1).pause == .seconds(300))
    #expect(decide(.status(200), failures: 3).wakesWaiting)
  }

  @Test func aWishToWaitIsGranted() {
    let verdict = decide(.status(429, retryAfter: .seconds(90)))
    #expect(verdict.next == .retry(after: .seconds(90)))
    #expect(verdict.pause == .seconds(90))
    #expect(decide(.status(503, retryAfter: .seconds(86_400))).pause == .seconds(3_600))
    // A shorter wish than the step changes nothing.
    #expect(decide(.status(429, retryAfter: .seconds(1)), attempt: 3).next == .retry(after: .seconds(120)))
  }

  @Test func aDayWithoutSuccessSwitchesOff() {
    let verdict = decide(.none, attempt: 30, age: 86_400, failures: 100, failingFor: 90_000)
    #expect(verdict.next == .giveUp)
    #expect(verdict.disabledReason == "failing")
    // One message nobody can digest ends alone.
    #expect(decide(.status(500), attempt: 30, age: 86_400, failures: 0).disabledReason == nil)
    #expect(decide(.status(500), attempt: 30, age: 86_400, failures: 1, failingFor: 60).disabledReason == nil)
  }
}

@Suite struct EventPatternTests {
  @Test(arguments: ["*", "delivery.*", "delivery.sent", "notice.opened", "plugin.rolledBack"])
  func isRead(text: String) {
    #expect(EventPattern(text)?.text == text)
  }

  @Test(arguments: [
    "", ".", "delivery", "delivery.", ".sent", "delivery.sent.x", "delivery.snet", "nothing.*", "*.sent", "**",
    "delivery.*.*", "delivery. sent", "délivery.*",
  ])
  func isRefused(text: String) {
    #expect(EventPattern(text) == nil)
  }

  @Test func matches() {
    #expect(EventPattern.matches([], "a.b"))
    #expect(EventPattern.matches(["*"], "a.b"))
    #expect(EventPattern.matches(["delivery.*"], "delivery.sent"))
    #expect(!EventPattern.matches(["delivery.*"], "deliveryx.sent"))
    #expect(EventPattern.matches(["notice.opened", "delivery.sent"], "delivery.sent"))
    #expect(!EventPattern.matches(["delivery.sent"], "delivery.failed"))
  }

  @Test func kindsAreNamedOnce() {
    let names = EventCatalogue.kinds.map(\.name)
    #expect(Set(names).count == names.count)
    #expect(names.allSatisfy { EventPattern($0) != nil })
  }

  /// Whatever the host writes into the outbox can be asked for by its name.
  @Test func everyKindThatIsWrittenIsListed() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    var written: Set<String> = []
    for folder in ["Host", "migrations"] {
      let names = try FileManager.default.subpathsOfDirectory(atPath: root.appending(path: folder).path())
      for name in names where name.hasSuffix(".swift") || name.hasSuffix(".sql") {
        let text = try String(contentsOf: root.appending(path: "\(folder)/\(name)"), encoding: .utf8)
        for part in text.split(separator: "INTO outbox").dropFirst() {
          let begin = part.prefix(500)
          let statement = begin[..<(begin.firstRange(of: "\"\"\"")?.lowerBound ?? begin.endIndex)]
          written.formUnion(statement.matches(of: /['"]([a-z]+\.[a-zA-Z]+)['"]/).map { String($0.output.1) })
        }
        written.formUnion(text.matches(of: /event\("([a-z]+\.[a-zA-Z]+)"/).map { String($0.output.1) })
      }
    }
    for known in ["delivery.removed", "distribution.ended", "distribution.paused"] {
      #expect(written.contains(known), "the sources are not read as they are written")
    }
    #expect(written.subtracting(EventCatalogue.kinds.map(\.name)).sorted() == [])
  }
}
