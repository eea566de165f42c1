import JobQueue
package import PluginManifest

import struct JobQueue.RateLimit

/// An operator's own limit.
package enum LimitOverride: Sendable, Equatable {
  case unlimited
  case count(Int, per: Duration)

  var rate: RateLimit? {
    switch self {
    case .unlimited: nil
    case .count(let count, let window): RateLimit(count: count, per: window)
    }
  }
}

/// What operators set at run time for one account: for it alone, and for its platform.
package struct LimitOverrides: Sendable, Equatable {
  package var account: LimitOverride?
  package var platform: [LimitScope: LimitOverride]

  package init(account: LimitOverride? = nil, platform: [LimitScope: LimitOverride] = [:]) {
    self.account = account
    self.platform = platform
  }
}
