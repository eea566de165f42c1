import FoundationEssentials
import Testing

@testable import OAuth

/// When tokens are renewed ahead of their end, and how long failures wait.
@Suite struct RenewalTimeTests {
  private let issued = Date(timeIntervalSince1970: 1_000_000)

  private func age(_ lifetime: Duration, minimumAge: Duration = .zero, spread: Double) -> Double {
    RenewalTime.make(issuedAt: issued, lifetime: lifetime, minimumAge: minimumAge, spread: spread)
      .timeIntervalSince(issued)
  }

  @Test(arguments: [(7_200.0, 1_440.0), (86_400.0, 17_280.0), (5_184_000.0, 604_800.0), (31_536_000.0, 604_800.0)])
  func longOnesAWeekBeforeAndShortOnesAFifth(lifetime: Double, margin: Double) {
    let whole = Duration.seconds(Int64(lifetime))
    #expect(abs(age(whole, spread: 0.5) - (lifetime - margin)) < 1)
    #expect(abs(age(whole, spread: 0) - (lifetime - 0.9 * margin)) < 1)
    #expect(abs(age(whole, spread: 1) - (lifetime - 1.1 * margin)) < 1)
  }

  @Test func neverTooYoungAndNeverAfterTheEnd() {
    #expect(age(.seconds(90_000), minimumAge: .seconds(86_400), spread: 0.5) == 86_400)
    #expect(age(.seconds(3_600), minimumAge: .seconds(86_400), spread: 0.5) == 3_600)
  }

  @Test func failuresWaitLongerAndLonger() {
    #expect(RenewalTime.retry(after: 1, spread: 0.5) == .seconds(30))
    #expect(RenewalTime.retry(after: 3, spread: 0.5) == .seconds(120))
    #expect(RenewalTime.retry(after: 1_000, spread: 0.5) == .seconds(3_600))
    #expect(RenewalTime.retry(after: 0, spread: 0) == .seconds(27))
  }
}
