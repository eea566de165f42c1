package import JobQueue
package import PluginManifest

package import struct JobQueue.RateLimit

/// What accounts are allowed: the manifest's limits, or the operator's.
package struct AccountLimits: Sendable {
  private let overrides: [String: LimitOverride]

  /// - Parameter overrides: by plugin id.
  package init(overrides: [String: LimitOverride] = [:]) {
    self.overrides = overrides
  }

  /// Reads `x=50/900,other=off`: so many posts in so many seconds, or no limit, by plugin id.
  ///
  /// - Throws: ``LimitsError`` naming the entry.
  package init(_ text: String) throws {
    var overrides: [String: LimitOverride] = [:]
    for entry in text.split(separator: ",") {
      let parts = entry.split(separator: "=", maxSplits: 1).map { String($0).filter { $0 != " " } }
      guard parts.count == 2 else { throw LimitsError(entry: String(entry)) }
      guard !parts[0].isEmpty, let value = Self.value(parts[1]) else { throw LimitsError(entry: String(entry)) }
      overrides[parts[0]] = value
    }
    self.init(overrides: overrides)
  }

  /// Reads one limit, `50/900` or `off`.
  ///
  /// - Throws: ``LimitsError``
  package static func override(_ text: String) throws -> LimitOverride {
    guard let value = value(text) else { throw LimitsError(entry: text) }
    return value
  }

  private static func value(_ text: String) -> LimitOverride? {
    if text == "off" { return .unlimited }
    let numbers = text.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
    guard numbers.count == 2, let count = numbers[0], let seconds = numbers[1], count > 0, seconds > 0,
      count <= 1_000_000, seconds <= 2_678_400
    else { return nil }
    return .count(count, per: .seconds(seconds))
  }

  /// One post at a time for an account, as many as the strictest window allows.
  ///
  /// - Parameter perHour: a limit that the site itself set; the stricter one counts.
  package func lane(
    for manifest: PluginManifest,
    perHour: Int? = nil,
    overrides: LimitOverrides = LimitOverrides()
  ) -> LaneLimits {
    let own = perHour.map { RateLimit(count: $0, per: .seconds(3600)) }
    let rates = [own, rate(.perAccount, for: manifest, overrides: overrides)].compactMap(\.self)
    return LaneLimits(rate: rates.max { $0.interval < $1.interval })
  }

  /// The limit of one scope: what an operator set for the account, for the platform, in the configuration, or what the
  /// plugin's author found cautious; nil where nobody set one.
  package func rate(
    _ scope: LimitScope,
    for manifest: PluginManifest,
    overrides: LimitOverrides = LimitOverrides()
  ) -> RateLimit? {
    if scope == .perAccount, let own = overrides.account { return own.rate }
    if let own = overrides.platform[scope] { return own.rate }
    switch self.overrides[manifest.id] {
    case .unlimited: return nil
    case .count(let count, let window) where scope == .perAccount: return RateLimit(count: count, per: window)
    case .count, nil:
      return manifest.rateLimits.flatMap(\.windows).filter { $0.scope == scope }
        .map { RateLimit(count: $0.count, per: $0.length) }
        .max { $0.interval < $1.interval }
    }
  }
}

package struct LimitsError: Error, CustomStringConvertible {
  package let entry: String

  package var description: String {
    "“\(entry)” is no limit; an example is “x=50/900” (50 posts in 900 seconds) or “x=off”"
  }
}
