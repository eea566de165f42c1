/// Who shares a limit.
package enum LimitScope: String, Sendable, CaseIterable {
  case perAccount
  /// All accounts of a site on this platform.
  case perSite
  /// All accounts of the host on this platform: they use one registered application.
  case perApp
}

/// Requests that a platform allows in a time, or the cautious share of it that the adapter's author chose.
package struct RateLimit: Sendable, Equatable {
  package struct Window: Sendable, Equatable {
    package let scope: LimitScope
    /// Requests allowed in one window.
    package let count: Int
    package let length: Duration

    package init(scope: LimitScope, count: Int, length: Duration) {
      self.scope = scope
      self.count = count
      self.length = length
    }
  }

  /// Names of the rules that count together.
  package let rules: [String]
  package let windows: [Window]
  package let note: String?
}

/// Response headers in which the platform reports one of its own limits; all names in lower case.
package struct RateLimitHeaders: Sendable, Equatable {
  package enum ResetUnit: String, Sendable, CaseIterable {
    /// Seconds since 1970.
    case unixSeconds
    /// Milliseconds since 1970.
    case unixMilliseconds
    /// Seconds from now.
    case seconds
    /// RFC 3339 date and time.
    case timestamp
  }

  package let scope: LimitScope
  package let limit: String?
  package let remaining: String
  package let reset: String?
  package let resetUnit: ResetUnit
}

/// A member of a refusal's body that says how long to wait.
package struct RetryAfterPointer: Sendable, Equatable {
  package enum Unit: String, Sendable, CaseIterable {
    case milliseconds
    case seconds
    case minutes
  }

  /// A JSON pointer.
  package let pointer: String
  package let unit: Unit
}
