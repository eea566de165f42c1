/// Decides which version of one plugin gets new calls; does nothing itself.
///
/// A new version is tested beside the old one, then used, then watched. Fails it while it is watched, the old one is
/// used again. Versions are named by their digests.
struct Rollout {
  typealias Instant = ContinuousClock.Instant

  /// How long a new version is watched.
  static let watch = Duration.seconds(600)
  /// With so many crashes while it is watched a version is taken back.
  static let crashLimit = 2

  enum Action: Equatable {
    /// Start the version and see whether it works; then call `tested`.
    case test(String)
    /// New calls go to this version from now on.
    case use(String)
    /// The version ends what it has and gets only what began on it.
    case retire(String)
    /// The version is not started any more.
    case condemn(String, reason: String)
    case reportUpgrade(from: String, to: String)
    case reportRefusal(String, reason: String)
    case reportRollback(from: String, to: String, reason: String)
  }

  private(set) var current: String?
  /// The version that is being tested.
  private(set) var candidate: String?
  /// The version that is used again if the current one fails; nil when the current one is not watched.
  private(set) var previous: String?
  private var watchEnd: Instant?
  private var crashes = 0
  private var offered: String?
  private var refusals: [String: String] = [:]

  /// Why the version is not used: it failed its test, or was taken back.
  func refusal(of digest: String) -> String? { refusals[digest] }

  /// Until when the current version is watched.
  func watchedUntil(_ now: Instant) -> Instant? { watchEnd.flatMap { $0 > now ? $0 : nil } }

  /// The version before the offered one, and until when the offered one is watched.
  struct Predecessor: Equatable {
    let digest: String
    let watchEnd: Instant
  }

  /// Somebody wants this version used.
  ///
  /// - Parameter predecessor: Given when the version took over a while ago, before this host was started: it is used
  ///   without a test then, and watched for what is left.
  mutating func offer(_ digest: String, after predecessor: Predecessor? = nil) -> [Action] {
    // The same list again does not bring back what failed; another one in between does.
    if offered != digest { refusals[digest] = nil }
    offered = digest
    let dropped = candidate == digest ? nil : candidate
    var actions: [Action] = []
    if let dropped {
      candidate = nil
      actions.append(.retire(dropped))
    }
    if digest == current || digest == candidate || refusals[digest] != nil { return actions }
    guard current != nil else {
      current = digest
      if let predecessor, predecessor.digest != digest {
        previous = predecessor.digest
        watchEnd = predecessor.watchEnd
        crashes = 0
      }
      return actions + [.use(digest)]
    }
    candidate = digest
    return actions + [.test(digest)]
  }

  /// The test of a version has ended.
  mutating func tested(_ digest: String, problem: String?, now: Instant) -> [Action] {
    guard candidate == digest, let old = current else { return [] }
    candidate = nil
    if let problem {
      refusals[digest] = problem
      return [.reportRefusal(digest, reason: problem), .retire(digest)]
    }
    current = digest
    previous = old
    watchEnd = now + Self.watch
    crashes = 0
    return [.use(digest), .retire(old), .reportUpgrade(from: old, to: digest)]
  }

  /// A process of a version has ended.
  mutating func ended(_ digest: String, _ reason: PluginStopReason, now: Instant) -> [Action] {
    guard digest == current, let previous, let watchEnd, now < watchEnd else { return [] }
    switch reason.weight {
    case .none, .foreign: return []
    case .crash, .failedStart:
      crashes += 1
      guard crashes >= Self.crashLimit else { return [] }
    case .offence, .final: break
    }
    return rollBack(from: digest, to: previous, why: "\(reason)")
  }

  private mutating func rollBack(from digest: String, to old: String, why reason: String) -> [Action] {
    current = old
    previous = nil
    watchEnd = nil
    refusals[digest] = reason
    return [.use(old), .condemn(digest, reason: reason), .reportRollback(from: digest, to: old, reason: reason)]
  }

  /// Whether the version must stay, whatever is listed.
  func needs(_ digest: String, now: Instant) -> Bool {
    digest == current || digest == candidate || (digest == previous && watchedUntil(now) != nil)
  }
}
