import Testing

@testable import ServiceTree

@Suite struct ServiceGroupMachineTests {
  @Test func startsInOrderAndWaitsForThoseThatSignal() {
    var machine = ServiceGroupMachine(waitsForStartup: [false, true, false])
    #expect(machine.handle(.begin) == [.start(0), .start(1)])
    #expect(machine.handle(.started(0)) == [])
    #expect(machine.handle(.started(1)) == [.start(2)])
  }

  @Test func stopsInReverseOrderOneAfterTheOther() {
    var machine = ServiceGroupMachine(waitsForStartup: [false, false, false])
    _ = machine.handle(.begin)
    #expect(machine.handle(.shutdownRequested) == [.startDeadline, .stop(2)])
    #expect(machine.handle(.shutdownRequested) == [])
    #expect(machine.handle(.ended(2)) == [.stop(1)])
    #expect(machine.handle(.ended(1)) == [.stop(0)])
    #expect(machine.handle(.ended(0)) == [.finish])
  }

  @Test func aServiceThatEndsStopsTheOthers() {
    var machine = ServiceGroupMachine(waitsForStartup: [false, false, false])
    _ = machine.handle(.begin)
    #expect(machine.handle(.ended(1)) == [.startDeadline, .stop(2)])
    #expect(machine.handle(.ended(0)) == [])
    #expect(machine.handle(.ended(2)) == [.finish])
  }

  @Test func aShutdownDuringTheStartStartsNothingMore() {
    var machine = ServiceGroupMachine(waitsForStartup: [true, false])
    #expect(machine.handle(.begin) == [.start(0)])
    #expect(machine.handle(.shutdownRequested) == [.startDeadline, .stop(0)])
    #expect(machine.handle(.started(0)) == [])
    #expect(machine.handle(.ended(0)) == [.finish])
  }

  @Test func theDeadlineReachesEveryServiceAtOnce() {
    var machine = ServiceGroupMachine(waitsForStartup: [false, false, false])
    _ = machine.handle(.begin)
    _ = machine.handle(.shutdownRequested)
    #expect(machine.handle(.deadlinePassed) == [.stop(1), .stop(0), .cancelAll])
    #expect(machine.handle(.ended(2)) == [])
    #expect(machine.handle(.ended(0)) == [])
    #expect(machine.handle(.ended(1)) == [.finish])
  }

  @Test func withoutServicesItIsDoneAtOnce() {
    var machine = ServiceGroupMachine(waitsForStartup: [])
    #expect(machine.handle(.begin) == [.finish])
  }
}
