import Testing

@testable import PluginHost

@Suite struct HealthWatchTests {
  private let start = ContinuousClock.now

  private func at(_ seconds: Double) -> ContinuousClock.Instant {
    start + .seconds(seconds)
  }

  @Test func asksNobodyWhoOwesNothing() {
    var watch = HealthWatch(now: at(0))
    #expect(watch.step(owes: false, now: at(1)) == .look(at: at(5)))
    #expect(watch.step(owes: false, now: at(5)) == .look(at: nil))
    #expect(watch.step(owes: false, now: at(5_000)) == .look(at: nil))
  }

  @Test func asksAfterSilenceAndGivesUpAfterASecond() {
    var watch = HealthWatch(now: at(0))
    #expect(watch.step(owes: true, now: at(1)) == .look(at: at(6)))
    #expect(watch.step(owes: true, now: at(6)) == .ask)
    #expect(watch.step(owes: true, now: at(6.5)) == .look(at: at(7)))
    #expect(watch.step(owes: true, now: at(7)) == .hung)
  }

  @Test func anySignOfLifeCounts() {
    var watch = HealthWatch(now: at(0))
    _ = watch.step(owes: true, now: at(0))
    #expect(watch.step(owes: true, now: at(5)) == .ask)
    watch.noteSign(at(5.9))
    #expect(watch.step(owes: true, now: at(6)) == .look(at: at(10.9)))
  }

  @Test func asksTogetherWithTheFirstCallAfterALongIdleTime() {
    var watch = HealthWatch(now: at(0))
    #expect(watch.step(owes: true, now: at(60)) == .ask)
    #expect(watch.step(owes: true, now: at(61)) == .hung)
  }

  @Test func aLookThatComesLateProvesNothing() {
    var watch = HealthWatch(now: at(0))
    _ = watch.step(owes: true, now: at(0))
    _ = watch.step(owes: true, now: at(5))
    #expect(watch.step(owes: true, now: at(9)) == .look(at: at(10)))
    #expect(watch.step(owes: true, now: at(10)) == .hung)
  }
}
