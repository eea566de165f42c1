import Egress
import FoundationEssentials
import PluginManifest
import Testing

/// What the host learns from answers about the platform's limits.
@Suite struct RateLimitTests {
  private static let request = #"{"rule":"me","path":{"id":"1"}}"#
  private static let date = "Sun, 06 Nov 1994 08:49:37 GMT"

  private func snapshot(
    _ headers: [String: String],
    status: Int = 429,
    body: String = "{}"
  ) async throws -> RateLimitSnapshot? {
    let fixture = try Fixture { _ in .answer(status, headers: headers, body: body) }
    return try await fixture.perform(Self.request).rateLimit
  }

  @Test func limitsReachTheHostWhetherShownOrNot() async throws {
    let reset = Int(Date().timeIntervalSince1970) + 600
    let fixture = try Fixture { _ in
      .answer(
        429,
        headers: [
          "x-limit": "100, 100;w=900", "x-limit-remaining": "0", "x-limit-reset": "\(reset)", "retry-after": "30",
          "x-app-remaining": "7", "x-app-reset": "2.5",
        ],
        body: "{}"
      )
    }
    let journal = MemoryJournal()
    let answer = try await fixture.perform(#"{"rule":"create","step":"s","json":{}}"#, journal: journal)
    let limit = try #require(answer.rateLimit)
    #expect(answer.rule == "create")
    #expect(limit.retryAfter == .seconds(30))
    #expect(limit.readings.map(\.scope) == [.perAccount, .perApp])
    #expect(limit.readings.map(\.limit) == [100, nil])
    #expect(limit.readings.map(\.remaining) == [0, 7])
    let account = try #require(limit.readings[0].resetAt)
    #expect(abs(account.timeIntervalSince1970 - Double(reset)) < 0.01)
    let app = try #require(limit.readings[1].resetAt).timeIntervalSinceNow
    #expect(app > -60 && app <= 2.5)
    #expect(await journal.outcomes.first?.outcome == .rejected)
    #expect(await journal.outcomes.first?.rateLimit == limit)
  }

  @Test func strangeLimitsAreNoLimits() async throws {
    let strange = ["x-limit": "-1", "x-limit-remaining": "many", "x-limit-reset": "soon", "retry-after": "later"]
    #expect(try await snapshot(strange, status: 200) == nil)
    #expect(try await snapshot([:], status: 200) == nil)
    // However far away: nobody waits for longer than a month, and nothing overflows.
    let far = try await snapshot(["x-limit-reset": String(repeating: "9", count: 300)], status: 200)
    let wait = try #require(far?.readings.first?.resetAt).timeIntervalSinceNow
    #expect(wait > 31 * 86_400 - 60 && wait <= 31 * 86_400)
    let past = try await snapshot(["x-limit-reset": "1000"], status: 200)
    #expect(try #require(past?.readings.first?.resetAt).timeIntervalSinceNow <= 0)
  }

  @Test(arguments: [
    ("30", 30_000), (" 30 ", 30_000), ("0", 0), ("1.5", 1_500), ("0.0001", 1), ("00007", 7_000),
    ("99999999999999999999999", 2_678_400_000), ("Sun, 06 Nov 1994 08:50:07 GMT", 30_000),
    ("Sun, 06 Nov 1994 08:49:00 GMT", 0), ("Thu, 01 Jan 9998 00:00:00 GMT", 2_678_400_000),
  ])
  func readsEveryFormOfRetryAfter(text: String, milliseconds: Int) async throws {
    let found = try await snapshot(["retry-after": text, "date": Self.date])?.retryAfter
    // The platform's own clock counts only while it is not absurd; this one is decades behind.
    if text.contains("1994") {
      #expect(found == .zero)
    } else {
      #expect(found == .milliseconds(milliseconds))
    }
  }

  @Test(arguments: ["", "-5", "+5", "1e9", "1.5.2", ".5", "5.", "NaN", "inf", "0x10", "five", "٣", "Sun, 06 Nov 1994"])
  func whatIsNoRetryAfterIsAbsent(text: String) async throws {
    #expect(try await snapshot(["retry-after": text]) == nil)
  }

  /// A platform whose clock is an hour ahead of ours names an instant by its own clock.
  @Test func instantsAreMeantByThePlatformsClock() async throws {
    let theirs = Date().addingTimeInterval(3_600)
    let found = try await snapshot([
      "date": Self.text(theirs), "retry-after": Self.text(theirs.addingTimeInterval(40)),
      "x-limit-reset": "\(Int(theirs.timeIntervalSince1970) + 40)",
    ])
    #expect(try #require(found?.retryAfter) == .seconds(40))
    let reset = try #require(found?.readings.first?.resetAt).timeIntervalSinceNow
    #expect(reset > -20 && reset < 42)
  }

  @Test(arguments: [
    (#"{"error":{"wait":2}}"#, 120_000), (#"{"error":{"wait":"0.5"}}"#, 30_000), (#"{"error":{"wait":1e99}}"#, nil),
    (#"{"error":{"wait":-1}}"#, nil), (#"{"error":{"wait":true}}"#, nil), (#"{"error":{}}"#, nil), ("no json", nil),
  ])
  func readsTheBodyWhereTheManifestSaysSo(body: String, milliseconds: Int?) async throws {
    #expect(try await snapshot([:], body: body)?.retryAfter == milliseconds.map { .milliseconds($0) })
    // A success says nothing about waiting, and the longer of two waits counts.
    #expect(try await snapshot([:], status: 200, body: body) == nil)
    let both = try await snapshot(["retry-after": "60"], body: body)?.retryAfter
    #expect(both == .milliseconds(max(60_000, milliseconds ?? 0)))
  }

  /// The form of HTTP dates.
  private static func text(_ date: Date) -> String {
    let calendar = Calendar(identifier: .gregorian)
    let parts = calendar.dateComponents(
      in: TimeZone(secondsFromGMT: 0) ?? .current,
      from: date
    )
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    func two(_ number: Int?) -> String {
      let text = String(number ?? 0)
      return text.utf8.count == 1 ? "0" + text : text
    }
    let day = "\(two(parts.day)) \(months[(parts.month ?? 1) - 1]) \(parts.year ?? 0)"
    return "Mon, \(day) \(two(parts.hour)):\(two(parts.minute)):\(two(parts.second)) GMT"
  }
}
