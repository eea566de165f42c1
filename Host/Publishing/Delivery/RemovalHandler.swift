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
/// as deleted, so a request without a known outcome is simply made again.
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
    guard let (task, remoteID) = try await tools.store.removal(of: job.id) else { return .finished() }
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
    } catch is AccountError {
      let problem = DeliveryProblem(kind: "authRevoked", retry: .reauth, message: "The account is no longer connected")
      return end(problem, of: job)
    }
    // What an earlier attempt left without an outcome is made again.
    try await tools.store.closeForRepeat(job.id, run: task.run)
    let session = try await deliveries.session(task, job: job, account: account, current: manifest, isOwnRun: true)
    switch try await session.remove(remoteID) {
    case .removed: return end(nil, of: job)
    case .refused: return .refused
    case .databaseLost: return .unknown(checkAfter: .seconds(1), error: "database")
    case .failed(let problem): return again(problem, of: job)
    }
  }

  private func again(_ problem: DeliveryProblem, of job: ClaimedJob) -> JobOutcome {
    switch problem.retry {
    case .never, .userFix, .upgrade, .reauth: return end(problem, of: job)
    case .after: return .snoozed(for: .seconds(max(problem.retryAfter ?? 60, 1)))
    case .retry, .reconcile:
      if job.isLastAttempt { return end(problem, of: job) }
      return .retry(after: problem.retryAfter.map { .seconds($0) }, error: problem.kind)
    }
  }

  private func end(_ problem: DeliveryProblem?, of job: ClaimedJob) -> JobOutcome {
    .finished(with: EndRemoval(lease: job.lease, problem: problem))
  }
}

/// Stores whether a post was deleted on its platform, in the same flush that finishes the job.
struct EndRemoval: BatchOperation {
  /// Before the queue deletes the lease in the same transaction.
  static let rank = 31

  var lease: Lease
  /// Why it was not; nil when it is gone.
  var problem: DeliveryProblem?

  typealias Output = Void

  static func statement(for operations: [EndRemoval]) -> SQL {
    """
    WITH i AS (
      SELECT * FROM unnest(\(operations.map(\.lease.jobID)), \(operations.map { $0.problem?.json().text }))
        AS t(job_id, error)
    ),
    \(fragment: LeaseGuard.held(operations.map(\.lease))),
    u AS (
      UPDATE deliveries d SET removal = CASE WHEN i.error IS NULL THEN 'removed' ELSE 'failed' END,
        removed_at = CASE WHEN i.error IS NULL THEN clock_timestamp() END, removal_error = i.error::jsonb
      FROM i JOIN g USING (job_id) WHERE d.id = i.job_id AND d.removal = 'asked'
      RETURNING d.id, d.site_id, d.distribution_id, d.connection_id, d.platform, d.ended_as, d.removal, d.removal_error
    )
    INSERT INTO outbox (site_id, kind, subject_id, data)
    SELECT site_id, CASE removal WHEN 'removed' THEN 'delivery.removed' ELSE 'delivery.removalFailed' END, id,
      jsonb_strip_nulls(jsonb_build_object('id', id, 'distributionId', distribution_id, 'connectionId', connection_id,
        'platform', platform, 'state', ended_as, 'removal', removal, 'error', removal_error))
    FROM u
    """
  }

  static func outputs(of rows: [Row], for operations: [EndRemoval]) throws -> [Void] {
    operations.map { _ in }
  }
}
