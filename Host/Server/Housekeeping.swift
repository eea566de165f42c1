internal import Connecting
internal import Dispatch
internal import Events
internal import Identity
internal import JobQueue
internal import Logging
internal import MediaStore
internal import Notices
internal import Postgres
internal import Publishing
internal import ServiceTree
internal import Vault
internal import WebhookEndpoints

/// Small work that comes again and again on this host: stores what was gathered in memory, and what was spooled.
struct Housekeeping: Service {
  let name = "housekeeping"

  let pool: Pool
  let publishing: PublishingAssembly
  let tokens: TokenStore
  let sessions: SessionStore
  let files: MediaFiles
  let notices: NoticeStore
  let signIns: PlatformSignIns
  /// What this host looks at for itself.
  let states: [NoticeState]
  let logger: Logger

  private static let interval: Duration = .seconds(5)
  /// Rounds between two looks at this host's own state.
  private static let roundsPerLook = 6

  func run() async throws {
    await removeLeftovers()
    // Lanes that an older version of the host or of a plugin left behind.
    await orLog("Applying limits", logger) { try await publishing.lanes.refresh() }
    var rounds = 0
    while await Shutdown.current.sleep(for: Self.interval) {
      await round()
      if rounds % Self.roundsPerLook == 0 { await look() }
      rounds += 1
    }
    // Everything else has ended by now, so this is the last word.
    await round()
  }

  /// Stores the outcomes that could not be stored before; the deliveries they belong to must not start without them.
  func drainSpool() async {
    await orLog("Storing spooled outcomes", logger) {
      let count = try await publishing.drainSpool()
      if count > 0 { logger.notice("Stored outcomes that had waited for the database", ["outcomes": .int(count)]) }
    }
  }

  private func round() async {
    await drainSpool()
    await orLog("Storing the limits that platforms reported", logger) { try await publishing.limits.flush(pool) }
    await orLog("Applying limits", logger) { try await publishing.lanes.refresh() }
    await orLog("Looking for breakers that stay open", logger) { try await publishing.breakers.reportLong() }
    await orLog("Storing the use of tokens", logger) { try await tokens.flushUse() }
    await orLog("Ending sign-ins that nobody came back to", logger) { try await signIns.endExpired() }
    await orLog("Removing sessions that have ended", logger) { try await sessions.clean() }
  }

  private func look() async {
    for state in states {
      await orLog("Looking at the state of this host", logger) { try await notices.look(state) }
    }
  }

  /// Uploads that a dead host left behind. Looking through a folder blocks, so it has a queue of its own.
  private func removeLeftovers() async {
    let (files, logger) = (files, logger)
    await withCheckedContinuation { continuation in
      DispatchQueue(label: "leftovers").async {
        orLog("Removing the leftovers of uploads", logger) { try files.removeLeftovers() }
        continuation.resume()
      }
    }
  }

  // MARK: Once for all hosts

  /// What one host of all does from time to time.
  ///
  /// - Parameters:
  ///   - retentionDays: How long ended deliveries keep what only they needed, and how long logs of webhooks, closed
  ///     notices and mails stay.
  ///   - auditRetentionDays: How long rows of the audit trail stay; nil: for ever.
  static func periodicJobs(
    _ pool: Pool,
    notices: NoticeStore,
    renewer: TokenRenewer,
    audit: HostAudit,
    retentionDays: Int,
    auditRetentionDays: Int?
  ) -> (jobs: [PeriodicJob], handlers: [String: any JobHandler]) {
    let age = Duration.seconds(retentionDays * 86_400)
    var work: [String: @Sendable () async throws -> Void] = [
      "host.idempotency-keys": {
        try await pool.execute("DELETE FROM idempotency_keys WHERE created_at < now() - interval '7 days'")
      },
      "host.journal": { _ = try await JournalRetention(pool: pool, days: retentionDays).clean() },
      "host.sign-ins": { try await PlatformSignIns.clean(pool) },
      "host.outbox": { _ = try await OutboxRetention(pool: pool).clean() },
      "host.webhook-log": { _ = try await WebhookLog.clean(pool, olderThan: age) },
      "host.notices": { try await NoticeStore.clean(pool, olderThan: age) },
      tokenRenewals: { try await renewer.round() },
      noticeLook: {
        let states = NoticeState.shared + [.oldKeys(afterDays: KeyRotations.longestUseDays)]
        for state in states { try await notices.look(state) }
      },
    ]
    if let auditRetentionDays {
      work["host.audit"] = { try await audit.clean(olderThanDays: auditRetentionDays) }
    }
    let handlers = work.mapValues { body in
      ClosureHandler { _ in
        do {
          try await body()
          return .finished()
        } catch {
          return .retry(error: "\(error)")
        }
      }
    }
    let jobs = work.keys.sorted().map { name in
      PeriodicJob(name, every: [noticeLook, tokenRenewals].contains(name) ? .seconds(30) : .seconds(3600), kind: name)
    }
    return (jobs, handlers)
  }

  /// Tokens are renewed long before they end, so that half a minute is nothing.
  private static let tokenRenewals = "host.token-renewals"
  private static let noticeLook = "host.notice-states"
}
