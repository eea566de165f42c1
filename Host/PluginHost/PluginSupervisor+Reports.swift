internal import FoundationEssentials
internal import Logging
internal import Synchronization

/// What is told of ends and quarantines.
extension PluginSupervisor {
  func reportEnd(_ reason: PluginStopReason, _ process: PluginProcess?) {
    let exit = state.withLock { $0.lifecycle.lastExit } ?? "\(reason)"
    guard reason.weight != .none else {
      parkJobs(reason, process)
      logger.info("Plugin stopped", ["status": exit])
      return onEvent(.stopped(subject))
    }
    counters.change { $0.crashes += 1 }
    logger.warning("Plugin ended", ["status": exit, "reason": reason.kind, "version": plugin.version])
    parkJobs(reason, process)
    onEvent(.crashed(subject, reason))
  }

  /// Finds the jobs that the process died of. A kill from outside says nothing about them.
  private func parkJobs(_ reason: PluginStopReason, _ process: PluginProcess?) {
    guard let jobs = process?.jobsAtDeath, !jobs.isEmpty else { return }
    guard reason.weight == .crash || reason.weight == .offence else {
      return state.withLock { state in
        for job in jobs { state.poison.withdraw(job) }
      }
    }
    let parked = state.withLock { $0.poison.noteDeath(of: jobs, reason: "\(reason)") }
    for job in parked {
      logger.error("A job is parked: the plugin died of it twice", ["job": job, "reason": "\(reason)"])
      onEvent(.jobParked(subject, job: job, reason: "\(reason)"))
    }
  }

  func quarantine(
    _ reason: PluginStopReason,
    _ exit: String?,
    _ until: Instant?,
    _ errorLines: [String]
  ) -> Quarantine {
    let length = until.map { Double(ContinuousClock.now.duration(to: $0).wholeMilliseconds) / 1_000 }
    return Quarantine(
      reason: reason,
      exit: exit,
      errorLines: errorLines,
      frames: frames.last,
      until: length.map { Date(timeIntervalSinceNow: $0) }
    )
  }

  func reportQuarantine() {
    guard let quarantine = state.withLock({ $0.quarantine }) else { return }
    logger.error(
      "Plugin is in quarantine",
      [
        "version": .string(plugin.version), "reason": "\(quarantine.reason)",
        "until": "\(quarantine.until.map { $0.formatted(.iso8601) } ?? "somebody releases it")",
      ]
    )
    onEvent(.quarantined(subject, quarantine))
  }
}
