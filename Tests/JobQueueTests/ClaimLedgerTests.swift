import Testing

@testable import JobQueue

@Suite struct ClaimLedgerTests {
  @Test func asksOnlyWhenAQuarterOfTheSlotsIsFree() {
    var ledger = ClaimLedger(slots: 64)
    #expect(ledger.request?.count == 96)
    ledger.took(96)
    #expect(ledger.request == nil)
    ledger.freed(15)
    #expect(ledger.request == nil)
    ledger.freed()
    #expect(ledger.request?.count == 16)
  }

  @Test func oneSiteAloneGetsTheWholeCapacityAfterAFewRounds() throws {
    var ledger = ClaimLedger(slots: 64)
    var rounds = 0
    while let request = ledger.request, rounds < 20 {
      let count = min(request.count, request.quantum)
      ledger.took(count)
      let mayBeMore = ledger.learned(request, jobs: count, lanes: count, sites: 1, lastSite: 1)
      #expect(mayBeMore)
      rounds += 1
    }
    #expect(ledger.held > 80)
    #expect(rounds <= 8)
    ledger.freed(ledger.held)
    #expect(try #require(ledger.request).quantum >= 32)
  }

  @Test func competingSitesShrinkTheQuantum() throws {
    var ledger = ClaimLedger(slots: 8)
    for _ in 0..<4 {
      let request = try #require(ledger.request)
      _ = ledger.learned(request, jobs: request.quantum, lanes: request.quantum, sites: 1, lastSite: 1)
    }
    let large = try #require(ledger.request).quantum
    #expect(large > 1)
    let request = try #require(ledger.request)
    _ = ledger.learned(request, jobs: request.count, lanes: request.count, sites: 2, lastSite: 7)
    #expect(try #require(ledger.request).quantum == large / 2)
    #expect(try #require(ledger.request).afterSite == 7)
  }

  @Test func anEmptyAnswerEndsTheRound() throws {
    var ledger = ClaimLedger(slots: 8)
    let request = try #require(ledger.request)
    let mayBeMore = ledger.learned(request, jobs: 0, lanes: 0, sites: 0, lastSite: nil)
    #expect(!mayBeMore)
  }

  /// Lanes without jobs are what a claim with an old snapshot sees; the next one may find what is left.
  @Test func lanesWithoutJobsAreLookedAtAgainButNotForEver() throws {
    var ledger = ClaimLedger(slots: 8)
    let request = try #require(ledger.request)
    for _ in 0..<2 {
      var looks = 1
      while ledger.learned(request, jobs: 0, lanes: 3, sites: 1, lastSite: 1), looks < 100 { looks += 1 }
      #expect(looks == 3)
    }
    let afterwards = ledger.learned(request, jobs: 1, lanes: 1, sites: 1, lastSite: 1)
    #expect(afterwards)
  }
}

@Suite struct RetryPolicyTests {
  @Test func waitsGrowAndStayBetweenBaseAndCap() {
    let policy = RetryPolicy(base: .seconds(60), cap: .seconds(600))
    var generator = SeededGenerator(seed: 1)
    var longest: [Duration] = []
    for attempt in 1...4 {
      let delays = (0..<500).map { _ in policy.delay(afterAttempt: attempt, using: &generator) }
      #expect(delays.allSatisfy { $0 >= .seconds(60) && $0 <= .seconds(600) })
      #expect(Set(delays).count > 400)
      longest.append(delays.max() ?? .zero)
    }
    #expect(longest[0] <= .seconds(180))
    #expect(longest[1] > .seconds(300))
  }

  @Test func extremeAttemptsDoNotOverflow() {
    let policy = RetryPolicy(base: .seconds(60), cap: .seconds(3_600))
    var generator = SeededGenerator(seed: 2)
    #expect(policy.delay(afterAttempt: .max, using: &generator) <= .seconds(3_600))
    #expect(policy.delay(afterAttempt: .min, using: &generator) >= .seconds(60))
  }
}

@Suite struct RateLimitTests {
  /// A window of the limit's length never holds more jobs than the limit, however greedy the jobs are.
  @Test(arguments: [1, 2, 3, 10, 50])
  func noWindowHoldsMoreThanTheCount(count: Int) {
    let window: Duration = .seconds(3_600)
    let rate = RateLimit(count: count, per: window)
    var arrivals: [Duration] = []
    var tat: Duration = .zero
    var now: Duration = .zero
    for _ in 0..<count * 5 {
      now = max(now, tat - rate.burst)
      tat = max(now, tat) + rate.interval
      arrivals.append(now)
    }
    for start in arrivals {
      #expect(arrivals.filter { $0 >= start && $0 < start + window }.count <= count)
    }
    // It is not needlessly strict either: over a long time most of what is allowed goes through.
    #expect(now <= window * 10)
  }
}
