import Egress
import FoundationEssentials
import JSONText
package import JobQueue
import Logging
import PluginHost
import PluginManifest
import Postgres
import Vault

/// Runs claimed deliveries: the queue's handler for jobs of kind ``kind``.
package struct DeliveryHandler: JobHandler {
  package static let kind = "delivery"

  /// The columns that the claim brings along.
  package static var claimExtension: ClaimExtension { ClaimExtension(kind: kind, query: DeliveryTask.claimColumns) }

  let tools: DeliveryTools

  package func run(_ job: ClaimedJob) async -> JobOutcome {
    do {
      return try await attempt(job)
    } catch is PostgresError {
      return waitForDatabase(job)
    } catch VaultError.database {
      return waitForDatabase(job)
    } catch {
      tools.logger.error("A delivery failed inside the host", ["delivery": .int(job.id), "error": "\(error)"])
      guard job.isLastAttempt else { return .retry(error: "internal") }
      let problem = DeliveryProblem(kind: "internal", retry: .never, message: "\(error)")
      return end(DeliveryEnd(.failed, problem: problem), of: job, since: nil)
    }
  }

  private func attempt(_ job: ClaimedJob) async throws -> JobOutcome {
    let task = try DeliveryTask(row: job.row)
    if task.endedAs != nil { return .finished() }
    guard let current = tools.plugins.manifest(for: task.platform) else {
      let problem = DeliveryProblem(
        kind: "quarantined",
        retry: .upgrade,
        message: "No plugin for “\(task.platform)” is installed",
        userMessage: "Install the plugin for this platform, then retry."
      )
      return end(DeliveryEnd(.failed, problem: problem), of: job, since: task)
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
      return end(DeliveryEnd(.failed, problem: problem), of: job, since: task)
    }
    tools.hint(task, "sending")
    let session = try await session(task, job: job, account: account, current: current)
    let move = try await session.run()
    let outcome = try await outcome(of: move, session)
    return await heeding(session.watch, of: task, account, outcome)
  }

  /// - Parameters:
  ///   - deletes: the place of the post that is to be deleted; nil to publish.
  ///   - watch: of the attempt, where that has several sessions.
  func session(
    _ task: DeliveryTask,
    job: ClaimedJob,
    account: Account,
    current: PluginManifest,
    deletes: Int? = nil,
    watch: AttemptWatch? = nil
  ) async throws -> DeliverySession {
    let records = task.hasEffects ? try await tools.store.records(of: task.id) : []
    let stored = task.hasEffects ? try await tools.store.inputs(of: task.id, run: task.run) : nil
    let manifest = version(for: task, startedOn: stored?.pluginVersion, records: records, current: current)
    let variant =
      if let stored { try RunVariant(stored) } else {
        RunVariant(try await compose(task, manifest), startedAt: Date())
      }
    let owner = DeliveryJournal.Owner(
      lease: job.lease,
      site: task.siteID,
      run: task.run,
      attempt: job.attempt,
      deletes: deletes
    )
    let inputs = stored == nil ? variant.inputs(pluginVersion: "\(manifest.version)") : nil
    let watch = watch ?? AttemptWatch(manifest)
    let turns = DeliveryJournal.Turns(lane: account.laneID, watch: watch)
    return DeliverySession(
      task: task,
      job: job,
      account: account,
      manifest: manifest,
      startedVersion: stored?.pluginVersion,
      requestKey: deletes.map { $0 == 0 ? task.runKey : "\(task.runKey)-\($0 + 1)" } ?? task.runKey,
      variant: variant,
      journal: DeliveryJournal(owner: owner, records: records, inputs: inputs, turns: turns, tools: tools),
      watch: watch,
      tools: tools
    )
  }

  /// The plugin version of the attempt: the one for new calls, unless a commit of the run is open or accepted. Then only
  /// the version that asked for it can go on; when that is gone, the session reconciles and never replays.
  private func version(
    for task: DeliveryTask,
    startedOn version: String?,
    records: [EffectRecord],
    current: PluginManifest
  ) -> PluginManifest {
    let isPinned = records.contains {
      $0.effectClass == .commit && $0.key.run == task.run && ($0.isOpenCommit || $0.outcome == .accepted)
    }
    guard isPinned, let version, version != "\(current.version)" else { return current }
    return tools.plugins.manifest(for: task.platform, version: version) ?? current
  }

  private func compose(_ task: DeliveryTask, _ manifest: PluginManifest) async throws -> Variant {
    let source = VariantSource(
      title: task.title,
      excerpt: task.excerpt,
      content: manifest.inputs.contains(.content) ? try await tools.store.content(of: task) : nil,
      url: task.url,
      tags: task.tags,
      mentions: task.mentions,
      media: try VariantMedia.list(task.media),
      segments: try VariantSegment.list(task.segments),
      distributionOptions: try RawJSON(text: task.options),
      targetPayload: try task.targetPayload.map { try RawJSON(text: $0) }
    )
    return try source.variant(for: task.connectionID)
  }

  // MARK: Moves

  private func outcome(of move: NextMove, _ session: DeliverySession) async throws -> JobOutcome {
    let (job, task) = (session.job, session.task)
    let version = "\(session.manifest.version)"
    let isLive = session.journal.current.hasAcceptedCommit
    let used = session.watch.usedCredentials
    func note(_ problem: DeliveryProblem?) -> PutOffDelivery {
      PutOffDelivery(lease: job.lease, isLive: isLive, problem: problem, usedCredentials: used)
    }
    switch move {
    case .end(let result):
      if let problem = result.problem, problem.asksForNewToken, result.reauthorize, session.isPatient,
        let wait = await tools.renewer.waitAfterRefusal(session.account)
      {
        // The platform refused the token, and there is a newer one or will be: nothing is lost but a little time.
        tools.hint(task, "retrying", problem: problem)
        return .snoozed(for: wait, with: note(problem))
      }
      if result.reauthorize { try await tools.store.markExpired(task.connectionID, why: result.problem?.message) }
      return end(result, of: job, since: task, on: version, used: used)
    case .again(let delay, let counted, let problem):
      tools.hint(task, "retrying", problem: problem)
      guard counted else { return .snoozed(for: .seconds(delay ?? 15), with: note(problem)) }
      if job.isLastAttempt {
        return end(DeliveryEnd(.failed, problem: problem), of: job, since: task, on: version, used: used)
      }
      return .retry(after: delay.map { .seconds($0) }, error: problem.kind, with: note(problem))
    case .holdAccount(let delay, let problem):
      tools.hint(task, "retrying", problem: problem)
      return .snoozed(for: .seconds(delay), with: note(problem)).blockingLane(for: .seconds(delay), .rateLimited)
    case .snooze(let delay):
      tools.hint(task, "waiting")
      return .snoozed(for: .seconds(delay), with: isLive || used ? note(nil) : nil)
    case .check(let delay):
      tools.hint(task, "checking")
      return .unknown(checkAfter: .seconds(delay))
    case .refused:
      return .refused
    }
  }

  /// Lets the account, and whoever shares a limit or a server with it, keep still for as long as the answers ask.
  ///
  /// What can not be stored costs a request too many, never the delivery.
  private func heeding(
    _ watch: AttemptWatch,
    of task: DeliveryTask,
    _ account: Account,
    _ outcome: JobOutcome
  ) async -> JobOutcome {
    var outcome = outcome.charging(extraTurns: watch.extraTurns)
    // A server that is the account's own speaks for this account alone, whatever its limits are called.
    let sharesServer = account.origin == nil && account.endpoint == nil
    for scope in sharesServer ? [.perAccount] : LimitScope.allCases {
      if let pause = watch.pause(scope) { outcome = outcome.blockingLane(for: pause.duration, pause.reason) }
    }
    await orLog("Noting what a platform said about its limits", tools.logger) {
      for scope in [LimitScope.perSite, .perApp] where sharesServer {
        guard let pause = watch.pause(scope) else { continue }
        try await tools.lanes.block(pause, platform: task.platform, site: task.siteID)
      }
      try await tools.breakers.note(
        watch.signs,
        of: BreakerBoard.Subject(
          platform: task.platform,
          connectionID: task.connectionID,
          siteID: task.siteID,
          laneID: account.laneID,
          sharesServer: sharesServer,
          connectionIsBroken: task.connectionIsBroken,
          platformIsBroken: task.platformIsBroken
        )
      )
    }
    return outcome
  }

  /// - Parameters:
  ///   - version: The plugin version that was asked last; nil when none was.
  ///   - used: Whether this attempt used the account's credentials.
  private func end(
    _ end: DeliveryEnd,
    of job: ClaimedJob,
    since task: DeliveryTask?,
    on version: String? = nil,
    used: Bool = false
  ) -> JobOutcome {
    .finished(
      with: EndDelivery(
        lease: job.lease,
        end: end,
        attempts: job.attempt,
        latency: task.map { Date().timeIntervalSince($0.scheduledFor) },
        pluginVersion: version,
        usedCredentials: used
      )
    )
  }

  /// Nothing that was sent is lost: it is in the journal, or in the spool. The next attempt reads it and decides.
  private func waitForDatabase(_ job: ClaimedJob) -> JobOutcome {
    tools.logger.notice("A delivery waits for the database", ["delivery": .int(job.id)])
    return .unknown(checkAfter: .seconds(1), error: "database")
  }
}

extension DeliveryTools {
  func hint(_ task: DeliveryTask, _ state: String, problem: DeliveryProblem? = nil) {
    hints.hint(
      site: task.siteID,
      kind: "delivery.\(state)",
      data: RawJSON.object { writer in
        writer.field("id", task.id)
        writer.field("connectionId", task.connectionID)
        writer.field("platform", task.platform)
        writer.field("state", state)
        writer.field("error", problem?.json())
      }
    )
  }
}
