import Testing

@testable import PluginHost

@Suite struct FloodBudgetTests {
  private let start = ContinuousClock.now

  @Test func allowsABurstAndASteadyTrickle() {
    var budget = FloodBudget(now: start)
    var answers = [budget.spend(FloodBudget.burstBytes - 1, now: start)]
    var now = start
    for _ in 0..<100 {
      now += .seconds(1)
      answers.append(budget.spend(FloodBudget.bytesPerSecond, now: now))
    }
    #expect(!answers.contains(false))
    let isWithin = budget.spend(FloodBudget.bytesPerSecond, now: now)
    #expect(!isWithin)
  }

  @Test func messagesAreGivenBack() {
    var budget = FloodBudget(now: start)
    for _ in 0..<100 {
      let isWithin = budget.spend(FloodBudget.burstBytes / 2, now: start)
      #expect(isWithin)
      budget.refund(FloodBudget.burstBytes / 2)
    }
  }
}
