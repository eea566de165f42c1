import Egress
import FoundationEssentials
import JobQueue
import PluginManifest
import Synchronization

/// Gathers what the answers of one attempt say beside their content: limits, the health of the server, how many turns of
/// the rate were used, and whether credentials were.
final class AttemptWatch: Sendable {
  private struct State {
    var pauses: [QuotaPacing.Pause] = []
    var signs: [ServerSign] = []
    var counted = 0
    /// Whether the turn that the claim paid for is used.
    var isClaimUsed = false
    var taken = 0
    var usedCredentials = false
  }

  private let counts: Set<String>
  private let reads: Set<String>
  private let state = Mutex(State())

  init(_ manifest: PluginManifest) {
    counts = Set(manifest.rateLimits.flatMap(\.rules))
    reads = Set(manifest.rules.values.filter { $0.effectClass == .read }.map(\.name))
  }

  func note(_ answer: HTTPAnswer, at now: Date) {
    guard !answer.isReplay else { return }
    let sign = Self.sign(of: answer)
    let found = answer.rateLimit.map {
      QuotaPacing.pauses(after: $0, isRead: reads.contains(answer.rule), status: answer.status ?? 0, now: now)
    }
    state.withLock { state in
      if let sign { state.signs.append(sign) }
      if counts.contains(answer.rule), sign != nil { state.counted += 1 }
      // What counts is the newest word on each scope, except that a wait that was asked for is never cut short.
      for pause in found ?? [] {
        state.pauses.removeAll { $0.scope == pause.scope && $0.reason == .pacing }
        state.pauses.append(pause)
      }
    }
  }

  /// What the requests showed about the server, in the order of their answers.
  var signs: [ServerSign] { state.withLock(\.signs) }

  /// Turns beyond the one that every claim pays for, and beyond those that were taken before a request.
  var extraTurns: Int { state.withLock { max(0, $0.counted - 1 - $0.taken) } }

  /// Whether a request that is about to be made needs a turn that nobody has paid for yet.
  func needsTurn(_ rule: String) -> Bool {
    guard counts.contains(rule) else { return false }
    return state.withLock { state in
      defer { state.isClaimUsed = true }
      return state.isClaimUsed
    }
  }

  /// Whether a secret of the account was given out for a request.
  var usedCredentials: Bool { state.withLock(\.usedCredentials) }

  func useCredentials() { state.withLock { $0.usedCredentials = true } }

  func tookTurn() { state.withLock { $0.taken += 1 } }

  /// The longest pause that one scope needs.
  func pause(_ scope: LimitScope) -> QuotaPacing.Pause? {
    state.withLock { state in
      state.pauses.filter { $0.scope == scope }.max { $0.duration < $1.duration }
    }
  }

  /// How long the platform asked to wait, in its own words.
  var wait: TimeInterval? {
    state.withLock { state in
      state.pauses.filter { $0.reason == .rateLimited }.map(\.duration.seconds).max()
    }
  }

  /// Nil for what says nothing about the server: refusals of the host itself.
  private static func sign(of answer: HTTPAnswer) -> ServerSign? {
    switch answer.reply {
    case .result:
      guard let status = answer.status, status >= 500 else { return .alive }
      return .failing("it answered \(status)")
    case .error(let error):
      switch error.kind {
      case .upstreamUnreachable, .upstreamTimeout, .outcomeUnknown: return .failing(error.message)
      default: return nil
      }
    }
  }
}
