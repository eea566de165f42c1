internal import Logging
internal import Postgres
internal import ServiceTree
internal import Synchronization

extension JobQueue {
  /// Promotes at every wake-up, at the next due time, and at least once a poll.
  func runPromotion(_ shutdown: Shutdown) async {
    var configuration = JobQueue.hot(database)
    // A lost promotion only leaves the jobs where they were, so it need not wait for the disk.
    configuration.settings["synchronous_commit"] = "off"
    let session = Session(configuration, reconnects: true, logger: logger)
    var failures = 0
    var turn = PromotionTurn.oldest
    while !shutdown.isRequested, !Task.isCancelled {
      do {
        let answer = try await promote(on: session, turn: turn)
        failures = 0
        let isFull = answer.moved >= settings.promotionLimit
        let wasOfEachSite = turn == .oldestOfEachSite
        turn = turn.next(isFull: isFull)
        // More is due, or was before a turn that takes little of each.
        if isFull || wasOfEachSite { continue }
        // The sleep ends early only by cancellation, which the loop sees.
        if answer.moved > 0 { try? await Task.sleep(for: settings.promotionGap) }
      } catch {
        failures += 1
        logger.warning("Promoting due jobs failed", ["error": .error(error), "attempt": failures])
        guard await shutdown.sleep(for: min(settings.pollInterval, .milliseconds(50) * min(failures, 20))) else {
          break
        }
        continue
      }
      let now = clock.now
      let wait = state.withLock { $0.nextDue.map { max(.zero, $0 - now) } } ?? settings.pollInterval
      await promoteWake.wait(for: min(wait, settings.pollInterval))
    }
    await session.close()
  }

  func promote(on session: Session, turn: PromotionTurn = .oldest) async throws -> PromoteStatement.Answer {
    state.withLock { $0.nextDue = nil }
    let rows = try await session.query(
      PromoteStatement.make(
        limit: settings.promotionLimit,
        lookahead: settings.lookahead,
        turn: turn,
        hooks: hooks
      )
    )
    let answer = try PromoteStatement.answer(rows)
    metrics.update { $0.promoted += answer.moved }
    if answer.runnable > 0 {
      claimWake.raise()
      if leavesWork(promoted: answer.moved) { notifyWake.raise() }
    } else {
      schedule(slot: answer.nextSlot)
    }
    schedule(due: answer.missed > 0 ? .zero : answer.nextDue, wakes: false)
    return answer
  }

  /// Whether other nodes must look for what was promoted here. They may have looked before this promotion was committed,
  /// and what came due by its time was not told to anybody.
  private func leavesWork(promoted count: Int) -> Bool {
    state.withLock { count > $0.ledger.request?.count ?? 0 || !$0.heldKinds.isEmpty }
  }

  /// Remembers when the next job is due, and wakes the promotion for it unless that is what calls.
  ///
  /// It is promoted half of the lookahead before, so that there is time to claim it, and the other half gathers jobs.
  func schedule(due: Duration?, wakes: Bool = true) {
    guard let due, due < settings.pollInterval else { return }
    let instant = clock.now + max(.zero, due - settings.lookahead / 2)
    let isEarlier = state.withLock { state in
      guard state.nextDue.map({ instant < $0 }) ?? true else { return false }
      state.nextDue = instant
      return true
    }
    if isEarlier, wakes { promoteWake.raise() }
  }

  // MARK: Notifications

  /// Looks when another node says so.
  func runListener(_ shutdown: Shutdown) async {
    let listener: Listener
    do {
      listener = try Listener(database, channels: [JobQueue.channel], logger: logger)
    } catch {
      // The poll finds everything, only later.
      logger.error("Listening for notifications failed", ["error": .error(error)])
      return
    }
    listener.start()
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        for await _ in listener.wakeUps(JobQueue.channel) {
          self.promoteWake.raise()
          self.claimWake.raise()
        }
      }
      group.addTask {
        await shutdown.requested()
        await listener.close()
      }
    }
  }

  /// Tells other nodes to look, at most once an interval; alone it stays silent.
  func runNotifier(_ shutdown: Shutdown) async {
    while !shutdown.isRequested, !Task.isCancelled {
      await notifyWake.wait(for: .seconds(60))
      guard !shutdown.isRequested, state.withLock({ $0.peers > 0 }) else { continue }
      do {
        try await pool.execute("SELECT pg_notify(\(JobQueue.channel), '')")
      } catch {
        // The other nodes poll, so a lost notification costs at most a poll interval.
        logger.warning("Notifying the other nodes failed", ["error": .error(error)])
      }
      guard await shutdown.sleep(for: settings.notifyInterval) else { return }
    }
  }
}
