import Egress
import FoundationEssentials
import PluginManifest
import Testing

@testable import Publishing

@Suite struct ReconcileRulesTests {
  private let certain = ReconcileRules(absenceIsCertain: true, settle: 30)
  private let never = ReconcileRules(absenceIsCertain: false, settle: 30)
  private let start = Date(timeIntervalSince1970: 1_700_000_000)
  private var settled: Date { at(30) }

  private func at(_ seconds: TimeInterval) -> Date { start.addingTimeInterval(seconds) }

  private func next(
    _ rules: ReconcileRules,
    _ verdict: ReconcileVerdict,
    lookup: TimeInterval? = nil,
    isNew: Bool = true,
    isRefused: Bool = false,
    checks: Int = 0,
    now: TimeInterval
  ) -> ReconcileStep {
    rules.next(
      after: verdict,
      settledAt: settled,
      lookupAnsweredAt: lookup.map(at),
      isNew: isNew,
      isRefused: isRefused,
      firstSentAt: start,
      checks: checks,
      now: at(now)
    )
  }

  @Test func absentCountsOnlyAfterTheSettlingTimeWithAnAnsweredLookUp() {
    #expect(next(certain, .absent, lookup: 10, now: 10) == .lookAgain(at: settled))
    #expect(next(certain, .absent, lookup: 31, now: 31) == .publishAgain)
    // Sent before the time, answered after it: too early.
    #expect(next(certain, .absent, lookup: 29, now: 31) == .lookAgain(at: at(46)))
    #expect(next(certain, .absent, lookup: nil, now: 31) == .lookAgain(at: at(46)))
  }

  @Test func anAdapterThatNeverLooksEndsWithAPerson() {
    guard case .unconfirmed = next(certain, .absent, lookup: nil, checks: 4, now: 31) else {
      Issue.record("published on a guess")
      return
    }
  }

  @Test(arguments: [ReconcileVerdict.absent, .unknown(why: "x")])
  func withoutProofOfAbsenceNothingIsSentAgain(verdict: ReconcileVerdict) {
    // Until the settling time is over the post may still be found.
    #expect(next(never, verdict, lookup: 10, now: 10) == .lookAgain(at: settled))
    guard case .unconfirmed = next(never, verdict, lookup: 31, now: 31) else {
      Issue.record("did not ask a person")
      return
    }
  }

  @Test func foundEndsIt() {
    let found = ReconcileVerdict.found(remoteID: "7", url: "https://a.example/7", publishedAt: at(2))
    for rules in [certain, never] {
      #expect(next(rules, found, now: 1) == .sent(remoteID: "7", url: "https://a.example/7"))
    }
    let undated = ReconcileVerdict.found(remoteID: "7", url: nil, publishedAt: nil)
    #expect(next(certain, undated, now: 1) == .sent(remoteID: "7", url: nil))
  }

  @Test func aFoundPostOfSomebodyElseIsNotOurs() {
    let found = ReconcileVerdict.found(remoteID: "7", url: nil, publishedAt: at(2))
    #expect(next(certain, found, isNew: false, now: 31) == .lookAgain(at: at(46)))
    let old = ReconcileVerdict.found(remoteID: "7", url: nil, publishedAt: at(-601))
    #expect(next(certain, old, now: 31) == .lookAgain(at: at(46)))
    let skewed = ReconcileVerdict.found(remoteID: "7", url: nil, publishedAt: at(-599))
    #expect(next(certain, skewed, now: 31) == .sent(remoteID: "7", url: nil))
    guard case .unconfirmed = next(certain, old, checks: 4, now: 31) else {
      Issue.record("looks for ever")
      return
    }
  }

  @Test func aRefusalThatSpokeOfAnotherPostStaysARefusal() {
    let found = ReconcileVerdict.found(remoteID: "7", url: nil, publishedAt: at(2))
    func refused(_ rules: ReconcileRules, lookup: TimeInterval?, now: TimeInterval) -> ReconcileStep {
      next(rules, found, lookup: lookup, isNew: false, isRefused: true, now: now)
    }
    #expect(refused(certain, lookup: 10, now: 10) == .lookAgain(at: settled))
    #expect(refused(certain, lookup: 31, now: 31) == .publishAgain)
    #expect(refused(certain, lookup: nil, now: 31) == .lookAgain(at: at(46)))
    guard case .unconfirmed = refused(never, lookup: 31, now: 31) else {
      Issue.record("believed a list that proves nothing")
      return
    }
    // A refusal does not outweigh a post that is ours.
    #expect(next(certain, found, lookup: 31, isRefused: true, now: 31) == .sent(remoteID: "7", url: nil))
  }

  @Test(
    arguments: [
      (403, "{}", true), (400, "{}", true), (403, nil, false), (nil, "{}", false), (409, "{}", false),
      (408, "{}", false),
      (425, "{}", false), (429, "{}", false), (500, "{}", false), (201, "{}", false),
    ] as [(Int?, String?, Bool)]
  )
  func onlyACompleteAnswerRefuses(status: Int?, answer: String?, isRefusal: Bool) {
    let record = EffectRecord(
      key: EffectKey(run: 1, step: "s", attempt: 1),
      rule: "post",
      effectClass: .commit,
      digest: "d1:a",
      outcome: .unknown,
      status: status,
      answer: answer,
      startedAt: start
    )
    #expect(record.isRefusal == isRefusal)
  }

  @Test func notKnowingIsAskedSomeTimesOnly() {
    #expect(next(certain, .unknown(why: "x"), now: 31) == .lookAgain(at: at(46)))
    #expect(next(certain, .unknown(why: "x"), checks: 4, now: 31) == .unconfirmed(why: "x"))
  }

  @Test func aFailedCheckIsRepeatedForADay() {
    for checks in [0, 5, 5000] {
      guard
        case .lookAgain(let date) = certain.afterFailedCheck(checks: checks, retryAfter: nil, now: start, age: 80_000)
      else {
        Issue.record("gave up")
        return
      }
      #expect((15...300).contains(date.timeIntervalSince(start)))
    }
    #expect(
      certain.afterFailedCheck(checks: 0, retryAfter: 900, now: start, age: 5) == .lookAgain(at: at(900))
    )
    guard case .unconfirmed = certain.afterFailedCheck(checks: 0, retryAfter: nil, now: start, age: 86_401) else {
      Issue.record("asks for ever")
      return
    }
  }

  @Test func settlesAfterTheLastByteOfAll() {
    func open(_ last: TimeInterval?) -> EffectRecord {
      EffectRecord(
        key: EffectKey(run: 1, step: "s", attempt: 1),
        rule: "post",
        effectClass: .commit,
        digest: "d1:a",
        startedAt: start,
        lastByteAt: last.map(at)
      )
    }
    #expect(certain.settledAt([open(1), open(9), open(3)]) == at(39))
    #expect(certain.settledAt([open(1), open(nil)]) == nil)
    #expect(certain.settledAt([]) == nil)
  }
}
