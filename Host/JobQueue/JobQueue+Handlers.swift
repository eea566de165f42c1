internal import FoundationEssentials
internal import Logging
internal import Postgres
internal import ServiceTree
internal import Synchronization

extension JobQueue {
  /// Starts a task for each claimed job as slots allow; returns when all of them ended after the shutdown.
  func runHandlers(_ shutdown: Shutdown) async {
    await withDiscardingTaskGroup { group in
      while !shutdown.isRequested, !Task.isCancelled {
        switch takeStartable() {
        case .job(let job): group.addTask { await self.work(on: job) }
        case .nothing(let time): await startWake.wait(for: time)
        }
      }
    }
  }

  private enum Startable {
    case job(ClaimedJob)
    /// Nothing can start for this long, unless a job comes in or a slot becomes free.
    case nothing(for: Duration)
  }

  private func takeStartable() -> Startable {
    let now = clock.now
    return state.withLock { state in
      guard !state.isStopping, state.running < settings.slots else { return .nothing(for: settings.pollInterval) }
      if let place = state.waiting.firstIndex(where: { $0.startsAt.map { $0 <= now } ?? true }) {
        state.running += 1
        return .job(state.waiting.remove(at: place))
      }
      let next = state.waiting.lazy.compactMap(\.startsAt).min()
      return .nothing(for: min(next.map { $0 - now } ?? settings.pollInterval, settings.pollInterval))
    }
  }

  private func work(on job: ClaimedJob) async {
    if !job.isCheck { metrics.started(late: .seconds(-job.dueAt.timeIntervalSinceNow)) }
    let outcome: JobOutcome
    if let handler = handlers[job.kind] {
      outcome = await handler.run(job)
    } else {
      logger.error("There is no handler for a claimed job", ["job": job.id, "kind": job.kind])
      outcome = job.isCheck ? .unknown(checkAfter: .seconds(60)) : .snoozed(for: .seconds(60))
    }
    let operation = settlement(of: job, outcome)
    // The slot is free before the end is stored, so that the end and the next claim can share a commit. Where nothing
    // waits, the claim would find nothing; what comes later wakes the claim loop by itself.
    let mustClaim = state.withLock { state in
      state.running -= 1
      state.ledger.freed()
      return (state.claimWasCut || state.freedLanesHaveMore) && state.ledger.request != nil && !state.isStopping
    }
    startWake.raise()
    if mustClaim { claimWake.raise() }
    await settle(operation, outcome.completion, of: job)
    state.withLock { _ = $0.leases.removeValue(forKey: job.lease.fence) }
  }

  /// Turns the handler's outcome into the queue's row.
  private func settlement(of job: ClaimedJob, _ outcome: JobOutcome) -> SettleOperation {
    var operation = SettleOperation(
      lease: job.lease,
      way: .finished,
      laneBlock: outcome.laneBlock,
      blockReason: outcome.blockReason,
      extraTurns: outcome.extraTurns,
      error: outcome.error,
      hooks: hooks,
      metrics: metrics
    )
    switch outcome.way {
    case .finished:
      break
    case .failed:
      operation.way = .failed
    case .retry where job.isLastAttempt:
      operation.way = .failed
    case .retry(let delay):
      operation.way = .retried
      var generator = SystemRandomNumberGenerator()
      operation.delay = delay ?? settings.retry.delay(afterAttempt: job.attempt, using: &generator)
    case .snoozed(let delay):
      operation.way = .snoozed
      operation.delay = delay
    case .unknown(let delay):
      operation.way = .unknown
      operation.delay = delay
    case .released:
      operation.way = .releasedOrUnknown
      operation.delay = settings.rescueCheckDelay
    case .refused:
      operation.way = .refused
    }
    operation.delay = max(.zero, operation.delay)
    return operation
  }

  /// Stores the end until it is stored or refused for good; while the database is away it waits.
  private func settle(_ operation: SettleOperation, _ completion: (any BatchOperation)?, of job: ClaimedJob) async {
    var operation = operation
    var completion = completion
    var failures = 0
    while true {
      do {
        report(try await submit(operation, completion))
        switch operation.way {
        case .refused: schedule(due: .zero)
        case .retried, .snoozed: schedule(due: operation.delay)
        case .unknown: schedule(check: operation.delay)
        default: break
        }
        return
      } catch {
        failures += 1
        let failure = error as? PostgresError
        logger.error(
          "Storing the end of a job failed",
          ["job": job.id, "kind": job.kind, "error": .error(error), "attempt": failures]
        )
        if failure?.code == .closed || Task.isCancelled {
          // The lease stays; another node, or the next start, takes it over.
          return
        }
        if let failure, failure.isConnectionLost || failure.isNotSent {
          // Repeating is safe: a second end of the same fence changes nothing.
        } else if completion != nil {
          // The handler's rows were refused, so its end cannot be stored either: the job must come again.
          completion = nil
          operation.way = .retriedOrUnknown
          operation.delay = max(operation.delay, settings.retry.base)
          operation.error = "The outcome could not be stored: \(error)"
        } else if failures >= 10 {
          return
        }
        // The sleep ends early only by cancellation, which the next failure sees.
        try? await Task.sleep(for: .milliseconds(100) * min(failures, 20))
      }
    }
  }

  private func submit(
    _ operation: SettleOperation,
    _ completion: (any BatchOperation)?
  ) async throws -> SettleOperation.Output {
    guard let completion else { return try await writer.submit(operation) }
    return try await submitTogether(completion, operation)
  }

  private func submitTogether<Completion: BatchOperation>(
    _ completion: Completion,
    _ operation: SettleOperation
  ) async throws -> SettleOperation.Output {
    try await writer.submit(completion, with: operation).1
  }

  // MARK: Shutdown

  /// Returns what this node still holds: untouched jobs to their lanes, begun commits to the reconciliation.
  func giveBackEverything() async {
    let waiting = state.withLock { state in
      defer { state.waiting = [] }
      return state.waiting
    }
    await orLog("Giving back claimed jobs", logger) {
      try await giveBack(waiting.map(\.lease), as: .releasedOrUnknown)
    }
    state.withLock { state in
      for job in waiting { state.leases[job.lease.fence] = nil }
    }
    await orLog("Leaving the queue", logger) {
      // Leases that are left belong to handlers that were cancelled; the node's row stays for those who rescue them.
      try await pool.execute(
        """
        DELETE FROM nodes n WHERE n.node_epoch = \(nodeEpoch)
          AND NOT EXISTS (SELECT FROM leases l WHERE l.node_epoch = n.node_epoch AND l.check_at IS NULL)
        """
      )
    }
  }
}
