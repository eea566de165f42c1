import Egress
package import FoundationEssentials
package import PluginProtocol

/// How a plugin call of a delivery ended, in the host's own words.
package enum CallEnd: Sendable, Equatable {
  case published(remoteID: String, url: String?, segments: [PublishedSegment] = [], warnings: [String])
  case partial(remoteID: String, url: String?, segments: [PublishedSegment] = [], problem: DeliveryProblem)
  /// The platform is still at work: come back later.
  case wait(TimeInterval, why: String)
  case failed(DeliveryProblem)
  /// The plugin died, or broke the protocol, or ran out of time.
  case pluginLost(DeliveryProblem)

  /// What went wrong, if anything did.
  package var problem: DeliveryProblem? {
    switch self {
    case .failed(let problem), .pluginLost(let problem), .partial(_, _, _, let problem): problem
    case .published, .wait: nil
    }
  }
}

/// Why a delivery stopped, and what may be done about it.
package struct DeliveryProblem: Sendable, Equatable {
  package enum Retry: String, Sendable {
    /// Nothing changes by itself: a person looks.
    case never
    /// A person changes the post.
    case userFix
    /// A person reconnects the account.
    case reauth
    /// Try again with back-off; counts.
    case retry
    /// Try again when the platform says so; does not count.
    case after
    /// Ask the platform first.
    case reconcile
    /// Another plugin version is needed.
    case upgrade
  }

  package var kind: String
  package var retry: Retry
  package var message: String
  package var userMessage: String?
  package var field: String?
  package var retryAfter: TimeInterval?
  package var upstreamStatus: Int?

  /// Whether the platform refused the account's token, so that a newer one may do.
  var asksForNewToken: Bool { kind == EgressError.Kind.authExpired.rawValue && retry == .reauth }

  package init(
    kind: String,
    retry: Retry,
    message: String,
    userMessage: String? = nil,
    field: String? = nil,
    retryAfter: TimeInterval? = nil,
    upstreamStatus: Int? = nil
  ) {
    self.kind = kind
    self.retry = retry
    self.message = message
    self.userMessage = userMessage
    self.field = field
    self.retryAfter = retryAfter
    self.upstreamStatus = upstreamStatus
  }
}

/// What happens to the job and the delivery next.
package enum NextStep: Sendable, Equatable {
  case end(DeliveryEnd)
  /// Again later; `counted` says whether it uses up one of the attempts.
  case again(after: TimeInterval?, counted: Bool, problem: DeliveryProblem)
  /// The whole account waits; the attempt is not counted.
  case holdAccount(TimeInterval, problem: DeliveryProblem)
  /// The platform works on it; no attempt, no lane is held.
  case snooze(TimeInterval)
  /// Ask the platform what happened.
  case reconcile
}

/// A stored end of a delivery.
package struct DeliveryEnd: Sendable, Equatable {
  package var state: DeliveryState
  package var remoteID: String?
  package var url: String?
  /// Of a thread: the posts that are out, the first one included.
  package var segments: [PublishedSegment]
  package var warnings: [String]
  package var problem: DeliveryProblem?
  package var reauthorize: Bool
  /// Whether a look-up found the post, so that the open commits of the delivery count as accepted.
  package var confirmsOpen: Bool

  package init(
    _ state: DeliveryState,
    remoteID: String? = nil,
    url: String? = nil,
    segments: [PublishedSegment] = [],
    warnings: [String] = [],
    problem: DeliveryProblem? = nil,
    reauthorize: Bool = false,
    confirmsOpen: Bool = false
  ) {
    self.state = state
    self.remoteID = remoteID
    self.url = url
    self.segments = segments
    self.warnings = warnings
    self.problem = problem
    self.reauthorize = reauthorize
    self.confirmsOpen = confirmsOpen
  }
}

/// The rules for the end of a delivery: what the plugin says, weighed against the journal.
///
/// The journal wins: a delivery with an accepted commit never fails, and a success without one is not believed.
package struct EndPolicy: Sendable {
  /// How long outages and full buckets are waited out before the delivery fails.
  package var patience: TimeInterval = 24 * 3600
  package var maximumAttempts: Int
  /// How many posts are to go out: 1, or the posts of a thread. Each of them is one accepted commit.
  package var parts: Int

  package init(maximumAttempts: Int, parts: Int = 1) {
    self.maximumAttempts = maximumAttempts
    self.parts = parts
  }

  /// Decides the next step after a publish call.
  ///
  /// - Parameters:
  ///   - end: how the call ended.
  ///   - journal: the journal as it stands, with no request of this delivery on its way.
  ///   - attempt: the number of this attempt, from 1.
  ///   - age: how long the delivery has been due.
  package func next(after end: CallEnd, journal: JournalState, attempt: Int, age: TimeInterval) -> NextStep {
    if !journal.openCommits.isEmpty { return .reconcile }
    switch end {
    case .published(let remoteID, let url, let segments, let warnings):
      guard journal.hasAcceptedCommit else {
        return unbelieved("The plugin says it published, but no request that publishes was accepted", attempt: attempt)
      }
      return .end(DeliveryEnd(.sent, remoteID: remoteID, url: url, segments: segments, warnings: warnings))
    case .partial(let remoteID, let url, let segments, let problem):
      guard journal.hasAcceptedCommit else {
        return unbelieved("The plugin says it published in part, but nothing was accepted", attempt: attempt)
      }
      // Half a thread is worse than a whole one: what can go on by itself goes on where it stopped.
      return again(problem, attempt: attempt, age: age)
        ?? .end(
          DeliveryEnd(
            .partial,
            remoteID: remoteID,
            url: url,
            segments: segments,
            problem: problem,
            reauthorize: problem.retry == .reauth
          )
        )
    case .wait(let delay, let why):
      guard age < patience else {
        let problem = DeliveryProblem(kind: "platformDown", retry: .never, message: "Waited for a day: \(why)")
        return failed(problem, journal: journal, attempt: attempt, age: age)
      }
      return .snooze(delay)
    case .failed(let problem):
      return failed(problem, journal: journal, attempt: attempt, age: age)
    case .pluginLost(let problem):
      // A plugin that died can still tell where the post is, so it gets its attempts even when the post is out.
      if journal.hasAcceptedCommit, let again = again(problem, attempt: attempt, age: age) { return again }
      return failed(problem, journal: journal, attempt: attempt, age: age)
    }
  }

  private func failed(_ problem: DeliveryProblem, journal: JournalState, attempt: Int, age: TimeInterval) -> NextStep {
    let published = journal.published
    if let first = published.first, published.count < parts {
      return again(problem, attempt: attempt, age: age)
        ?? .end(
          DeliveryEnd(.partial, remoteID: first.remoteID, problem: problem, reauthorize: problem.retry == .reauth)
        )
    }
    if let commit = parts == 1 ? journal.acceptedCommits.last : published.first {
      // It is out. What went wrong afterwards is a warning, never a second post.
      let warning = "Published, but afterwards: \(problem.message)"
      return .end(DeliveryEnd(.sent, remoteID: commit.remoteID, url: commit.remoteURL, warnings: [warning]))
    }
    return again(problem, attempt: attempt, age: age)
      ?? .end(DeliveryEnd(.failed, problem: problem, reauthorize: problem.retry == .reauth))
  }

  /// When the problem is worth another try; nil when it is not, or not any more.
  private func again(_ problem: DeliveryProblem, attempt: Int, age: TimeInterval) -> NextStep? {
    switch problem.retry {
    case .never, .userFix, .upgrade, .reauth:
      return nil
    case .after:
      guard age < patience else { return nil }
      // At least a second, whatever was asked for: what does not count must not spin.
      let delay = max(problem.retryAfter ?? growing(with: age), 1)
      return problem.kind == "rateLimited"
        ? .holdAccount(delay, problem: problem) : .again(after: delay, counted: false, problem: problem)
    case .retry where problem.kind == "upstreamUnreachable":
      guard age < patience else { return nil }
      return .again(after: growing(with: age), counted: false, problem: problem)
    case .retry where problem.kind == "cancelled":
      // The host stopped the request itself, such as after a stall in which its lease could have ended. Nothing was
      // sent, so it costs no attempt and need not wait for anybody.
      guard age < patience else { return nil }
      return .again(after: min(max(age / 4, 1), 900), counted: false, problem: problem)
    case .retry, .reconcile:
      // Nothing of this delivery is open at the platform, so "reconcile" means no more than "again".
      guard attempt < maximumAttempts else { return nil }
      return .again(after: problem.retryAfter, counted: true, problem: problem)
    }
  }

  private func unbelieved(_ message: String, attempt: Int) -> NextStep {
    let problem = DeliveryProblem(kind: "protocolViolation", retry: .retry, message: message)
    guard attempt < maximumAttempts else { return .end(DeliveryEnd(.failed, problem: problem)) }
    return .again(after: nil, counted: true, problem: problem)
  }

  /// The longer an outage lasts, the less often it is asked about: a quarter of its age, 15 s to 15 min.
  private func growing(with age: TimeInterval) -> TimeInterval {
    min(max(age / 4, 15), 900)
  }
}
