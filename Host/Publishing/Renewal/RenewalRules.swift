import FoundationEssentials
import OAuth
import PluginManifest

/// Decides about renewals: whether to ask the platform, and what its answer means for the connection.
///
/// The danger is a request whose answer is lost. Where a platform spends a refresh token with its first use, asking again
/// may end the account's access for good, so the present token is used up first, and then there is one more try.
struct RenewalRules: Sendable {
  let rotation: OAuthRefresh.Rotation
  let grace: Duration
  let minimumAge: Duration
  let needsRefreshToken: Bool

  /// A token counts as ended so long before its end, so that no request arrives too late.
  static let margin: Duration = .seconds(10)
  /// A token that is younger and is refused would not be better if it were renewed.
  static let youth: Duration = .seconds(300)
  /// How long the platform is left alone when it refuses the application.
  static let applicationPause: Duration = .seconds(300)
  /// Requests without a known outcome, of which no answer was seen at all, before nothing is sent any more.
  static let maximumLost = 2
  static let lost = "The answer to a renewal was lost, and the platform takes the former token no more"

  init(_ refresh: OAuthRefresh) {
    rotation = refresh.rotation
    grace = refresh.grace
    minimumAge = refresh.minimumAge
    needsRefreshToken = refresh.needsRefreshToken
  }

  // MARK: Before the lease

  /// What to do about a token.
  enum Move: Sendable, Equatable {
    /// There is a newer one, or the present one is good for what it is needed for.
    case current
    /// Somebody else is asking the platform.
    case wait
    /// Not before this instant.
    case later(Date)
    /// The answer to an earlier request was lost: the present token is used as long as it lives, which is till then if
    /// that is known.
    case keep(Date?)
    /// Only connecting again helps.
    case dead(String)
    /// The platform would refuse a newer one too.
    case pointless
    /// Nothing can be sent any more without doing harm: take the lease and say so.
    case giveUp
    /// Take the lease and send.
    case take
  }

  /// - Parameter seen: the generation of the credentials that somebody wants newer ones for.
  func move(_ facts: RenewalFacts, seen: Int64, cause: RenewalCause) -> Move {
    if facts.generation != seen { return .current }
    if facts.state == .dead { return .dead(facts.error ?? Self.lost) }
    if facts.leasedUntil != nil { return .wait }
    switch cause {
    case .due where !isDue(facts): return .current
    case .needed where !hasEnded(facts): return .current
    case .refused:
      if let issuedAt = facts.issuedAt, facts.now < issuedAt.addingTimeInterval(Self.youth.seconds) {
        return .pointless
      }
    case .due, .needed, .asked: break
    }
    if let issuedAt = facts.issuedAt, !hasEnded(facts) {
      let oldEnough = issuedAt.addingTimeInterval(minimumAge.seconds)
      if facts.now < oldEnough { return .later(oldEnough) }
    }
    if cause != .asked, let retryAt = facts.retryAt, facts.now < retryAt { return .later(retryAt) }
    guard isHarmful(facts) else { return .take }
    if !hasEnded(facts), cause != .refused { return .keep(facts.expiresAt) }
    return facts.state == .sent && facts.unknown >= Self.maximumLost ? .giveUp : .take
  }

  /// Whether to pause before the request: the process that sent the one before may be about to store what it got.
  func pauses(_ facts: RenewalFacts) -> Bool { facts.state != nil && rotation != .none }

  private func isDue(_ facts: RenewalFacts) -> Bool {
    facts.mustRenew || facts.renewAt.map { $0 <= facts.now } ?? false
  }

  private func hasEnded(_ facts: RenewalFacts) -> Bool {
    facts.expiresAt.map { $0.addingTimeInterval(-Self.margin.seconds) <= facts.now } ?? false
  }

  /// Whether an earlier request may have spent what the next one would send.
  private func isHarmful(_ facts: RenewalFacts) -> Bool {
    guard facts.state != nil else { return false }
    switch rotation {
    case .none: return false
    case .strict: return true
    case .grace:
      guard let sentAt = facts.sentAt else { return true }
      return facts.now >= sentAt.addingTimeInterval(grace.seconds)
    }
  }

  // MARK: After the answer

  /// What an answer means.
  enum Verdict: Sendable {
    case store(TokenGrant)
    /// Come again after the time.
    case later(Duration, fault: RenewalFault, error: String, state: RenewalFacts.State?, unknown: Int)
    case dead(String)
  }

  /// - Parameters:
  ///   - facts: as they were before the request.
  ///   - spread: from 0 up to 1, by chance.
  func verdict(_ outcome: TokenOutcome, _ facts: RenewalFacts, spread: Double) -> Verdict {
    let pause = RenewalTime.retry(after: facts.failures + 1, spread: spread)
    func passing(_ wait: Duration, _ error: String, fault: RenewalFault = .passing) -> Verdict {
      // An answer that changes nothing tells nothing about an earlier request without one.
      .later(wait, fault: fault, error: error, state: facts.state == nil ? nil : .unknown, unknown: facts.unknown)
    }
    switch outcome {
    case .granted(let grant) where needsRefreshToken && grant.refreshToken == nil:
      return ambiguous("The answer has no new refresh token", facts, pause, spread)
    case .granted(let grant): return .store(grant)
    case .ambiguous(let detail): return ambiguous(detail, facts, pause, spread)
    case .notSent(let detail): return passing(pause, detail)
    case .refused(let refusal):
      let words = "The platform answered \(refusal.status)" + (refusal.code.map { " (\($0))" } ?? "")
      switch refusal.kind {
      case .dead: return .dead(facts.state == nil ? words : Self.lost)
      case .application: return passing(max(pause, Self.applicationPause), words, fault: .application)
      case .later(let wait): return passing(max(wait ?? .zero, pause), words)
      case .other: return passing(pause, words)
      }
    }
  }

  private func ambiguous(_ detail: String, _ facts: RenewalFacts, _ pause: Duration, _ spread: Double) -> Verdict {
    guard rotation != .none else {
      return .later(pause, fault: .passing, error: detail, state: nil, unknown: 0)
    }
    // The one more try comes soon; a platform that is down is asked ever less often, as by every other failure.
    let wait = facts.state == nil ? .milliseconds(Int64(2_000 + 3_000 * min(max(spread, 0), 1))) : pause
    return .later(wait, fault: .passing, error: detail, state: .unknown, unknown: 1)
  }
}
