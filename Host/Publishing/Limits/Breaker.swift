package import FoundationEssentials

/// When a breaker opens and for how long.
package struct BreakerSettings: Sendable {
  /// Failures in a row of one account.
  package var connectionFailures = 5
  /// Failures of a platform within the window, of at least so many accounts, and at least half of its requests.
  package var platformFailures = 20
  package var platformConnections = 3
  package var window: TimeInterval = 60
  /// The first pause; each failed probe doubles it up to the longest.
  package var firstPause: TimeInterval = 30
  package var longestPause: TimeInterval = 900
  /// How long one probe may take before the next one goes out.
  package var probeTime: TimeInterval = 60
  /// A breaker that has not closed for this long is an event.
  package var longAfter: TimeInterval = 900

  package init() {}
}

/// A breaker that is not closed: nothing goes out until its pause is over, then one request decides.
///
/// A pure value; its row in the database is what all hosts see.
package struct Breaker: Sendable, Equatable {
  package enum Phase: String, Sendable {
    case open
    /// The pause is over: one probe goes out at a time.
    case halfOpen
  }

  /// How often it opened since it was last closed.
  package private(set) var trips: Int
  package let openedAt: Date
  package private(set) var openUntil: Date

  package init(openedAt now: Date, _ settings: BreakerSettings) {
    trips = 1
    openedAt = now
    openUntil = now.addingTimeInterval(settings.firstPause)
  }

  package init(trips: Int, openedAt: Date, openUntil: Date) {
    self.trips = trips
    self.openedAt = openedAt
    self.openUntil = openUntil
  }

  package func phase(at now: Date) -> Phase { now < openUntil ? .open : .halfOpen }

  /// A request failed. Returns whether the breaker opened again; a request that left before it opened changes nothing.
  package mutating func failed(at now: Date, _ settings: BreakerSettings) -> Bool {
    guard phase(at: now) == .halfOpen else { return false }
    trips += 1
    let doubled = settings.firstPause * Double(1 << min(trips - 1, 16))
    openUntil = now.addingTimeInterval(min(doubled, settings.longestPause))
    return true
  }

  /// A request was answered. Returns whether that closes the breaker.
  package func closes(at now: Date) -> Bool { phase(at: now) == .halfOpen }
}

/// What a request says about the server that it went to.
package enum ServerSign: Sendable, Equatable {
  /// It answered, with whatever.
  case alive
  /// It could not be reached, gave no answer, or answered with a status of 500 or more.
  case failing(String)
}

/// Counts the failures of accounts and platforms on this host, and says when a breaker is to open.
///
/// A pure value. A refusal of one post is an answer like any other: it never counts.
package struct FailureTally: Sendable {
  private struct Slice: Sendable {
    var start: TimeInterval
    var answered = 0
    var failed = 0
    var connections: Set<Int64> = []
  }

  private static let slices = 6
  /// More accounts need not be told apart.
  private static let knownConnections = 64

  private let settings: BreakerSettings
  /// Failures in a row; accounts without any are absent.
  private var rows: [Int64: Int] = [:]
  private var platforms: [String: [Slice]] = [:]

  package init(_ settings: BreakerSettings) {
    self.settings = settings
  }

  /// Counts an answer.
  package mutating func answered(_ connection: Int64, platform: String?, at now: Date) {
    rows[connection] = nil
    if let platform { update(platform, at: now) { $0.answered += 1 } }
  }

  /// Counts a failure; returns which breakers are to open.
  ///
  /// - Parameter platform: nil for an account whose server is its own, so that it says nothing about others.
  package mutating func failed(
    _ connection: Int64,
    platform: String?,
    at now: Date
  ) -> (connection: Bool, platform: Bool) {
    let count = (rows[connection] ?? 0) + 1
    let opens = count >= settings.connectionFailures
    rows[connection] = opens ? nil : count
    guard let platform else { return (opens, false) }
    update(platform, at: now) { slice in
      slice.failed += 1
      if slice.connections.count < Self.knownConnections { slice.connections.insert(connection) }
    }
    let recent = platforms[platform] ?? []
    let failed = recent.reduce(0) { $0 + $1.failed }
    let answered = recent.reduce(0) { $0 + $1.answered }
    let connections = recent.reduce(into: Set<Int64>()) { $0.formUnion($1.connections) }
    let opensAll =
      failed >= settings.platformFailures && failed >= answered && connections.count >= settings.platformConnections
    if opensAll { platforms[platform] = nil }
    return (opens, opensAll)
  }

  private mutating func update(_ platform: String, at now: Date, _ change: (inout Slice) -> Void) {
    let length = settings.window / Double(Self.slices)
    let start = (now.timeIntervalSince1970 / length).rounded(.down) * length
    var slices = platforms[platform] ?? []
    if slices.last?.start != start {
      slices.removeAll { $0.start <= start - settings.window || $0.start > start }
      slices.append(Slice(start: start))
    }
    change(&slices[slices.count - 1])
    platforms[platform] = slices
  }
}
