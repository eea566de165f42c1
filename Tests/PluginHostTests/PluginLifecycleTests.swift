import Testing

@testable import PluginHost

@Suite struct PluginLifecycleTests {
  private typealias Lifecycle = PluginLifecycle
  private let start = ContinuousClock.now

  private func at(_ seconds: Double) -> ContinuousClock.Instant {
    start + .seconds(seconds)
  }

  /// A machine whose process runs.
  private func running() -> PluginLifecycle {
    var machine = PluginLifecycle(startLimit: .seconds(5))
    _ = machine.handle(.wanted, now: at(0))
    _ = machine.handle(.ready, now: at(0))
    return machine
  }

  @Test func startsOnDemandAndAdmitsAfterTheHandshake() {
    var machine = PluginLifecycle(startLimit: .seconds(5))
    #expect(machine.handle(.wanted, now: at(0)) == [.spawn, .setTimer(1, at: at(5))])
    #expect(machine.handle(.wanted, now: at(1)) == [])
    #expect(machine.handle(.ready, now: at(1)) == [.admit])
    #expect(machine.handle(.timer(1), now: at(5)) == [])
    #expect(machine.state == .running(since: at(1)))
    #expect(machine.handle(.wanted, now: at(6)) == [.admit])
  }

  @Test func aStartThatTakesTooLongIsKilledAndRefused() {
    var machine = PluginLifecycle(startLimit: .seconds(5))
    _ = machine.handle(.wanted, now: at(0))
    #expect(machine.handle(.timer(1), now: at(5)) == [.kill])
    _ = machine.handle(.exited("signal 9"), now: at(5))
    let actions = machine.handle(.outputEnded, now: at(5))
    guard case .refuse(.startFailed(let reason)) = actions.last else {
      Issue.record("no refusal in \(actions)")
      return
    }
    #expect(reason.contains("initialize"))
    #expect(machine.state == .stopped)
  }

  @Test func anEndIsCompleteOnlyWhenTheOutputWasReadToItsEnd() {
    var machine = running()
    #expect(machine.handle(.exited("exit code 1"), now: at(1)) == [])
    #expect(machine.state == .ending)
    #expect(machine.handle(.outputEnded, now: at(1)) == [.failCalls(.connectionLost("exit code 1"))])
    #expect(machine.state == .stopped)
    #expect(machine.lastExit == "exit code 1")
  }

  @Test func aClosedOutputEndsTheProcess() {
    var machine = running()
    #expect(
      machine.handle(.outputEnded, now: at(1)) == [.failCalls(.connectionLost("its output ended")), .kill]
    )
    #expect(machine.handle(.outputEnded, now: at(1)) == [])
    #expect(machine.handle(.exited("signal 9"), now: at(1)) == [])
    #expect(machine.state == .stopped)
  }

  @Test func aFaultFailsTheCallsOnceAndNamesItself() {
    var machine = running()
    let fault = PluginFailure.protocolViolation("bad line")
    #expect(machine.handle(.faulted(fault), now: at(1)) == [.failCalls(fault), .kill])
    #expect(machine.handle(.faulted(.connectionLost("again")), now: at(1)) == [])
    _ = machine.handle(.exited("signal 9"), now: at(1))
    #expect(machine.handle(.outputEnded, now: at(1)) == [.failCalls(fault)])
    #expect(machine.lastExit?.contains("bad line") == true)
  }

  @Test func lastWordsReadAfterTheExitAreTheReason() {
    var machine = running()
    _ = machine.handle(.exited("exit code 0"), now: at(1))
    let fault = PluginFailure.protocolViolation("bad line")
    #expect(machine.handle(.faulted(fault), now: at(1)) == [.failCalls(fault)])
    #expect(machine.handle(.outputEnded, now: at(1)) == [.failCalls(fault)])
    #expect(machine.lastExit == "the plugin broke the protocol: bad line (exit code 0)")
  }

  @Test func aCallThatComesWhileTheProcessEndsStartsTheNext() {
    var machine = running()
    _ = machine.handle(.exited("exit code 1"), now: at(1))
    #expect(machine.handle(.wanted, now: at(1)) == [])
    let actions = machine.handle(.outputEnded, now: at(1))
    #expect(actions.contains(.spawn))
    #expect(machine.incarnation == 2)
  }

  @Test func failingStartsBackOffFurtherAndFurther() {
    var machine = PluginLifecycle(startLimit: .seconds(5))
    var now = 0.0
    var delays: [Duration] = []
    for _ in 0..<9 {
      let actions = machine.handle(.wanted, now: at(now))
      #expect(actions.first == .spawn)
      let end = machine.handle(.spawnFailed("no such file"), now: at(now), jitter: 0.5)
      #expect(end == [.refuse(.startFailed("no such file"))])
      if case .backingOff(let until) = machine.state {
        delays.append(at(now).duration(to: until))
        now += 1_000
      }
    }
    let expected = [1, 2, 4, 8, 16, 32, 60, 60].map { Duration.seconds($0) }
    #expect(delays.count == expected.count)
    for (delay, wanted) in zip(delays, expected) {
      #expect((delay - wanted) < .milliseconds(1) && (wanted - delay) < .milliseconds(1))
    }
  }

  @Test func aShortBackOffIsWaitedForAndALongOneRefused() {
    var machine = PluginLifecycle(startLimit: .seconds(5))
    for _ in 0..<2 {
      _ = machine.handle(.wanted, now: at(0))
      _ = machine.handle(.spawnFailed("gone"), now: at(0), jitter: 0.5)
    }
    guard case .backingOff(let until) = machine.state,
      case .setTimer(let timer, let alarm) = machine.handle(.wanted, now: at(0)).first
    else {
      Issue.record("not backing off: \(machine.state)")
      return
    }
    #expect(alarm == until)
    #expect(machine.handle(.wanted, now: at(0.1)) == [])
    #expect(machine.handle(.timer(timer), now: until).first == .spawn)
    for _ in 0..<3 {
      _ = machine.handle(.spawnFailed("gone"), now: at(10), jitter: 0.5)
      _ = machine.handle(.wanted, now: at(100))
    }
    _ = machine.handle(.spawnFailed("gone"), now: at(200), jitter: 0.5)
    let actions = machine.handle(.wanted, now: at(200))
    guard case .refuse(.backingOff(let after)) = actions.first else {
      Issue.record("not refused: \(actions)")
      return
    }
    #expect(after > PluginLifecycle.longestWait)
  }

  @Test func stopsByInputThenTermThenKill() {
    var machine = running()
    #expect(machine.handle(.shutdown, now: at(1)) == [.closeInput, .setTimer(3, at: at(6))])
    #expect(machine.handle(.wanted, now: at(1)) == [.refuse(.shuttingDown)])
    #expect(machine.handle(.timer(3), now: at(6)) == [.terminate, .setTimer(4, at: at(9))])
    #expect(machine.handle(.timer(4), now: at(9)) == [.kill])
    _ = machine.handle(.exited("signal 9"), now: at(9))
    #expect(machine.handle(.outputEnded, now: at(9)).last == .close)
    #expect(machine.state == .closed)
  }

  @Test func aShutdownDuringTheStartKills() {
    var machine = PluginLifecycle(startLimit: .seconds(5))
    _ = machine.handle(.wanted, now: at(0))
    #expect(machine.handle(.shutdown, now: at(0)) == [.refuse(.shuttingDown), .kill])
    #expect(machine.handle(.ready, now: at(0)) == [])
    _ = machine.handle(.outputEnded, now: at(0))
    #expect(machine.handle(.exited("signal 9"), now: at(0)).last == .close)
  }

  @Test func aShutdownWithoutAProcessClosesAtOnce() {
    var machine = PluginLifecycle(startLimit: .seconds(5))
    #expect(machine.handle(.shutdown, now: at(0)) == [.refuse(.shuttingDown), .close])
    #expect(machine.handle(.wanted, now: at(0)) == [.refuse(.shuttingDown)])
    #expect(machine.handle(.shutdown, now: at(0)) == [])
  }
}

@Suite struct RestartPolicyTests {
  @Test func aUsefulRunStartsTheRowAnew() {
    var policy = RestartPolicy()
    for _ in 0..<5 { _ = policy.delay(afterRun: .zero, answeredCalls: 0, jitter: 0.5) }
    #expect(policy.delay(afterRun: .seconds(2), answeredCalls: 1, jitter: 0.5) == .zero)
    #expect(policy.delay(afterRun: .seconds(2), answeredCalls: 0, jitter: 0.5) > .zero)
  }

  @Test func alongRunIsHealthyWithoutCalls() {
    var policy = RestartPolicy()
    for _ in 0..<5 { _ = policy.delay(afterRun: .zero, answeredCalls: 0, jitter: 0.5) }
    #expect(policy.delay(afterRun: .seconds(599), answeredCalls: 0, jitter: 0.5) > .zero)
    #expect(policy.delay(afterRun: .seconds(600), answeredCalls: 0, jitter: 0.5) == .zero)
  }

  @Test(arguments: [(0.0, 0.8), (1.0, 1.2), (-3.0, 0.8), (7.0, 1.2)])
  func jitterStaysWithinAFifth(jitter: Double, factor: Double) {
    var policy = RestartPolicy()
    _ = policy.delay(afterRun: .zero, answeredCalls: 0, jitter: jitter)
    let delay = policy.delay(afterRun: .zero, answeredCalls: 0, jitter: jitter)
    #expect(abs(Double(delay.components.attoseconds) / 1e18 + Double(delay.components.seconds) - factor) < 1e-6)
  }
}
