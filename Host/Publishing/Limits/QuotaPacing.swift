package import Egress
package import FoundationEssentials
package import JobQueue
package import PluginManifest

/// Decides, from what a platform says about its limits, how long nothing goes out.
package enum QuotaPacing {
  package struct Pause: Sendable, Equatable {
    package var scope: LimitScope
    package var duration: Duration
    package var reason: BlockReason

    package init(_ scope: LimitScope, _ duration: Duration, _ reason: BlockReason) {
      self.scope = scope
      self.duration = duration
      self.reason = reason
    }
  }

  /// After that long the platform is asked again, whatever it said.
  private static let longest: Duration = .seconds(86_400)

  /// The pauses that one answer asks for.
  ///
  /// A used-up window is waited out. Of what is left when a fifth or less remains, each request gets its equal share of
  /// the window, so that the wall is never met.
  /// - Parameters:
  ///   - isRead: a read that is refused says nothing about posts.
  ///   - status: of the answer; only a refusal's Retry-After is a request to wait.
  package static func pauses(
    after snapshot: RateLimitSnapshot,
    isRead: Bool,
    status: Int,
    now: Date
  ) -> [Pause] {
    guard !isRead else { return [] }
    var pauses: [Pause] = []
    if let wait = snapshot.retryAfter, status == 429 || status == 503, wait > .zero {
      pauses.append(Pause(.perAccount, min(wait, longest), .rateLimited))
    }
    for reading in snapshot.readings {
      guard let remaining = reading.remaining, let reset = reading.resetAt else { continue }
      let left = min(reset.timeIntervalSince(now), 86_400)
      guard left > 0 else { continue }
      if remaining == 0 {
        pauses.append(Pause(reading.scope, .seconds(left), .rateLimited))
      } else if remaining <= (reading.limit ?? 25) / 5 {
        pauses.append(Pause(reading.scope, .seconds(left / Double(remaining + 1)), .pacing))
      }
    }
    return pauses
  }
}
