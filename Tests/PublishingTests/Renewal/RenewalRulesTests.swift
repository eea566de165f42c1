import Cryptography
import FoundationEssentials
import OAuth
import Testing

@testable import PluginManifest
@testable import Publishing

/// When a platform is asked for a newer token, and what its answer means.
@Suite struct RenewalRulesTests {
  private static let now = Date(timeIntervalSince1970: 1_800_000_000)

  private static func refresh(
    _ rotation: OAuthRefresh.Rotation,
    minimumAge: Duration = .zero,
    needsRefreshToken: Bool = false
  ) -> OAuthRefresh {
    OAuthRefresh(
      request: OAuthRequest(
        method: .post,
        address: "https://api.example.com/token",
        authentication: .basic,
        parameters: ["refresh_token": .place(.refreshToken)],
        answer: OAuthAnswerShape()
      ),
      rotation: rotation,
      grace: rotation == .grace ? .seconds(60) : .zero,
      minimumAge: minimumAge,
      lifetime: nil,
      needsRefreshToken: needsRefreshToken
    )
  }

  private func rules(_ rotation: OAuthRefresh.Rotation, needsRefreshToken: Bool = false) -> RenewalRules {
    RenewalRules(Self.refresh(rotation, needsRefreshToken: needsRefreshToken))
  }

  /// A token of two hours that is so old, in seconds; its time comes after 5,760.
  private func facts(age: Double, _ change: (inout RenewalFacts) -> Void = { _ in }) -> RenewalFacts {
    let issued = Self.now.addingTimeInterval(-age)
    var facts = RenewalFacts(now: Self.now, generation: 7)
    facts.issuedAt = issued
    facts.expiresAt = issued.addingTimeInterval(7_200)
    facts.renewAt = issued.addingTimeInterval(5_760)
    change(&facts)
    return facts
  }

  private func move(
    _ facts: RenewalFacts,
    _ cause: RenewalCause,
    _ rotation: OAuthRefresh.Rotation = .strict
  ) -> RenewalRules.Move {
    rules(rotation).move(facts, seen: 7, cause: cause)
  }

  // MARK: Before the request

  @Test func newerCredentialsAreTaken() {
    #expect(rules(.strict).move(facts(age: 9_000), seen: 6, cause: .needed) == .current)
  }

  @Test func aTokenIsRenewedWhenItsTimeHasComeAndNotBefore() {
    #expect(move(facts(age: 5_000), .due) == .current)
    #expect(move(facts(age: 5_760), .due) == .take)
    #expect(move(facts(age: 5_000) { $0.mustRenew = true }, .due) == .take)
    #expect(move(facts(age: 5_000) { $0.renewAt = nil }, .due) == .current)
  }

  @Test func whoeverWaitsNeedsATokenThatHasNotEnded() {
    #expect(move(facts(age: 7_000), .needed) == .current)
    // So close to its end that a request would arrive too late.
    #expect(move(facts(age: 7_191), .needed) == .take)
    #expect(move(facts(age: 7_300), .needed) == .take)
    #expect(move(facts(age: 7_300) { $0.expiresAt = nil }, .needed) == .current)
  }

  @Test func aRefusedTokenIsRenewedUnlessItIsNew() {
    #expect(move(facts(age: 600), .refused) == .take)
    #expect(move(facts(age: 299), .refused) == .pointless)
    #expect(move(facts(age: 600) { $0.issuedAt = nil }, .refused) == .take)
  }

  @Test func aLeaseIsWaitedFor() {
    for cause in [RenewalCause.due, .needed, .refused, .asked] {
      #expect(move(facts(age: 7_300) { $0.leasedUntil = Self.now.addingTimeInterval(5) }, cause) == .wait)
    }
  }

  @Test func failuresPauseAllButPeople() {
    let later = Self.now.addingTimeInterval(30)
    let failed = facts(age: 7_300) { $0.retryAt = later }
    #expect(move(failed, .due) == .later(later))
    #expect(move(failed, .needed) == .later(later))
    #expect(move(failed, .asked) == .take)
    #expect(move(facts(age: 7_300) { $0.retryAt = Self.now }, .needed) == .take)
  }

  @Test func aTokenThatIsTooYoungIsNotAskedFor() {
    let rules = RenewalRules(Self.refresh(.none, minimumAge: .seconds(86_400)))
    let young = facts(age: 1_000)
    let old = young.issuedAt?.addingTimeInterval(86_400) ?? Self.now
    #expect(rules.move(young, seen: 7, cause: .asked) == .later(old))
    // One that has ended could not become older.
    #expect(rules.move(facts(age: 7_300), seen: 7, cause: .needed) == .take)
  }

  @Test func deadCredentialsAreNeverSentAgain() {
    let dead = facts(age: 7_300) {
      $0.state = .dead
      $0.error = "invalid"
    }
    for cause in [RenewalCause.due, .needed, .refused, .asked] { #expect(move(dead, cause) == .dead("invalid")) }
  }

  // MARK: A lost answer

  @Test(arguments: [RenewalFacts.State.sent, .unknown])
  func withoutRotationItIsAskedAgain(_ state: RenewalFacts.State) {
    for age in [6_000.0, 7_300] {
      let facts = facts(age: age) {
        $0.state = state
        $0.unknown = 9
      }
      #expect(move(facts, age < 7_000 ? .due : .needed, .none) == .take)
      #expect(!rules(.none).pauses(facts))
    }
  }

  @Test(arguments: [RenewalFacts.State.sent, .unknown])
  func withStrictRotationTheTokenIsUsedUpFirst(_ state: RenewalFacts.State) {
    let living = facts(age: 6_000) {
      $0.state = state
      $0.unknown = 1
      $0.sentAt = Self.now.addingTimeInterval(-5)
    }
    #expect(move(living, .due) == .keep(living.expiresAt))
    #expect(move(living, .asked) == .keep(living.expiresAt))
    #expect(move(living, .refused) == .take)
    let ended = facts(age: 7_300) {
      $0.state = state
      $0.unknown = 1
    }
    #expect(move(ended, .needed) == .take)
    #expect(rules(.strict).pauses(ended))
  }

  @Test func graceIsUsedWhileItLasts() {
    func asked(_ ago: Double) -> RenewalRules.Move {
      let living = facts(age: 6_000) {
        $0.state = .sent
        $0.unknown = 1
        $0.sentAt = Self.now.addingTimeInterval(-ago)
      }
      return move(living, .due, .grace)
    }
    #expect(asked(59) == .take)
    #expect(asked(60) == .keep(facts(age: 6_000).expiresAt))
  }

  @Test func twoRequestsWithoutAnyAnswerAreTheEnd() {
    let lost = facts(age: 7_300) {
      $0.state = .sent
      $0.unknown = 2
    }
    #expect(move(lost, .needed) == .giveUp)
    // A platform that answers nothing usable is down, and that passes.
    let down = facts(age: 7_300) {
      $0.state = .unknown
      $0.unknown = 2
    }
    #expect(move(down, .needed) == .take)
  }

  // MARK: After the answer

  private func grant(_ refresh: String? = "new") -> TokenOutcome {
    .granted(TokenGrant(accessToken: Secret("a"), refreshToken: refresh.map { Secret($0) }, lifetime: .seconds(7_200)))
  }

  private struct Later: Equatable {
    var wait: Duration
    var fault: RenewalFault
    var state: RenewalFacts.State?
    var unknown: Int
  }

  private func later(_ verdict: RenewalRules.Verdict) -> Later? {
    guard case .later(let wait, let fault, _, let state, let unknown) = verdict else { return nil }
    return Later(wait: wait, fault: fault, state: state, unknown: unknown)
  }

  private func dead(_ verdict: RenewalRules.Verdict) -> String? {
    guard case .dead(let why) = verdict else { return nil }
    return why
  }

  private func refused(_ kind: TokenRefusal.Kind, code: String? = nil, status: Int = 400) -> TokenOutcome {
    .refused(TokenRefusal(kind: kind, code: code, status: status))
  }

  @Test func tokensAreStored() {
    guard case .store = rules(.strict).verdict(grant(), facts(age: 6_000), spread: 0.5) else {
      Issue.record("not stored")
      return
    }
    guard case .store = rules(.strict).verdict(grant(nil), facts(age: 6_000), spread: 0.5) else {
      Issue.record("an answer without a refresh token is not stored")
      return
    }
  }

  @Test func aPlatformThatAlwaysGivesARefreshTokenAndDoesNotIsNotBelieved() {
    let found = later(
      rules(.strict, needsRefreshToken: true).verdict(grant(nil), facts(age: 6_000), spread: 0)
    )
    #expect(found == Later(wait: .seconds(2), fault: .passing, state: .unknown, unknown: 1))
  }

  @Test func onlyTheWordForItIsTheEnd() {
    let facts = facts(age: 6_000)
    #expect(dead(rules(.strict).verdict(refused(.dead, code: "invalid_grant"), facts, spread: 0)) != nil)
    let passing = [
      refused(.other), refused(.later(nil), status: 429), refused(.application, code: "invalid_client"),
      .notSent("no route"), .ambiguous("a timeout"),
    ]
    for rotation in OAuthRefresh.Rotation.allCases {
      for outcome in passing { #expect(dead(rules(rotation).verdict(outcome, facts, spread: 0)) == nil) }
    }
  }

  @Test func theApplicationsFaultIsTold() {
    let found = later(rules(.strict).verdict(refused(.application), facts(age: 6_000), spread: 0.5))
    #expect(found == Later(wait: .seconds(300), fault: .application, state: nil, unknown: 0))
  }

  @Test func thePlatformsOwnPauseIsKept() {
    let patient = later(rules(.strict).verdict(refused(.later(.seconds(900))), facts(age: 6_000), spread: 0.5))
    #expect(patient?.wait == .seconds(900))
    let short = later(rules(.strict).verdict(refused(.later(.seconds(1))), facts(age: 6_000), spread: 0.5))
    #expect(short?.wait == .seconds(30))
  }

  @Test func aRefusalTellsNothingOfAnEarlierRequest() {
    let before = facts(age: 7_300) {
      $0.state = .sent
      $0.unknown = 1
    }
    for outcome in [refused(.later(nil), status: 429), .notSent("no route")] {
      let found = later(rules(.strict).verdict(outcome, before, spread: 0.5))
      #expect(found?.state == .unknown)
      #expect(found?.unknown == 1)
    }
    #expect(dead(rules(.strict).verdict(refused(.dead), before, spread: 0)) == RenewalRules.lost)
  }

  @Test func theOneMoreTryComesSoonAndFurtherOnesLater() {
    let first = later(rules(.strict).verdict(.ambiguous("a timeout"), facts(age: 7_300), spread: 1))
    #expect(first == Later(wait: .seconds(5), fault: .passing, state: .unknown, unknown: 1))
    let again = facts(age: 7_300) {
      $0.state = .unknown
      $0.unknown = 1
      $0.failures = 3
    }
    #expect(later(rules(.strict).verdict(.ambiguous("a timeout"), again, spread: 0.5))?.wait == .seconds(240))
    let free = later(rules(.none).verdict(.ambiguous("a timeout"), facts(age: 7_300), spread: 0.5))
    #expect(free == Later(wait: .seconds(30), fault: .passing, state: nil, unknown: 0))
  }
}
