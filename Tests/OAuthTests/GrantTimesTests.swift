import Cryptography
import FoundationEssentials
import OAuth
import PluginManifest
import Testing

@Suite struct GrantTimesTests {
  private let start = Date(timeIntervalSince1970: 1_800_000_000)

  /// Lifetime, spread, youngest age and the expected renewal, in seconds after the start.
  @Test(arguments: [
    // A fifth before the end of a short life.
    (7_200, 0.5, 0, 5_760.0), (7_200, 0, 0, 5_904), (7_200, 1, 0, 5_616), (60, 0.5, 0, 48),
    // Seven days before the end of a long one.
    (5_184_000, 0.5, 0, 4_579_200), (31_536_000, 0.5, 0, 30_931_200), (5_184_000, 1, 0, 4_518_720),
    // Not before a platform takes it, and not after the end.
    (100_000, 0.5, 86_400, 86_400), (50_000, 0.5, 86_400, 50_000),
    // A spread that is none.
    (7_200, -5, 0, 5_904), (7_200, 9, 0, 5_616),
  ])
  func renewalComesBeforeTheEnd(lifetime: Int, spread: Double, age: Int, expected: Double) {
    let time = RenewalTime.make(
      issuedAt: start,
      lifetime: .seconds(lifetime),
      minimumAge: .seconds(age),
      spread: spread
    )
    #expect(abs(time.timeIntervalSince(start) - expected) < 0.001)
  }

  @Test func failuresWaitLongerAndLonger() {
    let waits = [0, 1, 2, 3, 7, 8, 9, 100, Int.max].map { RenewalTime.retry(after: $0, spread: 0.5) }
    #expect(waits.map(\.components.seconds) == [30, 30, 60, 120, 1_920, 3_600, 3_600, 3_600, 3_600])
    #expect(RenewalTime.retry(after: 1, spread: 0) == .seconds(27))
    #expect(RenewalTime.retry(after: 1, spread: 1) == .seconds(33))
  }

  private func times(_ declaration: OAuthDeclaration, refresh: String?, lifetime: Int?) -> GrantTimes {
    let grant = TokenGrant(
      accessToken: Secret("A"),
      refreshToken: refresh.map { Secret($0) },
      lifetime: lifetime.map { .seconds($0) }
    )
    return GrantTimes(grant, refresh: declaration.refresh, issuedAt: start, spread: 0.5)
  }

  @Test func onlyWhatCanBeRenewedIs() throws {
    let x = times(try Platforms.x(), refresh: "R", lifetime: 3_600)
    #expect(x.expiresAt == start.addingTimeInterval(3_600))
    #expect(x.renewAt == start.addingTimeInterval(2_880))
    // The manifest knows the life that an answer leaves out.
    #expect(times(try Platforms.x(), refresh: "R", lifetime: nil).expiresAt == start.addingTimeInterval(7_200))
    let member = times(try Platforms.linkedIn(), refresh: nil, lifetime: 5_184_000)
    #expect(member.expiresAt != nil)
    #expect(member.renewAt == nil)
    // The token renews itself.
    #expect(times(try Platforms.instagram(), refresh: nil, lifetime: 5_184_000).renewAt != nil)
    // Nobody knows: neither an end nor a renewal is made up.
    let unknown = times(try Platforms.mastodon(), refresh: nil, lifetime: nil)
    #expect(unknown.expiresAt == nil && unknown.renewAt == nil)
  }
}
