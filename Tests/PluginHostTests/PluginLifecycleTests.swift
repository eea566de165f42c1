import Processes
import Testing

@testable import PluginHost

@Suite struct PluginLifecycleTests {
  private typealias Lifecycle = PluginLifecycle
  private let start = ContinuousClock.now

  private func at(_ seconds: Double) -> ContinuousClock.Instant {
    start + .seconds(seconds)
  }

  private func stopped() -> PluginLifecycle {
    PluginLifecycle(startLimit: .seconds(5))
  }

  /// A machine whose process runs since 0. Its timer is 2's predecessor, its idle timer number 1.
  private func running() -> PluginLifecycle {
    var machine = stopped()
    _ = machine.handle(.wanted, now: at(0))
    _ = machine.handle(.ready, now: at(0))
    return machine
  }

  /// Lets the process end by itself.
  private func crash(
    _ machine: inout PluginLifecycle,
    _ status: Processes.ExitStatus = .exited(1),
    at seconds: Double,
    calls: PluginLifecycle.Calls = .init()
  ) -> [PluginLifecycle.Action] {
    _ = machine.handle(.exited(status), now: at(seconds), calls: calls)
    return machine.handle(.outputEnded, now: at(seconds), calls: calls)
  }

  // MARK: Starting

  @Test func startsOnDemandAndAdmitsAfterTheHandshake() {
    var machine = stopped()
    #expect(machine.handle(.wanted, now: at(0)) == [.spawn, .setTimer(1, at: at(5))])
    #expect(machine.handle(.wanted, now: at(1)) == [])
    #expect(machine.handle(.ready, now: at(1)) == [.admit, .setIdleTimer(1, at: at(601))])
    #expect(machine.handle(.timer(1), now: at(5)) == [])
    #expect(machine.state == .running(since: at(1)))
    #expect(machine.handle(.wanted, now: at(6)) == [.admit])
  }

  @Test func aStartThatTakesTooLongIsKilledAndRefused() {
    var machine = stopped()
    _ = machine.handle(.wanted, now: at(0))
    #expect(machine.handle(.timer(1), now: at(5)) == [.kill])
    _ = machine.handle(.exited(.signaled(9)), now: at(5))
    let actions = machine.handle(.outputEnded, now: at(5))
    guard case .refuse(.startFailed(let reason)) = actions.last else {
      Issue.record("no refusal in \(actions)")
      return
    }
    #expect(reason.contains("initialize"))
    #expect(machine.state == .stopped)
  }

  @Test func threeFailedStartsAreTriedForWhoeverWaitsAndThenQuarantined() {
    var machine = stopped()
    #expect(machine.handle(.wanted, now: at(0)).first == .spawn)
    let first = machine.handle(.spawnFailed(.startFailed("gone")), now: at(0))
    #expect(first.first == .reportEnd(.startFailed("gone")))
    #expect(first.contains(.spawn))
    let second = machine.handle(.spawnFailed(.startFailed("gone")), now: at(0))
    guard case .setTimer(let timer, let instant) = second.last else {
      Issue.record("no back-off in \(second)")
      return
    }
    #expect(instant == at(0) + RestartPolicy.ownDelay)
    #expect(machine.handle(.timer(timer), now: at(1)).first == .spawn)
    let third = machine.handle(.spawnFailed(.startFailed("gone")), now: at(1))
    #expect(third.contains(.reportQuarantine(.startFailed("gone"), exit: nil, until: at(301))))
    #expect(machine.state == .quarantined(.startFailed("gone"), until: at(301)))
    guard case .refuse(.quarantined(_, let after)) = machine.handle(.wanted, now: at(2)).first else {
      Issue.record("not refused")
      return
    }
    #expect(after == .seconds(299))
  }

  @Test(arguments: [PluginStopReason.manifestMismatch("lies"), .launchRefused("changed")])
  func whatAnotherStartCanNotHealIsQuarantinedAtOnce(reason: PluginStopReason) {
    var machine = stopped()
    _ = machine.handle(.wanted, now: at(0))
    let actions = machine.handle(.spawnFailed(reason), now: at(0))
    #expect(actions.contains(.reportQuarantine(reason, exit: nil, until: at(300))))
  }

  // MARK: Crashes

  @Test func anEndIsCompleteOnlyWhenTheOutputWasReadToItsEnd() {
    var machine = running()
    #expect(machine.handle(.exited(.exited(1)), now: at(1)) == [])
    #expect(machine.state == .ending)
    let reason = PluginStopReason.exited(code: 1)
    #expect(machine.handle(.outputEnded, now: at(1)) == [.failCalls(reason), .reportEnd(reason)])
    #expect(machine.state == .stopped)
    #expect(machine.lastExit == "exit code 1")
  }

  @Test func anExitWithoutARequestIsACrashEvenWithCodeZero() {
    var machine = running()
    #expect(crash(&machine, .exited(0), at: 1).contains(.reportEnd(.exited(code: 0))))
  }

  @Test func aProcessThatClosesItsOutputHasAMomentToEndItself() {
    var machine = running()
    let actions = machine.handle(.outputEnded, now: at(1))
    guard case .setTimer(let timer, at: at(1.5)) = actions.last else {
      Issue.record("no grace in \(actions)")
      return
    }
    var patient = machine
    #expect(patient.handle(.exited(.signaled(9)), now: at(1.1)).contains(.reportEnd(.killedFromOutside(9))))
    #expect(machine.handle(.timer(timer), now: at(1.5)) == [.kill])
    #expect(machine.handle(.exited(.signaled(9)), now: at(1.5)).contains(.reportEnd(.outputEnded)))
  }

  @Test func aFaultFailsTheCallsOnceAndNamesItself() {
    var machine = running()
    let fault = PluginStopReason.protocolViolation("bad line")
    #expect(machine.handle(.faulted(fault), now: at(1)) == [.failCalls(fault), .kill])
    #expect(machine.handle(.faulted(.unresponsive("again")), now: at(1)) == [])
    _ = machine.handle(.exited(.signaled(9)), now: at(1))
    #expect(machine.handle(.outputEnded, now: at(1)) == [.failCalls(fault), .reportEnd(fault)])
    #expect(machine.lastExit == "the plugin broke the protocol: bad line (signal 9)")
  }

  @Test func lastWordsReadAfterTheExitAreTheReason() {
    var machine = running()
    _ = machine.handle(.exited(.exited(0)), now: at(1))
    let fault = PluginStopReason.protocolViolation("bad line")
    #expect(machine.handle(.faulted(fault), now: at(1)) == [.failCalls(fault), .kill])
    #expect(machine.handle(.outputEnded, now: at(1)) == [.failCalls(fault), .reportEnd(fault)])
    #expect(machine.lastExit == "the plugin broke the protocol: bad line (exit code 0)")
  }

  @Test func aLimitThatIsLearntAtTheExitIsTheReason() {
    var machine = running()
    _ = machine.handle(.outputEnded, now: at(1))
    _ = machine.handle(.faulted(.limitExceeded("memory")), now: at(1))
    #expect(machine.handle(.exited(.signaled(9)), now: at(1)).contains(.reportEnd(.limitExceeded("memory"))))
  }

  @Test func aCallThatComesWhileTheProcessEndsStartsTheNext() {
    var machine = running()
    _ = machine.handle(.exited(.exited(1)), now: at(1))
    #expect(machine.handle(.wanted, now: at(1)) == [])
    #expect(machine.handle(.outputEnded, now: at(1)).contains(.spawn))
    #expect(machine.incarnation == 2)
  }

  @Test func fiveCrashesInFiveMinutesAreQuarantinedAndTriedLaterAndLater() {
    var machine = running()
    var now = 1.0
    for _ in 1...4 {
      _ = crash(&machine, at: now)
      now += 20
      #expect(machine.handle(.wanted, now: at(now)).contains(.spawn))
      _ = machine.handle(.ready, now: at(now))
    }
    #expect(crash(&machine, at: now).contains { if case .reportQuarantine = $0 { true } else { false } })
    for (index, minutes) in [5.0, 15, 60, 60].enumerated() {
      let reason = PluginStopReason.exited(code: 1)
      #expect(machine.state == .quarantined(reason, until: at(now + minutes * 60)), "quarantine \(index)")
      guard case .refuse(.quarantined) = machine.handle(.wanted, now: at(now + minutes * 60 - 1)).first else {
        Issue.record("let in too early")
        return
      }
      now += minutes * 60
      #expect(machine.handle(.wanted, now: at(now)).first == .spawn)
      _ = machine.handle(.ready, now: at(now))
      _ = crash(&machine, at: now)
    }
  }

  @Test func aTrialThatWorksEndsTheQuarantine() {
    var machine = stopped()
    _ = machine.handle(.wanted, now: at(0))
    _ = machine.handle(.spawnFailed(.launchRefused("changed")), now: at(0))
    _ = machine.handle(.wanted, now: at(300))
    _ = machine.handle(.ready, now: at(300))
    _ = machine.handle(.idleTimer(3), now: at(900), calls: .init(answered: 3, lastEnd: at(300)))
    _ = machine.handle(.sealed, now: at(900))
    _ = machine.handle(.exited(.exited(0)), now: at(900))
    let end = machine.handle(.outputEnded, now: at(900), calls: .init(answered: 3))
    #expect(end.contains(.reportRelease))
    #expect(machine.state == .stopped)
  }

  @Test func aQuarantineCanBeEndedByHand() {
    var machine = stopped()
    _ = machine.handle(.wanted, now: at(0))
    _ = machine.handle(.spawnFailed(.launchRefused("changed")), now: at(0))
    #expect(machine.handle(.release, now: at(1)) == [.reportRelease])
    #expect(machine.handle(.wanted, now: at(1)).first == .spawn)
  }

  @Test func aShortBackOffIsWaitedForAndALongOneRefused() {
    var machine = running()
    for second in [1.0, 2.0] {
      _ = crash(&machine, .signaled(9), at: second)
      _ = machine.handle(.wanted, now: at(second + 0.1))
      if case .backingOff(let until) = machine.state { _ = machine.handle(.wanted, now: until) }
      _ = machine.handle(.ready, now: at(second + 0.1))
    }
    _ = crash(&machine, .signaled(9), at: 10)
    guard case .backingOff(let until) = machine.state,
      case .setTimer(let timer, let alarm) = machine.handle(.wanted, now: at(10)).first
    else {
      Issue.record("not backing off: \(machine.state)")
      return
    }
    #expect(alarm == until && until == at(12))
    #expect(machine.handle(.wanted, now: at(10.1)) == [])
    #expect(machine.handle(.timer(timer), now: until).first == .spawn)
    for second in [12.0, 30, 60] {
      _ = machine.handle(.ready, now: at(second))
      _ = crash(&machine, .signaled(9), at: second)
      if second < 60 { _ = machine.handle(.wanted, now: at(second + 20)) }
    }
    guard case .refuse(.backingOff(let after)) = machine.handle(.wanted, now: at(60)).first else {
      Issue.record("not refused: \(machine.state)")
      return
    }
    #expect(after > PluginLifecycle.longestWait)
  }

  // MARK: Idle

  @Test func aProcessThatNobodyUsesIsAskedToEnd() {
    var machine = running()
    let open = PluginLifecycle.Calls(open: 1)
    #expect(machine.handle(.idleTimer(1), now: at(600), calls: open) == [.setIdleTimer(2, at: at(1_200))])
    let used = PluginLifecycle.Calls(answered: 1, lastEnd: at(900))
    #expect(machine.handle(.idleTimer(2), now: at(1_200), calls: used) == [.setIdleTimer(3, at: at(1_500))])
    #expect(machine.handle(.idleTimer(1), now: at(1_500), calls: used) == [])
    #expect(machine.handle(.idleTimer(3), now: at(1_500), calls: used) == [.seal])
    let asked = machine.handle(.sealed, now: at(1_500), calls: used)
    #expect(asked.prefix(2) == [.sayShutdown, .closeInput])
    // Told twice by two who saw it.
    #expect(machine.handle(.sealed, now: at(1_500), calls: used) == [])
    _ = machine.handle(.exited(.exited(0)), now: at(1_500))
    #expect(machine.handle(.outputEnded, now: at(1_500)).last == .reportEnd(.asked))
    #expect(machine.state == .stopped)
  }

  @Test func aCallThatComesDuringAnIdleStopGetsTheNextProcess() {
    var machine = running()
    _ = machine.handle(.sealed, now: at(600))
    #expect(machine.handle(.wanted, now: at(600)) == [])
    _ = machine.handle(.exited(.exited(0)), now: at(601))
    #expect(machine.handle(.outputEnded, now: at(601)).contains(.spawn))
  }

  // MARK: Replaced and taken away

  @Test func aReplacedVersionDrainsItsCallsAndThenEnds() {
    var machine = running()
    #expect(machine.handle(.retire, now: at(1)) == [.setTimer(3, at: at(901)), .seal])
    #expect(machine.handle(.retire, now: at(1)) == [])
    // A delivery that began on it may go on.
    #expect(machine.handle(.wanted, now: at(2)) == [.admit])
    #expect(machine.handle(.idle, now: at(3)) == [.seal])
    #expect(machine.handle(.sealed, now: at(3)).first == .sayDrain)
    #expect(machine.handle(.drained, now: at(3)).prefix(2) == [.sayShutdown, .closeInput])
    _ = machine.handle(.exited(.exited(0)), now: at(4))
    #expect(machine.handle(.outputEnded, now: at(4)).suffix(2) == [.reportEnd(.asked), .reportDrained])
    // It is still there for what began on it, and then not for long.
    #expect(machine.handle(.wanted, now: at(5)).first == .spawn)
    #expect(machine.handle(.ready, now: at(5)).contains(.setIdleTimer(3, at: at(35))))
  }

  @Test func callsThatDoNotEndAreEndedAfterAQuarterOfAnHour() {
    var machine = running()
    _ = machine.handle(.retire, now: at(0))
    #expect(machine.handle(.timer(3), now: at(900)) == [.failCalls(.asked), .kill])
    _ = machine.handle(.exited(.signaled(9)), now: at(900))
    #expect(machine.handle(.outputEnded, now: at(900)).contains(.reportEnd(.asked)))
  }

  @Test func aVersionThatDoesNotAnswerDrainIsEndedAnyway() {
    var machine = running()
    _ = machine.handle(.retire, now: at(0))
    guard case .setTimer(let timer, at: at(3)) = machine.handle(.sealed, now: at(1)).last else {
      Issue.record("no timer")
      return
    }
    #expect(machine.handle(.timer(timer), now: at(3)).prefix(2) == [.sayShutdown, .closeInput])
  }

  @Test func aVersionThatComesBackIsUsedAgain() {
    var machine = running()
    _ = machine.handle(.retire, now: at(0))
    #expect(machine.handle(.resume, now: at(1)) == [.setIdleTimer(2, at: at(601))])
    #expect(machine.handle(.idle, now: at(2)) == [])
    #expect(!machine.isRetired)
  }

  @Test func aCondemnedVersionIsNeverStartedAgain() {
    var machine = running()
    let reason = PluginStopReason.rolledBack("it crashed")
    #expect(machine.handle(.condemn(reason), now: at(1)) == [.failCalls(reason), .kill])
    _ = machine.handle(.exited(.signaled(9)), now: at(1))
    _ = machine.handle(.outputEnded, now: at(1))
    #expect(machine.state == .quarantined(reason, until: nil))
    guard case .refuse(.quarantined) = machine.handle(.wanted, now: at(100_000)).first else {
      Issue.record("started")
      return
    }
    var idle = stopped()
    _ = idle.handle(.condemn(reason), now: at(1))
    #expect(idle.state == .quarantined(reason, until: nil))
  }

  @Test func aPluginThatIsTakenAwayClosesWhenItsCallsHaveEnded() {
    var machine = running()
    _ = machine.handle(.dismiss, now: at(0))
    _ = machine.handle(.sealed, now: at(0))
    _ = machine.handle(.drained, now: at(0))
    _ = machine.handle(.exited(.exited(0)), now: at(0))
    #expect(machine.handle(.outputEnded, now: at(0)).last == .close)
    var idle = stopped()
    #expect(idle.handle(.dismiss, now: at(0)).last == .close)
    #expect(idle.handle(.wanted, now: at(0)) == [.refuse(.shuttingDown)])
  }

  // MARK: Shutdown

  @Test func stopsByInputThenTermThenKill() {
    var machine = running()
    #expect(machine.handle(.shutdown, now: at(1)) == [.sayShutdown, .closeInput, .setTimer(3, at: at(6))])
    #expect(machine.handle(.wanted, now: at(1)) == [.refuse(.shuttingDown)])
    #expect(machine.handle(.timer(3), now: at(6)) == [.terminate, .setTimer(4, at: at(9))])
    #expect(machine.handle(.timer(4), now: at(9)) == [.kill])
    _ = machine.handle(.exited(.signaled(9)), now: at(9))
    #expect(machine.handle(.outputEnded, now: at(9)).last == .close)
    #expect(machine.state == .closed)
  }

  @Test func aShutdownDuringTheStartKills() {
    var machine = stopped()
    _ = machine.handle(.wanted, now: at(0))
    #expect(machine.handle(.shutdown, now: at(0)) == [.refuse(.shuttingDown), .kill])
    #expect(machine.handle(.ready, now: at(0)) == [])
    _ = machine.handle(.outputEnded, now: at(0))
    #expect(machine.handle(.exited(.signaled(9)), now: at(0)).last == .close)
  }

  @Test func aShutdownWithoutAProcessClosesAtOnce() {
    var machine = stopped()
    #expect(machine.handle(.shutdown, now: at(0)) == [.refuse(.shuttingDown), .close])
    #expect(machine.handle(.wanted, now: at(0)) == [.refuse(.shuttingDown)])
    #expect(machine.handle(.shutdown, now: at(0)) == [])
  }
}
