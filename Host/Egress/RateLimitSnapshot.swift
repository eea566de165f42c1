package import FoundationEssentials
package import PluginManifest

/// What the platform said about its own limits in one answer.
package struct RateLimitSnapshot: Sendable, Equatable {
  /// One limit of those that the answer reports.
  package struct Reading: Sendable, Equatable {
    package let scope: LimitScope
    package let limit: Int64?
    package let remaining: Int64?
    /// By this host's clock, whatever the platform's clock says.
    package let resetAt: Date?

    package init(scope: LimitScope = .perAccount, limit: Int64?, remaining: Int64?, resetAt: Date?) {
      self.scope = scope
      self.limit = limit
      self.remaining = remaining
      self.resetAt = resetAt
    }
  }

  /// In the order of the manifest.
  package let readings: [Reading]
  /// From `Retry-After` or the body, counted from the last byte of the answer; 0 s to 31 days.
  package let retryAfter: Duration?

  package init(_ readings: [Reading], retryAfter: Duration? = nil) {
    self.readings = readings
    self.retryAfter = retryAfter
  }
}
