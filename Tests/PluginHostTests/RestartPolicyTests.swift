import Testing

@testable import PluginHost

@Suite struct RestartPolicyTests {
  private let start = ContinuousClock.now

  /// Notes an end some seconds after the start.
  private func end(
    _ policy: inout RestartPolicy,
    _ reason: PluginStopReason,
    at seconds: Double = 0,
    run: Double = 0,
    answered: Int = 0,
    jitter: Double = 0.5
  ) -> RestartPolicy.Decision {
    policy.noteEnd(
      reason,
      afterRun: .seconds(run),
      answeredCalls: answered,
      now: start + .seconds(seconds),
      jitter: jitter
    )
  }

  private func seconds(_ decision: RestartPolicy.Decision) -> Double? {
    guard case .restart(let delay) = decision else { return nil }
    return Double(delay.components.seconds) + Double(delay.components.attoseconds) / 1e18
  }

  @Test func killsFromOutsideClimbTheLadderUnlessTheRunWasUseful() throws {
    var policy = RestartPolicy()
    let delays = (0..<9).compactMap { _ in seconds(end(&policy, .killedFromOutside(9))) }
    for (delay, expected) in zip(delays, [0.0, 1, 2, 4, 8, 16, 32, 60, 60]) { #expect(abs(delay - expected) < 1e-6) }
    #expect(delays.count == 9)
    #expect(end(&policy, .killedFromOutside(9), run: 2, answered: 1) == .restart(after: .zero))
    #expect(try #require(seconds(end(&policy, .killedFromOutside(9), run: 2, answered: 0))) > 0)
  }

  @Test func killsFromOutsideEndInQuarantineOnlyWhenTheyDoNotStop() {
    var policy = RestartPolicy()
    for number in 1..<RestartPolicy.foreignLimit {
      #expect(seconds(end(&policy, .killedFromOutside(9), at: Double(number), run: 2, answered: 1)) != nil)
    }
    #expect(seconds(end(&policy, .killedFromOutside(9), at: 60, run: 2, answered: 1)) == nil)
  }

  @Test func aUsefulRunForgivesNoCrashOfItsOwn() throws {
    var policy = RestartPolicy()
    _ = end(&policy, .exited(code: 1), run: 5, answered: 9)
    #expect(try #require(seconds(end(&policy, .exited(code: 1), run: 5, answered: 9))) > 0)
  }

  @Test(arguments: [
    (PluginStopReason.exited(code: 0), 5), (.signaled(11), 5), (.outputEnded, 5), (.unresponsive("hung"), 5),
    (.deadlinesMissed("3"), 5), (.protocolViolation("bad"), 3), (.flood("stderr"), 3), (.limitExceeded("memory"), 3),
    (.startFailed("exit 1"), 3), (.startTimedOut("late"), 3), (.manifestMismatch("other"), 1),
    (.launchRefused("changed"), 1),
  ])
  func quarantinesAfterExactlySoMany(reason: PluginStopReason, count: Int) {
    var policy = RestartPolicy()
    for number in 1..<count { #expect(seconds(end(&policy, reason, at: Double(number))) != nil) }
    #expect(end(&policy, reason, at: 200) == .quarantine(for: .seconds(300)))
  }

  @Test func crashesOfLongAgoDoNotCount() {
    var policy = RestartPolicy()
    for number in 0..<20 { #expect(seconds(end(&policy, .signaled(6), at: Double(number) * 75)) != nil) }
  }

  @Test func aReadyProcessForgivesFailedStarts() {
    var policy = RestartPolicy()
    for _ in 0..<2 { _ = end(&policy, .startFailed("x")) }
    policy.noteReady()
    for _ in 0..<2 { #expect(seconds(end(&policy, .startFailed("x"))) != nil) }
  }

  @Test func tenHealthyMinutesForgiveEverything() {
    var policy = RestartPolicy()
    for number in 0..<4 { _ = end(&policy, .signaled(6), at: Double(number)) }
    #expect(end(&policy, .signaled(6), at: 700, run: 600) == .restart(after: .zero))
  }

  @Test func aFailedTrialMakesTheQuarantineLonger() {
    var policy = RestartPolicy()
    var lengths: [Duration] = []
    if case .quarantine(let length) = end(&policy, .manifestMismatch("x")) { lengths.append(length) }
    for _ in 0..<3 {
      policy.beginTrial()
      if case .quarantine(let length) = end(&policy, .exited(code: 1)) { lengths.append(length) }
    }
    #expect(lengths == [.seconds(300), .seconds(900), .seconds(3_600), .seconds(3_600)])
  }

  @Test func anOrderlyEndIsNoFailure() {
    var policy = RestartPolicy()
    for _ in 0..<100 { #expect(end(&policy, .asked) == .restart(after: .zero)) }
    #expect(policy.failures == 0)
  }

  @Test(arguments: [(0.0, 0.8), (1.0, 1.2), (-3.0, 0.8), (7.0, 1.2)])
  func jitterStaysWithinAFifth(jitter: Double, factor: Double) throws {
    var policy = RestartPolicy()
    _ = end(&policy, .exited(code: 1), jitter: jitter)
    let delay = try #require(seconds(end(&policy, .exited(code: 1), jitter: jitter)))
    #expect(abs(delay - 0.15 * factor) < 1e-6)
  }
}
