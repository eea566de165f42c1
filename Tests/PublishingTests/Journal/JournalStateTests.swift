import Egress
import FoundationEssentials
import PluginManifest
import Testing

@testable import Publishing

/// Every rule of what may be sent again.
@Suite struct JournalStateTests {
  private let start = Date(timeIntervalSince1970: 1_700_000_000)
  private let commit = EffectRule(name: "post", effectClass: .commit)
  private let keyed = EffectRule(name: "send", effectClass: .commit, idempotencyWindow: 1000)
  private let upload = EffectRule(name: "upload", effectClass: .prepare)
  private let chunk = EffectRule(name: "chunk", effectClass: .prepare, repeatable: true, validFor: 600)

  private func record(
    _ rule: EffectRule,
    step: String = "s",
    run: Int = 1,
    attempt: Int = 1,
    digest: String = "d1:a",
    outcome: OutcomeClass?,
    answer: String? = "{}",
    claim: Int64 = 1,
    closedBy: String? = nil,
    after seconds: TimeInterval = 0
  ) -> EffectRecord {
    EffectRecord(
      key: EffectKey(run: run, step: step, attempt: attempt),
      rule: rule.name,
      effectClass: rule.effectClass,
      digest: digest,
      outcome: outcome,
      answer: outcome == .accepted || outcome == .rejected ? answer : nil,
      remoteID: outcome == .accepted ? "1" : nil,
      claim: claim,
      startedAt: start.addingTimeInterval(seconds),
      closedBy: closedBy
    )
  }

  private func decide(
    _ records: [EffectRecord],
    _ rule: EffectRule,
    step: String = "s",
    digest: String = "d1:a",
    run: Int = 1,
    claim: Int64 = 1,
    after seconds: TimeInterval = 1
  ) -> ReplayDecision {
    var state = JournalState(run: run, claim: claim, records: records)
    return state.decide(rule: rule, step: step, digest: digest, at: start.addingTimeInterval(seconds))
  }

  private func next(_ attempt: Int, run: Int = 1, step: String = "s") -> ReplayDecision {
    .send(EffectKey(run: run, step: step, attempt: attempt))
  }

  @Test func aNewStepIsSent() {
    #expect(decide([], commit) == next(1))
    #expect(decide([record(upload, step: "u", outcome: .accepted)], commit) == next(1))
  }

  @Test(arguments: 1...3 as ClosedRange<Int64>) func acceptedReplaysInEveryAttempt(claim: Int64) {
    for rule in [commit, keyed, upload] {
      let done = record(rule, outcome: .accepted)
      #expect(decide([done], rule, claim: claim) == .replay(done))
    }
  }

  @Test(arguments: [OutcomeClass.rejected, .notSent])
  func refusalsReplayOnlyInTheirOwnAttempt(outcome: OutcomeClass) {
    for rule in [commit, keyed, upload] {
      let done = record(rule, outcome: outcome)
      #expect(decide([done], rule, claim: 1) == .replay(done))
      #expect(decide([done], rule, claim: 2) == next(2))
    }
  }

  @Test func whatWasClosedAsNotSentIsSentAgainInTheSameAttempt() {
    #expect(decide([record(commit, outcome: .notSent, closedBy: "reconcile")], commit) == next(2))
  }

  @Test func aRefusalThatProvedToBeOneStays() {
    let duplicate = record(commit, outcome: .rejected, closedBy: "reconcile")
    #expect(decide([duplicate], commit, claim: 5) == .replay(duplicate))
  }

  @Test(arguments: [OutcomeClass?.none, .unknown]) func unknownCommitsAreReconciled(outcome: OutcomeClass?) {
    for claim in Int64(1)...2 {
      #expect(decide([record(commit, outcome: outcome)], commit, claim: claim) == .reconcile)
    }
  }

  @Test(arguments: [OutcomeClass?.none, .unknown]) func unknownPreparesNeedTheRulesWord(outcome: OutcomeClass?) {
    #expect(decide([record(upload, outcome: outcome)], upload) == .reconcile)
    #expect(decide([record(chunk, outcome: outcome)], chunk) == next(2))
  }

  @Test func keyedCommitsAreSentAgainInTheSafePartOfTheWindow() {
    let open = [record(keyed, outcome: .unknown)]
    #expect(decide(open, keyed, after: 749) == next(2))
    #expect(decide(open, keyed, after: 751) == .reconcile)
    // The window counts from the first use of the key, however often it was used since.
    let again = open + [record(keyed, attempt: 2, outcome: nil, after: 700)]
    #expect(decide(again, keyed, after: 740) == next(3))
    #expect(decide(again, keyed, after: 760) == .reconcile)
  }

  @Test func canResendOnlyWhenEveryOpenCommitHasAKey() {
    let rules = ["post": commit, "send": keyed]
    let state = { (records: [EffectRecord]) in JournalState(run: 1, claim: 1, records: records) }
    let now = start.addingTimeInterval(1)
    let open = record(keyed, outcome: .unknown)
    #expect(state([open]).canResend(rules: rules, at: now))
    #expect(!state([open, record(commit, step: "t", outcome: nil)]).canResend(rules: rules, at: now))
    #expect(!state([open]).canResend(rules: [:], at: now))
    #expect(!state([open]).canResend(rules: rules, at: start.addingTimeInterval(800)))
  }

  @Test func anotherBodyOnACommitIsNeverSentOnAGuess() {
    for outcome in [OutcomeClass?.none, .unknown, .accepted] {
      #expect(decide([record(commit, outcome: outcome)], commit, digest: "d1:b") == .reconcile)
      #expect(decide([record(keyed, outcome: outcome)], keyed, digest: "d1:b") == .reconcile)
    }
    for outcome in [OutcomeClass.rejected, .notSent] {
      #expect(decide([record(commit, outcome: outcome)], commit, digest: "d1:b") == next(2))
    }
  }

  @Test func anotherBodyOnAPrepareIsPreparedAnew() {
    for outcome in [OutcomeClass?.none, .unknown, .accepted, .rejected, .notSent] {
      #expect(decide([record(upload, outcome: outcome)], upload, digest: "d1:b") == next(2))
    }
  }

  @Test func oldPreparesAreMadeAnew() {
    let done = record(chunk, outcome: .accepted)
    #expect(decide([done], chunk, after: 599) == .replay(done))
    #expect(decide([done], chunk, after: 601) == next(2))
    let kept = record(upload, outcome: .accepted)
    #expect(decide([kept], upload, after: 1e9) == .replay(kept))
  }

  @Test func forgottenPreparesAreMadeAnewUnderANewKey() {
    #expect(decide([record(upload, outcome: .accepted, closedBy: EffectRecord.forgotten)], upload) == next(2))
  }

  @Test func acceptedCommitsCarryOverToLaterRuns() {
    let done = record(commit, run: 1, outcome: .accepted)
    #expect(decide([done], commit, run: 3) == .replay(done))
    // What is public is never sent a second time, whatever was edited since.
    #expect(decide([done], commit, digest: "d1:edited", run: 3) == .replay(done))
    // Everything else starts afresh.
    #expect(decide([record(upload, run: 1, outcome: .accepted)], upload, run: 2) == next(1, run: 2))
    #expect(decide([record(commit, run: 1, outcome: .rejected)], commit, run: 2) == next(1, run: 2))
  }

  @Test func aStepOnItsWayIsBusy() {
    var state = JournalState(run: 1, claim: 1)
    let sent = record(commit, outcome: nil)
    state.started(sent)
    #expect(state.decide(rule: commit, step: "s", digest: "d1:a", at: start) == .busy)
    #expect(state.openCommits.isEmpty)
    var done = sent
    done.outcome = .accepted
    done.answer = "{}"
    state.ended(done)
    #expect(state.decide(rule: commit, step: "s", digest: "d1:a", at: start) == .replay(done))
    #expect(state.hasAcceptedCommit)
  }

  @Test func aWithdrawnRowIsAsIfItHadNotBeenAskedFor() {
    var state = JournalState(run: 1, claim: 1)
    state.started(record(commit, outcome: nil))
    state.withdrawn(EffectKey(run: 1, step: "s", attempt: 1))
    #expect(state.records.isEmpty)
    #expect(state.openCommits.isEmpty)
    #expect(state.decide(rule: commit, step: "s", digest: "d1:a", at: start) == next(1))
  }

  @Test func aReplayMustAskForWhatWasAcceptedBeforeItAsksForMore() {
    let first = record(commit, step: "one", outcome: .accepted)
    // An adapter that renames its steps would publish twice.
    #expect(decide([first], commit, step: "renamed") == .reconcile)
    var state = JournalState(run: 1, claim: 2, records: [first])
    #expect(state.decide(rule: commit, step: "one", digest: "d1:a", at: start) == .replay(first))
    #expect(state.decide(rule: commit, step: "two", digest: "d1:a", at: start) == next(1, step: "two"))
    // Work that nobody sees may come in any order.
    #expect(decide([first], upload, step: "u") == next(1, step: "u"))
  }

  @Test func theLastTryUnderAKeySpeaksForTheOnesBefore() {
    let first = record(keyed, outcome: .unknown)
    let rejected = record(keyed, attempt: 2, outcome: .rejected)
    #expect(JournalState(run: 1, claim: 1, records: [first, rejected]).openCommits.isEmpty)
    let open = record(keyed, attempt: 2, outcome: nil)
    #expect(JournalState(run: 1, claim: 1, records: [first, open]).openCommits.map(\.key.attempt) == [2])
  }

  @Test func openCommitsAreThoseOfAllRuns() {
    let state = JournalState(
      run: 2,
      claim: 1,
      records: [
        record(commit, step: "a", outcome: nil), record(commit, step: "b", run: 2, outcome: .unknown),
        record(upload, step: "c", outcome: nil), record(commit, step: "d", outcome: .rejected),
      ]
    )
    #expect(state.openCommits.map(\.key.step) == ["a", "b"])
  }
}
