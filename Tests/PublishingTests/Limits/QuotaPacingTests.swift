import Egress
import FoundationEssentials
import JobQueue
import PluginManifest
import Testing

@testable import Publishing

@Suite struct QuotaPacingTests {
  private let now = Date(timeIntervalSince1970: 1_800_000_000)

  private func pauses(
    remaining: Int64?,
    limit: Int64? = 100,
    reset: TimeInterval? = 900,
    scope: LimitScope = .perAccount,
    retryAfter: Duration? = nil,
    status: Int = 200,
    isRead: Bool = false
  ) -> [QuotaPacing.Pause] {
    let reading = RateLimitSnapshot.Reading(
      scope: scope,
      limit: limit,
      remaining: remaining,
      resetAt: reset.map { now.addingTimeInterval($0) }
    )
    let snapshot = RateLimitSnapshot([reading], retryAfter: retryAfter)
    return QuotaPacing.pauses(after: snapshot, isRead: isRead, status: status, now: now)
  }

  @Test func aUsedUpWindowIsWaitedOut() {
    #expect(pauses(remaining: 0) == [.init(.perAccount, .seconds(900), .rateLimited)])
    #expect(pauses(remaining: 0, scope: .perApp) == [.init(.perApp, .seconds(900), .rateLimited)])
    #expect(pauses(remaining: 0, reset: 1e9) == [.init(.perAccount, .seconds(86_400), .rateLimited)])
  }

  @Test(arguments: [(100, nil), (21, nil), (20, 900.0 / 21), (5, 150.0), (1, 450.0)] as [(Int64, Double?)])
  func theLastFifthIsSpreadOverTheWindow(remaining: Int64, seconds: Double?) {
    #expect(pauses(remaining: remaining) == seconds.map { [.init(.perAccount, .seconds($0), .pacing)] } ?? [])
  }

  /// The wall is never met: whoever follows the pauses finds a request left each time, until the window ends.
  @Test func whoFollowsThePausesNeverMeetsTheWall() {
    var remaining: Int64 = 100
    var left = 900.0
    var requests = 0
    while left > 0.001, requests < 1_000 {
      #expect(remaining > 0)
      remaining -= 1
      requests += 1
      // A request takes no time.
      left -= pauses(remaining: remaining, reset: left).first.map { $0.duration / .seconds(1) } ?? 0
    }
    #expect(requests == 100)
  }

  @Test func whatIsMissingOrOverMeansNothing() {
    #expect(pauses(remaining: nil).isEmpty)
    #expect(pauses(remaining: 0, reset: nil).isEmpty)
    #expect(pauses(remaining: 0, reset: 0).isEmpty)
    #expect(pauses(remaining: 0, reset: -5).isEmpty)
    #expect(pauses(remaining: 6, limit: nil).isEmpty)
    #expect(pauses(remaining: 5, limit: nil).count == 1)
    #expect(pauses(remaining: 0, isRead: true).isEmpty)
  }

  @Test func onlyARefusalAsksToWait() {
    #expect(
      pauses(remaining: nil, retryAfter: .seconds(30), status: 429) == [.init(.perAccount, .seconds(30), .rateLimited)]
    )
    #expect(pauses(remaining: nil, retryAfter: .seconds(30), status: 503).count == 1)
    #expect(pauses(remaining: nil, retryAfter: .seconds(30), status: 202).isEmpty)
    #expect(pauses(remaining: nil, retryAfter: .zero, status: 429).isEmpty)
    #expect(
      pauses(remaining: nil, retryAfter: .seconds(1_000_000), status: 429)
        == [.init(.perAccount, .seconds(86_400), .rateLimited)]
    )
  }
}
