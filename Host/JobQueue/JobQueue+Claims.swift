internal import FoundationEssentials
internal import Logging
internal import Postgres
internal import ServiceTree
internal import Synchronization

extension JobQueue {
  // MARK: Claiming

  /// Claims whenever slots are free and there is a reason to look.
  func runClaims(_ shutdown: Shutdown) async {
    var failures = 0
    while !shutdown.isRequested, !Task.isCancelled {
      do {
        if state.withLock({ $0.mustRecover }) { try await recoverOrphans() }
        while try await claimOnce() {}
        failures = 0
      } catch {
        failures += 1
        // The answer may be lost while the claim stands, so the leases of this node must be looked through.
        state.withLock { $0.mustRecover = true }
        logger.warning("Claiming failed", ["error": .error(error), "attempt": failures])
        let pause = min(settings.pollInterval, .milliseconds(50) * min(failures, 20))
        guard await shutdown.sleep(for: pause) else { break }
        continue
      }
      await claimWake.wait(for: timeUntilClaim())
    }
  }

  private func timeUntilClaim() -> Duration {
    let now = clock.now
    return state.withLock { state in
      // What is past waits for a free slot, which wakes the loop itself.
      [state.nextSlot, state.nextCheck].compactMap(\.self).filter { $0 > now }.map {
        min($0 - now, settings.pollInterval)
      }
      .min() ?? settings.pollInterval
    }
  }

  /// Claims once; returns whether there is probably more to claim at once.
  private func claimOnce() async throws -> Bool {
    let now = clock.now
    let (request, mayCheck) = state.withLock { state -> (ClaimLedger.Request?, Bool) in
      guard !state.isStopping, let heartbeat = state.lastHeartbeat, now - heartbeat < settings.heartbeatLimit else {
        return (nil, false)
      }
      guard let request = state.ledger.request else {
        state.claimWasCut = true
        return (nil, false)
      }
      if let slot = state.nextSlot, slot <= now { state.nextSlot = nil }
      let mayCheck = state.nextCheck.map { $0 <= now } ?? true
      if mayCheck { state.nextCheck = now + settings.pollInterval }
      return (request, mayCheck)
    }
    guard let request else { return false }
    if mayCheck {
      let all = handlers.keys.sorted()
      let checks = try await writer.submit(CheckOperation(shape: shape, kinds: all, count: request.count))
      accept(checks.jobs)
      metrics.update { $0.checksClaimed += checks.jobs.count }
      schedule(check: checks.next, wakes: false)
      if !checks.jobs.isEmpty { return true }
    }
    let answer = try await writer.submit(ClaimOperation(shape: shape, kinds: claimableKinds, request: request))
    accept(answer.jobs)
    metrics.update { $0.claimed += answer.jobs.count + answer.stopped.count }
    schedule(slot: answer.nextSlot, wakes: false)
    // Whoever holds the pool commits in a moment.
    if answer.isContended { schedule(slot: .milliseconds(5), wakes: false) }
    if !answer.stopped.isEmpty { try await giveBack(answer.stopped, as: .refused) }
    return state.withLock { state in
      state.claimWasCut = answer.lanes >= request.count || answer.jobs.count + answer.stopped.count >= request.count
      return state.ledger.learned(
        request,
        jobs: answer.jobs.count + answer.stopped.count,
        lanes: answer.lanes,
        sites: answer.sites,
        lastSite: answer.lastSite
      )
    }
  }

  private func accept(_ jobs: [ClaimedJob]) {
    guard !jobs.isEmpty else { return }
    state.withLock { state in
      state.ledger.took(jobs.count)
      state.waiting.append(contentsOf: jobs)
      for job in jobs {
        state.leases[job.lease.fence] = job.lease
      }
    }
    startWake.raise()
  }

  /// Remembers when a lane may run again, and wakes the claim loop for it unless that is what calls.
  func schedule(slot: Duration?, wakes: Bool = true) {
    guard let slot else { return }
    let instant = clock.now + slot
    let isEarlier = state.withLock { state in
      guard state.nextSlot.map({ instant < $0 }) ?? true else { return false }
      state.nextSlot = instant
      return true
    }
    if isEarlier, wakes { claimWake.raise() }
  }

  func schedule(check: Duration?, wakes: Bool = true) {
    guard let check else { return }
    let instant = clock.now + check
    let isEarlier = state.withLock { state in
      guard state.nextCheck.map({ instant < $0 }) ?? true else { return false }
      state.nextCheck = instant
      return true
    }
    if isEarlier, wakes { claimWake.raise() }
  }

  // MARK: Recovering

  /// Gives back leases of this node that nobody works on, such as those of a claim whose answer was lost.
  ///
  /// It runs between two claims of this node, so every lease it sees and does not know is an orphan.
  func recoverOrphans() async throws {
    let rows = try await pool.query(
      "SELECT job_id, fence FROM leases WHERE node_epoch = \(nodeEpoch) AND check_at IS NULL"
    )
    let known = state.withLock { state in
      state.mustRecover = false
      return Set(state.leases.keys)
    }
    var orphans: [Lease] = []
    for row in rows {
      let lease = Lease(jobID: try row.get("job_id"), fence: try row.get("fence"), nodeEpoch: nodeEpoch)
      if !known.contains(lease.fence) { orphans.append(lease) }
    }
    guard !orphans.isEmpty else { return }
    logger.notice("Giving back leases that nobody works on", ["count": orphans.count])
    try await giveBack(orphans, as: .releasedOrUnknown)
  }

  /// Ends leases without a handler.
  func giveBack(_ leases: [Lease], as way: SettleOperation.Way) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for lease in leases {
        group.addTask {
          let operation = SettleOperation(lease: lease, way: way, hooks: self.hooks, metrics: self.metrics)
          self.report(try await self.writer.submit(operation))
        }
      }
      try await group.waitForAll()
    }
    // What was refused became due again and is parked or dropped by the promotion.
    if way == .refused { promoteWake.raise() }
  }

  /// Counts an end and looks for work on the freed lane.
  func report(_ output: SettleOperation.Output) {
    switch output {
    case .settled(let way, let nextSlot):
      metrics.settled(way)
      state.withLock { $0.freedLanesHaveMore = nextSlot != nil }
      schedule(slot: nextSlot)
    case .stale:
      metrics.update { $0.stale += 1 }
    }
  }
}
