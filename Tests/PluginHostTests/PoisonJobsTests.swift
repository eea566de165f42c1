import Testing

@testable import PluginHost

@Suite struct PoisonJobsTests {
  @Test func theSecondDeathParksTheJob() {
    var jobs = PoisonJobs()
    #expect(jobs.admit("a") == .go)
    #expect(jobs.noteDeath(of: ["a", "b"], reason: "signal 11") == [])
    #expect(jobs.admit("a") == .go)
    #expect(jobs.noteDeath(of: ["a", "c"], reason: "signal 11") == ["a"])
    #expect(jobs.admit("a") == .parked(reason: "signal 11"))
    #expect(jobs.noteDeath(of: ["a"], reason: "again") == [])
    #expect(jobs.admit("a") == .parked(reason: "signal 11"))
  }

  @Test func suspectsRunOneAtATimeAndBystandersFreely() {
    var jobs = PoisonJobs()
    _ = jobs.noteDeath(of: ["a", "b"], reason: "x")
    #expect(jobs.admit("a") == .go)
    #expect(jobs.admit("b") == .wait)
    #expect(jobs.admit("c") == .go)
    jobs.noteEnd("a")
    #expect(jobs.admit("b") == .go)
    jobs.withdraw("b")
    #expect(jobs.admit("b") == .go)
    #expect(!jobs.suspects("a") && jobs.suspects("b"))
  }

  @Test func aJobThatWentWellIsForgiven() {
    var jobs = PoisonJobs()
    _ = jobs.noteDeath(of: ["a"], reason: "x")
    _ = jobs.admit("a")
    jobs.noteEnd("a")
    #expect(jobs.isEmpty)
    #expect(jobs.noteDeath(of: ["a"], reason: "x") == [])
  }

  @Test func remembersABoundedNumber() {
    var jobs = PoisonJobs()
    for number in 0...PoisonJobs.capacity { _ = jobs.noteDeath(of: ["\(number)"], reason: "x") }
    #expect(!jobs.suspects("0"))
    #expect(jobs.suspects("\(PoisonJobs.capacity)"))
  }
}
