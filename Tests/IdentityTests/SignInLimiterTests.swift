import Testing

@testable import Identity

@Suite struct SignInLimiterTests {
  private func isTaken(
    _ limiter: SignInLimiter,
    _ account: String,
    _ address: String,
    _ now: ContinuousClock.Instant
  ) -> SignInError? {
    do throws(SignInError) {
      try limiter.take(account: account, address: address, now: now)
      return nil
    } catch {
      return error
    }
  }

  @Test func failuresDoubleTheDelay() {
    let limiter = SignInLimiter()
    var now = ContinuousClock.now
    var waits: [Int] = []
    for _ in 0..<16 {
      // Long pauses between, so that the buckets are full each time.
      now += .seconds(3_600)
      #expect(isTaken(limiter, "a@a.example", "192.0.2.1", now) == nil)
      limiter.failed(account: "A@a.example", address: "192.0.2.1", now: now)
      if case .tooMany(let seconds) = isTaken(limiter, "a@a.example", "192.0.2.9", now) {
        waits.append(seconds - 1)
      } else {
        waits.append(0)
      }
    }
    #expect(waits == [0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900])
    // Another network is not held back by it, and success clears it.
    #expect(isTaken(limiter, "a@a.example", "198.51.100.1", now) == nil)
    limiter.succeeded(account: "a@A.example", address: "192.0.2.77")
    #expect(isTaken(limiter, "a@a.example", "192.0.2.1", now) == nil)
  }

  @Test func anAccountIsBoundedFromAllNetworks() {
    let limiter = SignInLimiter()
    let now = ContinuousClock.now
    let answers = (0..<40).map { isTaken(limiter, "a@a.example", "10.0.\($0).1", now) }
    #expect(answers.prefix(30).allSatisfy { $0 == nil })
    #expect(answers.dropFirst(30).allSatisfy { $0 == .tooMany(seconds: 20) })
    #expect(isTaken(limiter, "a@a.example", "10.1.0.1", now + .seconds(20)) == nil)
  }

  @Test func aNetworkIsBoundedForAllAccounts() {
    let limiter = SignInLimiter()
    let now = ContinuousClock.now
    let answers = (0..<40).map { isTaken(limiter, "\($0)@a.example", "192.0.2.\($0)", now) }
    #expect(answers.prefix(30).allSatisfy { $0 == nil })
    #expect(answers.dropFirst(30).allSatisfy { $0 == .tooMany(seconds: 5) })
    #expect(isTaken(limiter, "x@a.example", "192.0.3.1", now) == nil)
  }

  @Test(arguments: [
    ("192.0.2.1", "192.0.2.255", true), ("192.0.2.1", "192.0.3.1", false),
    ("2001:db8:1::1", "2001:db8:1:ffff::2", true),
    ("2001:db8:1::1", "2001:db8:2::1", false), ("::ffff:192.0.2.1", "192.0.2.9", true), ("", "", true),
    ("unix", "unix", true), ("0.0.1.1", "::1:1", false),
  ])
  func networksAreParts(first: String, second: String, areOne: Bool) {
    #expect((SignInLimiter.network(of: first) == SignInLimiter.network(of: second)) == areOne)
  }
}
