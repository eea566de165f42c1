package import Postgres

/// Does the work of one kind of job.
package protocol JobHandler: Sendable {
  /// Works on the job in a task of its own and says how it ended.
  ///
  /// It may run more than once for a job: after a crash, and at the same time on another node when this one lost its
  /// lease. Effects that must not happen twice go behind the guards of ``LeaseGuard``. A cancelled task means that the
  /// time for a graceful stop is over.
  func run(_ job: ClaimedJob) async -> JobOutcome
}

/// A handler made of a closure.
package struct ClosureHandler: JobHandler {
  private let body: @Sendable (ClaimedJob) async -> JobOutcome

  package init(_ body: @escaping @Sendable (ClaimedJob) async -> JobOutcome) {
    self.body = body
  }

  package func run(_ job: ClaimedJob) async -> JobOutcome {
    await body(job)
  }
}

/// How a claimed job ended.
package struct JobOutcome: Sendable {
  enum Way: Sendable, Equatable {
    case finished
    case failed
    case retry(Duration?)
    case snoozed(Duration)
    case unknown(Duration)
    case released
    case refused
  }

  let way: Way
  /// The reason, kept in the history and with a dead letter; must be safe to show.
  let error: String?
  /// How long the lane stays still, and why.
  var laneBlock: Duration?
  var blockReason: BlockReason?
  /// Turns of the rate that the job used beyond the one that its claim paid for.
  var extraTurns = 0
  /// The handler's own rows, written in the same transaction.
  let completion: (any BatchOperation)?

  private init(_ way: Way, error: String? = nil, completion: (any BatchOperation)? = nil) {
    self.way = way
    self.error = error
    self.completion = completion
  }

  /// The job is done and leaves the queue.
  ///
  /// - Parameter completion: The handler's own statement. It runs before the queue's in one transaction and must write
  ///   only for jobs that ``LeaseGuard/held(_:)`` returns; its rank must be lower than ``QueueRank/settle``.
  package static func finished(with completion: (any BatchOperation)? = nil) -> JobOutcome {
    JobOutcome(.finished, completion: completion)
  }

  /// The job will never succeed and becomes a dead letter.
  package static func failed(_ error: String, with completion: (any BatchOperation)? = nil) -> JobOutcome {
    JobOutcome(.failed, error: error, completion: completion)
  }

  /// The attempt counts; the job comes again, or becomes a dead letter when this was the last attempt.
  ///
  /// - Parameter after: The time to wait, such as a server's Retry-After; nil lets the queue's policy choose.
  package static func retry(
    after delay: Duration? = nil,
    error: String,
    with completion: (any BatchOperation)? = nil
  ) -> JobOutcome {
    JobOutcome(.retry(delay), error: error, completion: completion)
  }

  /// The attempt does not count; the job comes again after the time and holds no lane until then.
  package static func snoozed(for delay: Duration, with completion: (any BatchOperation)? = nil) -> JobOutcome {
    JobOutcome(.snoozed(delay), completion: completion)
  }

  /// Nobody knows whether the effect happened: the job keeps its lane and comes again as a check after the time.
  package static func unknown(
    checkAfter delay: Duration,
    error: String? = nil,
    with completion: (any BatchOperation)? = nil
  ) -> JobOutcome {
    JobOutcome(.unknown(delay), error: error, completion: completion)
  }

  /// Nothing was done; the job goes back to the head of its lane. Only a job that started no commit goes back.
  package static var released: JobOutcome { JobOutcome(.released) }

  /// A guard refused to start: the job was paused, cancelled or lost. The queue looks where it belongs.
  package static var refused: JobOutcome { JobOutcome(.refused) }

  /// The same outcome, and no job of the lane starts before the time is over.
  package func blockingLane(for duration: Duration, _ reason: BlockReason) -> JobOutcome {
    var copy = self
    guard duration > copy.laneBlock ?? .zero else { return copy }
    copy.laneBlock = duration
    copy.blockReason = reason
    return copy
  }

  /// The same outcome, and the job pays for that many turns of the rate beyond its own.
  package func charging(extraTurns: Int) -> JobOutcome {
    var copy = self
    copy.extraTurns = max(0, extraTurns)
    return copy
  }
}

/// Why a lane or a pool stands still; stored and shown.
package enum BlockReason: String, Sendable, CaseIterable {
  /// The platform asked to wait, or its window is used up.
  case rateLimited
  /// The platform's window is nearly used up, so what is left is spread over it.
  case pacing
  /// Requests failed one after the other.
  case breaker
}

/// The places of the queue's statements inside a flush; handlers' own statements come before.
package enum QueueRank {
  package static let settle = 1_000
  package static let checks = 1_900
  package static let claim = 2_000
}

/// Columns that come with the claimed jobs of a kind, so that a handler needs no read of its own.
package struct ClaimExtension: Sendable {
  package let kind: String
  let query: SQL

  /// - Parameter query: A SELECT of at most one row about the job `d.job_id`, such as
  ///   `SELECT p.text AS post_text FROM posts p WHERE p.id = d.job_id`. The names of its columns must differ from those
  ///   of all other extensions and of the claim; give them a prefix.
  package init(kind: String, query: SQL) {
    self.kind = kind
    self.query = query
  }
}
