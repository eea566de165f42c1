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

  private static let published = """
    [{"rules": ["post"], "perAccount": {"count": 10, "windowMs": 60000}, "perSite": {"count": 20, "windowMs": 60000},
      "perApp": {"count": 30, "windowMs": 60000}},
     {"rules": ["post"], "perAccount": {"count": 8, "windowMs": 600000}}]
    """

  @Test func everyScopeHasItsStrictestWindow() throws {
    let (limits, manifest) = (AccountLimits(), try manifest(Self.published))
    #expect(limits.lane(for: manifest).rate == .init(count: 8, per: .seconds(600)))
    #expect(limits.rate(.perSite, for: manifest) == .init(count: 20, per: .seconds(60)))
    #expect(limits.rate(.perApp, for: manifest) == .init(count: 30, per: .seconds(60)))
  }

  /// An operator's word for the account, then for the platform, then in the configuration, then the plugin's.
  @Test func theNearestWordCounts() throws {
    let manifest = try manifest(Self.published)
    let configured = try AccountLimits("probe=5/60")
    #expect(configured.rate(.perAccount, for: manifest) == .init(count: 5, per: .seconds(60)))
    #expect(configured.rate(.perApp, for: manifest) == .init(count: 30, per: .seconds(60)))
    var overrides = LimitOverrides(platform: [.perAccount: .count(7, per: .seconds(60)), .perApp: .unlimited])
    #expect(configured.rate(.perAccount, for: manifest, overrides: overrides) == .init(count: 7, per: .seconds(60)))
    #expect(configured.rate(.perApp, for: manifest, overrides: overrides) == nil)
    overrides.account = .unlimited
    #expect(configured.rate(.perAccount, for: manifest, overrides: overrides) == nil)
    // The site's own limit holds whatever the operator allows.
    #expect(
      configured.lane(for: manifest, perHour: 3, overrides: overrides).rate == .init(count: 3, per: .seconds(3600))
    )
    let off = try AccountLimits("probe=off")
    for scope in LimitScope.allCases { #expect(off.rate(scope, for: manifest) == nil) }
  }
}
