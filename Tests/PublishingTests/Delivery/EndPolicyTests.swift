import Egress
import FoundationEssentials
import PluginManifest
import Testing

@testable import Publishing

/// What a plugin says, weighed against the journal.
@Suite struct EndPolicyTests {
  private let policy = EndPolicy(maximumAttempts: 3)

  private func journal(_ outcomes: [OutcomeClass?]) -> JournalState {
    JournalState(
      run: 1,
      claim: 1,
      records: outcomes.enumerated().map { index, outcome in
        EffectRecord(
          key: EffectKey(run: 1, step: "s\(index)", attempt: 1),
          rule: "post",
          effectClass: .commit,
          digest: "d1:a",
          outcome: outcome,
          answer: "{}",
          remoteID: outcome == .accepted ? "id\(index)" : nil,
          startedAt: Date(timeIntervalSince1970: 0)
        )
      }
    )
  }

  private static func problem(
    _ retry: DeliveryProblem.Retry,
    kind: String = "test",
    after: TimeInterval? = nil
  ) -> DeliveryProblem {
    DeliveryProblem(kind: kind, retry: retry, message: "no", retryAfter: after)
  }

  /// Everything that a plugin can answer, or fail to answer.
  static let ends: [CallEnd] = {
    var ends: [CallEnd] = [
      .published(remoteID: "9", url: "https://a.example/9", warnings: []), .wait(5, why: "video"),
    ]
    for retry in [DeliveryProblem.Retry.never, .userFix, .reauth, .retry, .after, .reconcile, .upgrade] {
      for kind in ["test", "rateLimited", "upstreamUnreachable", "protocolViolation", "cancelled"] {
        ends.append(.failed(problem(retry, kind: kind)))
        ends.append(.pluginLost(problem(retry, kind: kind)))
        ends.append(.partial(remoteID: "9", url: nil, problem: problem(retry, kind: kind)))
      }
    }
    return ends
  }()

  @Test(arguments: ends) func whatWasAcceptedNeverFails(end: CallEnd) {
    for attempt in 1...9 {
      for age in [0, 3600, 86_399, 86_401, 1e7] as [TimeInterval] {
        let step = policy.next(after: end, journal: journal([.accepted]), attempt: attempt, age: age)
        if case .end(let end) = step { #expect([.sent, .partial].contains(end.state)) }
      }
      // It does end one day, whatever the plugin does.
      let last = policy.next(after: end, journal: journal([.accepted]), attempt: 9, age: 1e7)
      guard case .end = last else {
        Issue.record("\(end) goes on for ever: \(last)")
        return
      }
    }
  }

  @Test(arguments: ends) func anOpenCommitIsAlwaysReconciled(end: CallEnd) {
    for outcomes in [[nil], [.unknown], [.accepted, nil], [.accepted, .unknown]] as [[OutcomeClass?]] {
      #expect(policy.next(after: end, journal: journal(outcomes), attempt: 3, age: 1e7) == .reconcile)
    }
  }

  @Test(arguments: [[], [.rejected], [.notSent]] as [[OutcomeClass?]])
  func aSuccessWithoutAnAcceptedRequestIsNotBelieved(outcomes: [OutcomeClass?]) {
    let ends: [CallEnd] = [
      .published(remoteID: "9", url: nil, warnings: []),
      .partial(remoteID: "9", url: nil, problem: Self.problem(.never)),
    ]
    for end in ends {
      guard
        case .again(_, counted: true, let problem) = policy.next(
          after: end,
          journal: journal(outcomes),
          attempt: 1,
          age: 0
        ),
        case .end(let last) = policy.next(after: end, journal: journal(outcomes), attempt: 3, age: 0)
      else {
        Issue.record("believed \(end)")
        continue
      }
      #expect(problem.kind == "protocolViolation")
      #expect(last.state == .failed)
      #expect(last.remoteID == nil)
    }
  }

  @Test func aSuccessIsTakenAsTold() {
    let end = CallEnd.published(remoteID: "9", url: "https://a.example/9", warnings: ["w"])
    #expect(
      policy.next(after: end, journal: journal([.accepted]), attempt: 1, age: 0)
        == .end(DeliveryEnd(.sent, remoteID: "9", url: "https://a.example/9", warnings: ["w"]))
    )
  }

  @Test func anErrorAfterwardsIsAWarning() {
    let step = policy.next(
      after: .failed(Self.problem(.never)),
      journal: journal([.accepted]),
      attempt: 1,
      age: 0
    )
    guard case .end(let end) = step else {
      Issue.record("\(step)")
      return
    }
    #expect(end.state == .sent)
    #expect(end.remoteID == "id0")
    #expect(end.warnings.count == 1)
  }

  @Test func aThreadIsPartialUntilItsLastPost() {
    let thread = EndPolicy(maximumAttempts: 3, parts: 2)
    let failed = CallEnd.failed(Self.problem(.never))
    guard case .end(let half) = thread.next(after: failed, journal: journal([.accepted]), attempt: 1, age: 0),
      case .end(let whole) = thread.next(after: failed, journal: journal([.accepted, .accepted]), attempt: 1, age: 0)
    else {
      Issue.record("goes on")
      return
    }
    #expect(half.state == .partial)
    #expect(half.remoteID == "id0")
    #expect(half.problem == Self.problem(.never))
    #expect(whole.state == .sent)
    #expect(whole.remoteID == "id0")
  }

  @Test(arguments: [DeliveryProblem.Retry.retry, .after])
  func aThreadGoesOnByItselfWhereThatMakesSense(retry: DeliveryProblem.Retry) {
    let problem = Self.problem(retry, kind: "platformDown", after: 4)
    let thread = EndPolicy(maximumAttempts: 3, parts: 2)
    for end in [CallEnd.failed(problem), .partial(remoteID: "id0", url: nil, problem: problem)] {
      let step = thread.next(after: end, journal: journal([.accepted]), attempt: 1, age: 0)
      #expect(step == .again(after: 4, counted: retry == .retry, problem: problem))
      guard case .end(let last) = thread.next(after: end, journal: journal([.accepted]), attempt: 3, age: 1e7) else {
        Issue.record("goes on for ever")
        continue
      }
      #expect(last.state == .partial)
    }
  }

  @Test func aPluginThatDiedMayStillTellWhereThePostIs() {
    let lost = CallEnd.pluginLost(Self.problem(.after, after: 4))
    #expect(
      policy.next(after: lost, journal: journal([.accepted]), attempt: 1, age: 0)
        == .again(after: 4, counted: false, problem: Self.problem(.after, after: 4))
    )
  }

  @Test(arguments: [DeliveryProblem.Retry.never, .userFix, .upgrade, .reauth])
  func someProblemsNeedAPerson(retry: DeliveryProblem.Retry) {
    let step = policy.next(after: .failed(Self.problem(retry)), journal: journal([]), attempt: 1, age: 0)
    #expect(step == .end(DeliveryEnd(.failed, problem: Self.problem(retry), reauthorize: retry == .reauth)))
  }

  @Test(arguments: [DeliveryProblem.Retry.retry, .reconcile])
  func otherProblemsCountAttempts(retry: DeliveryProblem.Retry) {
    let problem = Self.problem(retry)
    for attempt in 1...2 {
      let step = policy.next(after: .failed(problem), journal: journal([.rejected]), attempt: attempt, age: 0)
      #expect(step == .again(after: nil, counted: true, problem: problem))
    }
    let last = policy.next(after: .failed(problem), journal: journal([.rejected]), attempt: 3, age: 0)
    #expect(last == .end(DeliveryEnd(.failed, problem: problem)))
  }

  @Test func limitsHoldTheAccountAndCostNoAttempt() {
    let problem = Self.problem(.after, kind: "rateLimited", after: 60)
    #expect(
      policy.next(after: .failed(problem), journal: journal([]), attempt: 3, age: 86_399)
        == .holdAccount(60, problem: problem)
    )
    #expect(
      policy.next(after: .failed(problem), journal: journal([]), attempt: 1, age: 86_401)
        == .end(DeliveryEnd(.failed, problem: problem))
    )
  }

  /// After a stall of the database the host stops its own requests; three of these must not fail a delivery.
  @Test func whatTheHostStoppedComesAgainSoonAndCostsNoAttempt() {
    let stopped = CallEnd.failed(Self.problem(.retry, kind: "cancelled"))
    for attempt in [1, 3, 9] {
      let step = policy.next(after: stopped, journal: journal([.notSent]), attempt: attempt, age: 2)
      guard case .again(let delay, let counted, _) = step else {
        Issue.record("attempt \(attempt): \(step)")
        continue
      }
      #expect(!counted)
      #expect(delay == 1)
    }
    let step = policy.next(after: stopped, journal: journal([.notSent]), attempt: 1, age: 86_401)
    guard case .end = step else {
      Issue.record("\(step)")
      return
    }
  }

  @Test func whatDoesNotCountNeverSpins() {
    for end in Self.ends + [
      .failed(Self.problem(.after, after: 0)), .failed(Self.problem(.after, kind: "rateLimited", after: 0)),
    ] {
      switch policy.next(after: end, journal: journal([]), attempt: 1, age: 0) {
      case .holdAccount(let delay, _), .again(.some(let delay), counted: false, _): #expect(delay >= 1)
      case .again(nil, counted: false, _): Issue.record("no delay after \(end)")
      default: break
      }
    }
  }

  @Test func outagesAreAskedAboutLessAndLessOften() {
    let problem = Self.problem(.retry, kind: "upstreamUnreachable")
    let delays = [0, 60, 400, 3600, 80_000].map { age -> TimeInterval in
      guard
        case .again(.some(let delay), counted: false, _) = policy.next(
          after: .failed(problem),
          journal: journal([]),
          attempt: 3,
          age: age
        )
      else { return -1 }
      return delay
    }
    #expect(delays == [15, 15, 100, 900, 900])
  }

  @Test func nobodyWaitsForEver() {
    #expect(policy.next(after: .wait(5, why: "v"), journal: journal([]), attempt: 1, age: 1) == .snooze(5))
    guard case .end(let end) = policy.next(after: .wait(5, why: "v"), journal: journal([]), attempt: 1, age: 90_000)
    else {
      Issue.record("waits")
      return
    }
    #expect(end.state == .failed)
  }
}
