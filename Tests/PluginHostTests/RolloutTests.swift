import Testing

@testable import PluginHost

@Suite struct RolloutTests {
  private let start = ContinuousClock.now

  private func at(_ seconds: Double) -> ContinuousClock.Instant {
    start + .seconds(seconds)
  }

  /// `new` runs since 0 and `old` before it.
  private func upgraded() -> Rollout {
    var rollout = Rollout()
    _ = rollout.offer("old")
    _ = rollout.offer("new")
    _ = rollout.tested("new", problem: nil, now: at(0))
    return rollout
  }

  @Test func theFirstVersionIsUsedAtOnce() {
    var rollout = Rollout()
    #expect(rollout.offer("old") == [.use("old")])
    #expect(rollout.offer("old") == [])
    #expect(rollout.watchedUntil(at(0)) == nil)
  }

  @Test func aVersionThatTookOverBeforeTheStartIsWatchedForTheRest() {
    var rollout = Rollout()
    #expect(rollout.offer("new", after: .init(digest: "old", watchEnd: at(200))) == [.use("new")])
    #expect(rollout.watchedUntil(at(0)) == at(200))
    #expect(rollout.needs("old", now: at(199)) && !rollout.needs("old", now: at(200)))
    var late = rollout
    #expect(rollout.ended("new", .exited(code: 1), now: at(1)) == [])
    #expect(rollout.ended("new", .exited(code: 1), now: at(2)).first == .use("old"))
    #expect(rollout.current == "old")
    _ = late.ended("new", .exited(code: 1), now: at(200))
    #expect(late.ended("new", .exited(code: 1), now: at(201)) == [])
    #expect(late.current == "new")
  }

  @Test func aHostThatRunsKnowsBetterWhatItReplaced() {
    var rollout = upgraded()
    #expect(rollout.offer("new", after: .init(digest: "other", watchEnd: at(900))) == [])
    #expect(rollout.watchedUntil(at(0)) == at(600))
    _ = rollout.ended("new", .manifestMismatch("no"), now: at(1))
    #expect(rollout.current == "old")
  }

  @Test func aNewVersionIsUsedAfterItsTestAndWatched() {
    var rollout = Rollout()
    _ = rollout.offer("old")
    #expect(rollout.offer("new") == [.test("new")])
    #expect(rollout.current == "old")
    #expect(
      rollout.tested("new", problem: nil, now: at(0))
        == [.use("new"), .retire("old"), .reportUpgrade(from: "old", to: "new")]
    )
    #expect(rollout.watchedUntil(at(0)) == at(600))
    #expect(rollout.watchedUntil(at(600)) == nil)
    #expect(rollout.needs("old", now: at(599)) && !rollout.needs("old", now: at(600)))
  }

  @Test func aVersionThatFailsItsTestChangesNothingUntilItIsOfferedAnew() {
    var rollout = Rollout()
    _ = rollout.offer("old")
    _ = rollout.offer("new")
    #expect(
      rollout.tested("new", problem: "no", now: at(0)) == [.reportRefusal("new", reason: "no"), .retire("new")]
    )
    #expect(rollout.current == "old")
    #expect(rollout.refusal(of: "new") == "no")
    #expect(rollout.offer("new") == [])
    _ = rollout.offer("old")
    #expect(rollout.offer("new") == [.test("new")])
  }

  @Test func aTestThatWasOvertakenCountsForNothing() {
    var rollout = Rollout()
    _ = rollout.offer("old")
    _ = rollout.offer("new")
    #expect(rollout.offer("newer") == [.retire("new"), .test("newer")])
    #expect(rollout.tested("new", problem: nil, now: at(0)) == [])
    #expect(rollout.current == "old")
  }

  @Test func twoCrashesTakeANewVersionBack() {
    var rollout = upgraded()
    #expect(rollout.ended("new", .exited(code: 1), now: at(1)) == [])
    let actions = rollout.ended("new", .signaled(11), now: at(2))
    #expect(
      actions == [
        .use("old"), .condemn("new", reason: "signal 11"),
        .reportRollback(from: "new", to: "old", reason: "signal 11"),
      ]
    )
    #expect(rollout.current == "old")
    // The list that named it names it still.
    #expect(rollout.offer("new") == [])
  }

  @Test(arguments: [
    PluginStopReason.protocolViolation("bad"), .flood("stderr"), .limitExceeded("memory"), .manifestMismatch("lies"),
  ])
  func oneOffenceTakesANewVersionBack(reason: PluginStopReason) {
    var rollout = upgraded()
    #expect(rollout.ended("new", reason, now: at(599)).first == .use("old"))
  }

  @Test func killsFromOutsideAndOrderlyEndsTakeNothingBack() {
    var rollout = upgraded()
    for second in 0..<100 {
      #expect(rollout.ended("new", .killedFromOutside(9), now: at(Double(second))) == [])
      #expect(rollout.ended("new", .asked, now: at(Double(second))) == [])
    }
  }

  @Test func whatHappensToOtherVersionsOrLaterTakesNothingBack() {
    var rollout = upgraded()
    for second in 0..<10 {
      #expect(rollout.ended("old", .protocolViolation("bad"), now: at(Double(second))) == [])
      #expect(rollout.ended("new", .protocolViolation("bad"), now: at(600 + Double(second))) == [])
    }
    #expect(rollout.current == "new")
  }

  @Test func anOlderVersionCanBeChosenAgain() {
    var rollout = upgraded()
    #expect(rollout.offer("old") == [.test("old")])
    #expect(rollout.tested("old", problem: nil, now: at(5)).first == .use("old"))
    #expect(rollout.current == "old")
  }
}
