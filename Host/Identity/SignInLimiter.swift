internal import Glibc
internal import Synchronization

/// How often somebody may try to sign in, in the memory of this host.
///
/// A bucket for each account and for each network bounds how much guessing goes on; an account that is guessed from
/// one network waits longer after each failure. An account is asked by its address, whether it exists or not.
package final class SignInLimiter: Sendable {
  private struct Failures {
    var count: Int
    var until: ContinuousClock.Instant
  }

  /// Tries of one account from anywhere: 30, then one each 20 s.
  private static let account = RateLimiter.Limit(burst: 30, perSecond: 0.05)
  /// Tries from one network for any account: 30, then one each 5 s.
  private static let network = RateLimiter.Limit(burst: 30, perSecond: 0.2)
  /// Failures of an account from one network that cost nothing.
  private static let free = 3
  private static let longestDelay = 900
  private static let capacity = 100_000

  private let buckets = RateLimiter()
  private let failures = Mutex<[String: Failures]>([:])

  package init() {}

  /// Takes one try.
  ///
  /// - Throws: ``SignInError/tooMany(seconds:)`` when it has to wait.
  package func take(account: String, address: String, now: ContinuousClock.Instant = .now) throws(SignInError) {
    let network = Self.network(of: address)
    if let until = failures.withLock({ $0[Self.pair(account, network)]?.until }), until > now {
      throw .tooMany(seconds: Int((until - now).components.seconds) + 1)
    }
    try take("network:\(network)", Self.network, now)
    try take("account:\(account.lowercased())", Self.account, now)
  }

  /// Takes one try of something that has no account, such as a link.
  package func take(address: String, now: ContinuousClock.Instant = .now) throws(SignInError) {
    try take("network:\(Self.network(of: address))", Self.network, now)
  }

  /// Notes a failure: the fourth and each further one doubles the delay, from 1 s to 15 min.
  package func failed(account: String, address: String, now: ContinuousClock.Instant = .now) {
    let key = Self.pair(account, Self.network(of: address))
    failures.withLock { failures in
      if failures.count >= Self.capacity {
        failures = failures.filter { $0.value.until > now }
        if failures.count >= Self.capacity { failures.removeAll(keepingCapacity: true) }
      }
      let count = (failures[key]?.count ?? 0) + 1
      let delay = count <= Self.free ? 0 : min(Self.longestDelay, 1 << min(20, count - Self.free - 1))
      failures[key] = Failures(count: count, until: now + .seconds(delay))
    }
  }

  package func succeeded(account: String, address: String) {
    let key = Self.pair(account, Self.network(of: address))
    failures.withLock { _ = $0.removeValue(forKey: key) }
  }

  private func take(_ key: String, _ limit: RateLimiter.Limit, _ now: ContinuousClock.Instant) throws(SignInError) {
    let decision = buckets.take(key, limit: limit, now: now)
    guard !decision.isAllowed else { return }
    throw .tooMany(seconds: max(1, Int(decision.retryAfter.rounded(.up))))
  }

  private static func pair(_ account: String, _ network: String) -> String { "\(account.lowercased())\n\(network)" }

  /// The /24 of an IPv4 address, the /48 of an IPv6 one; other text stands for itself.
  static func network(of address: String) -> String {
    var four = in_addr()
    if unsafe inet_pton(AF_INET, address, &four) == 1 {
      return "\(UInt32(bigEndian: four.s_addr) >> 8)/24"
    }
    var six = in6_addr()
    guard unsafe inet_pton(AF_INET6, address, &six) == 1 else { return address }
    let bytes = unsafe withUnsafeBytes(of: &six) { unsafe Array($0) }
    // An IPv4 address in IPv6 form.
    if bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF {
      return "\(bytes[12..<15].reduce(UInt32(0)) { $0 << 8 | UInt32($1) })/24"
    }
    return "\(bytes[..<6].reduce(UInt64(0)) { $0 << 8 | UInt64($1) })/48"
  }
}
