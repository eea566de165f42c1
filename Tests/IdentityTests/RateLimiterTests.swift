import Testing

@testable import Identity

@Suite struct RateLimiterTests {
  private let limit = RateLimiter.Limit(burst: 3, perSecond: 2)

  @Test func aFullBucketHoldsTheBurstAndFillsAgain() {
    let limiter = RateLimiter()
    let start = ContinuousClock.now
    let answers = (0..<5).map { _ in limiter.take("a", limit: limit, now: start) }
    #expect(answers.map(\.isAllowed) == [true, true, true, false, false])
    #expect(answers.map(\.remaining) == [2, 1, 0, 0, 0])
    #expect(answers[3].retryAfter == 0.5)
    #expect(!limiter.take("a", limit: limit, now: start + .milliseconds(400)).isAllowed)
    #expect(limiter.take("a", limit: limit, now: start + .milliseconds(1000)).isAllowed)
    // It never holds more than the burst.
    let later = start + .seconds(1000)
    #expect((0..<5).filter { _ in limiter.take("a", limit: limit, now: later).isAllowed }.count == 3)
  }

  @Test func keysDoNotShare() {
    let limiter = RateLimiter()
    let now = ContinuousClock.now
    for _ in 0..<3 { _ = limiter.take("a", limit: limit, now: now) }
    #expect(!limiter.take("a", limit: limit, now: now).isAllowed)
    #expect(limiter.take("b", limit: limit, now: now).isAllowed)
  }

  @Test func aClockThatGoesBackGivesNothing() {
    let limiter = RateLimiter()
    let now = ContinuousClock.now
    for _ in 0..<3 { _ = limiter.take("a", limit: limit, now: now) }
    #expect(!limiter.take("a", limit: limit, now: now - .seconds(10)).isAllowed)
  }

  @Test func aFloodOfKeysIsForgotten() {
    let limiter = RateLimiter()
    let now = ContinuousClock.now
    for _ in 0..<3 { _ = limiter.take("a", limit: limit, now: now) }
    #expect(!limiter.take("a", limit: limit, now: now).isAllowed)
    for key in 0..<100_000 { _ = limiter.take("k\(key)", limit: limit, now: now) }
    // Nothing was full, so all had to go.
    #expect(limiter.take("a", limit: limit, now: now).isAllowed)
  }
}
