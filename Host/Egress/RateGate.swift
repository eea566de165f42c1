import Synchronization

/// A number that goes down to zero and no further.
final class Counter: Sendable {
  private let value: Mutex<Int>

  init(_ value: Int) {
    self.value = Mutex(value)
  }

  func take() -> Bool {
    value.withLock { value in
      guard value > 0 else { return false }
      value -= 1
      return true
    }
  }

  func giveBack() {
    value.withLock { $0 += 1 }
  }
}

/// Lets through a burst, then a steady rate. A value under a clock of the caller's.
struct TokenBucket: Sendable, Equatable {
  struct Rate: Sendable, Equatable {
    let burst: Double
    let perSecond: Double
  }

  private(set) var tokens: Double
  private(set) var filledAt: ContinuousClock.Instant

  init(_ rate: Rate, at now: ContinuousClock.Instant) {
    tokens = rate.burst
    filledAt = now
  }

  /// Takes one token; otherwise says how long it takes until there is one.
  mutating func take(_ rate: Rate, at now: ContinuousClock.Instant) -> Duration? {
    fill(rate, at: now)
    guard tokens >= 1 else { return .seconds((1 - tokens) / rate.perSecond) }
    tokens -= 1
    return nil
  }

  mutating func fill(_ rate: Rate, at now: ContinuousClock.Instant) {
    let (seconds, attoseconds) = filledAt.duration(to: now).components
    let elapsed = Double(seconds) + Double(attoseconds) / 1e18
    guard elapsed > 0 else { return }
    tokens = min(rate.burst, tokens + elapsed * rate.perSecond)
    filledAt = now
  }
}

/// Bounds how fast a plugin, and an account of it, may ask, so that a loop in one cannot starve the others.
///
/// Far above what publishing needs; the platforms' own limits are kept by the lanes.
final class RateGate: Sendable {
  static let perPlugin = TokenBucket.Rate(burst: 4_096, perSecond: 2_048)
  static let perAccount = TokenBucket.Rate(burst: 512, perSecond: 128)
  private static let capacity = 20_000

  private struct State {
    var plugins: [String: TokenBucket] = [:]
    var accounts: [Int64: TokenBucket] = [:]
  }

  private let state = Mutex(State())

  /// Takes one request; otherwise says how long to wait.
  func take(_ scope: EgressScope, at now: ContinuousClock.Instant = .now) -> Duration? {
    state.withLock { state in
      if state.accounts.count >= Self.capacity { Self.drop(&state.accounts, at: now) }
      if let wait = state.accounts[scope.connection, default: TokenBucket(Self.perAccount, at: now)]
        .take(Self.perAccount, at: now)
      {
        return wait
      }
      return state.plugins[scope.pluginID, default: TokenBucket(Self.perPlugin, at: now)].take(Self.perPlugin, at: now)
    }
  }

  /// Forgets buckets that are full, which is what a new one would be.
  private static func drop(_ accounts: inout [Int64: TokenBucket], at now: ContinuousClock.Instant) {
    accounts = accounts.filter { _, bucket in
      var bucket = bucket
      bucket.fill(perAccount, at: now)
      return bucket.tokens < perAccount.burst
    }
  }
}
