import Synchronization

/// Token buckets for requests, by API token and by address, in the memory of this host.
///
/// It protects the host from a runaway client. Limits of platforms are elsewhere and exact.
package final class RateLimiter: Sendable {
  /// How much a key may do.
  package struct Limit: Sendable {
    /// How many requests a full bucket holds.
    package var burst: Double
    /// How many requests come back each second.
    package var perSecond: Double

    package init(burst: Double, perSecond: Double) {
      self.burst = burst
      self.perSecond = perSecond
    }
  }

  /// What a request was answered.
  package struct Decision: Sendable, Equatable {
    package var isAllowed: Bool
    package var remaining: Int
    /// Seconds until one request is allowed again; 0 when one is.
    package var retryAfter: Double
  }

  private struct Bucket {
    var tokens: Double
    var updatedAt: ContinuousClock.Instant
  }

  private static let capacity = 100_000
  private let buckets = Mutex<[String: Bucket]>([:])

  package init() {}

  /// Takes one request from the bucket of `key`.
  package func take(_ key: String, limit: Limit, now: ContinuousClock.Instant = .now) -> Decision {
    buckets.withLock { buckets in
      if buckets.count >= Self.capacity {
        // Full buckets say nothing, so they can be forgotten.
        buckets = buckets.filter { refilled($0.value, limit: limit, now: now).tokens < limit.burst }
        // A flood from very many addresses must cost neither memory nor time.
        if buckets.count >= Self.capacity { buckets.removeAll(keepingCapacity: true) }
      }
      var bucket =
        buckets[key].map { refilled($0, limit: limit, now: now) } ?? Bucket(tokens: limit.burst, updatedAt: now)
      let isAllowed = bucket.tokens >= 1
      if isAllowed { bucket.tokens -= 1 }
      buckets[key] = bucket
      let wait = isAllowed || limit.perSecond <= 0 ? 0 : (1 - bucket.tokens) / limit.perSecond
      return Decision(isAllowed: isAllowed, remaining: Int(bucket.tokens), retryAfter: wait)
    }
  }

  private func refilled(_ bucket: Bucket, limit: Limit, now: ContinuousClock.Instant) -> Bucket {
    let elapsed = bucket.updatedAt.duration(to: now)
    let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
    return Bucket(tokens: min(limit.burst, bucket.tokens + max(0, seconds) * limit.perSecond), updatedAt: now)
  }
}
