import JobQueue
import PluginManifest
import Testing

@testable import Publishing

@Suite struct AccountLimitsTests {
  private func manifest(_ limits: String) throws -> PluginManifest {
    try PluginManifest.parse(
      Array(ProbeManifest.text(rateLimits: limits).utf8)
    )
  }

  @Test(arguments: ["x", "x=", "x=1", "x=0/5", "x=5/0", "x=a/b", "x=-1/5", "x=1/2/3", "=", "x=off,y"])
  func whatIsNoLimitIsNamed(text: String) {
    #expect(throws: LimitsError.self) { try AccountLimits(text) }
  }

  @Test func readsSeveralEntries() throws {
    let limits = try AccountLimits(" probe = 10/60 , other=off")
    let lane = limits.lane(for: try manifest("[]"))
    #expect(lane.cap == 1)
    #expect(lane.rate == .init(count: 10, per: .seconds(60)))
    #expect(try AccountLimits("").lane(for: try manifest("[]")).rate == nil)
  }

  @Test func theStricterLimitCounts() throws {
    let limits = try AccountLimits("probe=1000/60")
    #expect(limits.lane(for: try manifest("[]"), perHour: 1).rate == .init(count: 1, per: .seconds(3600)))
    #expect(limits.lane(for: try manifest("[]"), perHour: 100_000).rate == .init(count: 1000, per: .seconds(60)))
    #expect(try AccountLimits("probe=off").lane(for: try manifest("[]")).rate == nil)
  }
}
