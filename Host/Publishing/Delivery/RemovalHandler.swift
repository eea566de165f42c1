import Egress
import FoundationEssentials
import JSONText
package import JobQueue
import Logging
import PluginHost
import PluginManifest
import Postgres
import Vault

/// Deletes published posts on their platforms: the queue's handler for jobs of kind ``kind``.
///
/// Deleting is a run of its own in the journal of its delivery. It may be repeated: a post that is gone already counts
/// as deleted, so a request without a known outcome is simply made again. A thread is deleted post by post, each with
/// steps of its own in the journal of the run.
package struct RemovalHandler: JobHandler {
  package static let kind = "removal"

  let deliveries: DeliveryHandler
  private var tools: DeliveryTools { deliveries.tools }

  package func run(_ job: ClaimedJob) async -> JobOutcome {
    do {
      return try await attempt(job)
    } catch is PostgresError {
      return .unknown(checkAfter: .seconds(1), error: "database")
    } catch VaultError.database {
      return .unknown(checkAfter: .seconds(1), error: "database")
    } catch {
      tools.logger.error("A deletion failed inside the host", ["delivery": .int(job.id), "error": "\(error)"])
      return again(DeliveryProblem(kind: "internal", retry: .retry, message: "\(error)"), of: job)
    }
  }

  private func attempt(_ job: ClaimedJob) async throws -> JobOutcome {
    guard let removal = try await tools.store.removal(of: job.id) else { return .finished() }
    let task = removal.task
    guard let manifest = tools.plugins.manifest(for: task.platform), manifest.answers("post/delete") else {
      return end(DeliveryProblem(kind: "quarantined", retry: .upgrade, message: "No adapter can delete it"), of: job)
    }
    let account: Account
    do {
      account = try await tools.accounts.account(
        connection: task.connectionID,
        generation: task.connectionGeneration,
        updatedAt: task.connectionUpdatedAt
      )
    } catch let error as AccountError {
      let problem = DeliveryProblem(kind: "authRevoked", retry: .reauth, message: error.description)
      return end(problem, of: job)
    }
    // What an earlier attempt left without an outcome is made again.
    try await tools.store.closeForRepeat(job.id, run: task.run)
    var tally = RemovalTally(removal)
    let watch = AttemptWatch(manifest)
    // The newest first: what is left of a thread when it goes wrong still reads from its beginning.
    for (place, post) in removal.posts.enumerated().reversed() where !post.isRemoved {
      let session = try await deliveries.session(
        task,
        job: job,
        account: account,
        current: manifest,
        deletes: place,
        watch: watch
      )
      switch try await session.remove(post.remoteID) {
      case .removed: tally.removed.append(post.remoteID)
      case .refused: return .refused
      case .databaseLost: return .unknown(checkAfter: .seconds(1), error: "database")
      case .failed(let problem):
        // The platform's refusal of one post says nothing about the others.
        if problem.asksForNewToken, session.isPatient, let wait = await tools.renewer.waitAfterRefusal(account) {
          return .snoozed(for: wait)
        }
        guard problem.retry == .never || problem.retry == .userFix else {
          return again(problem, of: job, tally, used: watch.usedCredentials)
        }
        tally.problem = tally.problem ?? problem
      }
    }
    return end(tally.end(), of: job, tally, used: watch.usedCredentials)
  }

  private func again(
    _ problem: DeliveryProblem,
    of job: ClaimedJob,
    _ tally: RemovalTally? = nil,
    used: Bool = false
  ) -> JobOutcome {
    func giveUp() -> JobOutcome { end(tally.map { $0.told(problem) } ?? problem, of: job, tally, used: used) }
    switch problem.retry {
    case .never, .userFix, .upgrade, .reauth: return giveUp()
    case .after: return .snoozed(for: .seconds(max(problem.retryAfter ?? 60, 1)))
    case .retry, .reconcile:
      if job.isLastAttempt { return giveUp() }
      return .retry(after: problem.retryAfter.map { .seconds($0) }, error: problem.kind)
    }
  }

  /// - Parameter used: Whether this attempt used the account's credentials.
  private func end(
    _ problem: DeliveryProblem?,
    of job: ClaimedJob,
    _ tally: RemovalTally? = nil,
    used: Bool = false
  ) -> JobOutcome {
    .finished(
      with: EndRemoval(lease: job.lease, problem: problem, removed: tally?.removed ?? [], usedCredentials: used)
    )
  }
}

/// How far the deletion of a delivery's posts is.
private struct RemovalTally {
  private let posts: Int
  private let before: Int
  private let unknown: Int
  /// The ids of the posts that are gone now.
  var removed: [String] = []
  /// What the platform said of the first post that it did not delete.
  var problem: DeliveryProblem?

  init(_ removal: JournalStore.Removal) {
    posts = removal.posts.count + removal.unknown
    before = removal.posts.count { $0.isRemoved }
    unknown = removal.unknown
  }

  /// Why not everything is gone; nil when it is.
  func end() -> DeliveryProblem? {
    if let problem { return told(problem) }
    guard unknown > 0 else { return nil }
    return told(
      DeliveryProblem(
        kind: "notFound",
        retry: .userFix,
        message: "The platform's id of \(unknown == 1 ? "one post is" : "\(unknown) posts is") not known",
        userMessage: "Delete what is left of the thread on the platform."
      )
    )
  }

  /// The problem, with the part of a thread that is gone in its words.
  func told(_ problem: DeliveryProblem) -> DeliveryProblem {
    guard posts > 1 else { return problem }
    var problem = problem
    problem.message = "\(before + removed.count) of \(posts) posts of the thread are deleted. \(problem.message)"
    return problem
  }
}

/// Stores whether a post was deleted on its platform, in the same flush that finishes the job.
struct EndRemoval: BatchOperation {
  /// Before the queue deletes the lease in the same transaction.
  static let rank = 31

  var lease: Lease
  /// Why it was not, or not wholly; nil when it is gone.
  var problem: DeliveryProblem?
  /// The platform's ids of the posts that are gone.
  var removed: [String] = []
  /// Whether this attempt used the account's credentials.
  var usedCredentials = false

  typealias Output = Void

  static func statement(for operations: [EndRemoval]) -> SQL {
    """
    WITH i AS (
      SELECT * FROM unnest(\(operations.map(\.lease.jobID)), \(operations.map { $0.problem?.json().text }),
        \(operations.map { RawJSON.array($0.removed) { writer, id in writer.string(id) }.text }),
        \(operations.map(\.usedCredentials))) AS t(job_id, error, gone, used_credentials)
    ),
    \(fragment: LeaseGuard.held(operations.map(\.lease))),
    u AS (
      UPDATE deliveries d SET removal = CASE WHEN i.error IS NULL THEN 'removed' ELSE 'failed' END,
        removed_at = CASE WHEN i.error IS NULL THEN clock_timestamp() END, removal_error = i.error::jsonb,
        segments = (
          SELECT jsonb_agg(CASE WHEN i.gone::jsonb ? (s.post->>'remoteId') THEN s.post || '{"removed": true}' ELSE s.post END
            ORDER BY s.place)
          FROM jsonb_array_elements(d.segments) WITH ORDINALITY AS s(post, place))
      FROM i JOIN g USING (job_id) WHERE d.id = i.job_id AND d.removal = 'asked'
      RETURNING d.id, d.site_id, d.distribution_id, d.connection_id, d.platform, d.ended_as, d.removal, d.removal_error,
        d.segments, d.run, \(fragment: CredentialUse.condition("i.used_credentials", "d")) AS used
    ),
    a AS (\(fragment: CredentialUse.rows(from: "u WHERE used", purpose: "delete")))
    INSERT INTO outbox (site_id, kind, subject_id, data)
    SELECT site_id, CASE removal WHEN 'removed' THEN 'delivery.removed' ELSE 'delivery.removalFailed' END, id,
      jsonb_strip_nulls(jsonb_build_object('id', id, 'distributionId', distribution_id, 'connectionId', connection_id,
        'platform', platform, 'state', ended_as, 'removal', removal, 'segments', segments, 'error', removal_error))
    FROM u
    """
  }

  static func outputs(of rows: [Row], for operations: [EndRemoval]) throws -> [Void] {
    operations.map { _ in }
  }
}
