/// A process that is asked to end.
extension PluginLifecycle {
  mutating func idleTimerFired(_ now: Instant, _ calls: Calls) -> [Action] {
    guard case .running(let since) = state else { return [] }
    if calls.open > 0 { return [nextIdleTimer(now + idleLimit)] }
    let end = max(since, calls.lastEnd ?? since) + idleLimit
    return end > now ? [nextIdleTimer(end)] : [.seal]
  }

  mutating func retire(_ now: Instant) -> [Action] {
    isRetired = true
    switch state {
    case .running:
      guard !isDraining else { return [] }
      isDraining = true
      return [setTimer(now + Self.longestDrain), .seal]
    case .starting, .ending, .stopping:
      isDraining = true
      return []
    case .stopped, .backingOff, .quarantined:
      guard isDismissed else { return [.reportDrained] }
      timer += 1
      state = .closed
      return [.reportDrained, .refuse(.shuttingDown), .close]
    case .closed:
      return []
    }
  }

  mutating func sealed(_ now: Instant) -> [Action] {
    guard isRunning else { return [] }
    wasAsked = true
    guard isDraining else { return stopByInput(now) }
    state = .stopping(.drain)
    return [.sayDrain, setTimer(now + Self.drainGrace)]
  }

  mutating func stopByInput(_ now: Instant) -> [Action] {
    wasAsked = true
    state = .stopping(.input)
    return [.sayShutdown, .closeInput, setTimer(now + Self.inputGrace)]
  }

  mutating func condemn(_ reason: PluginStopReason) -> [Action] {
    condemned = reason
    switch state {
    case .stopped, .backingOff, .quarantined:
      timer += 1
      let refusal = Self.longQuarantine
      state = .quarantined(reason, until: nil)
      isWanted = false
      return [
        .reportQuarantine(reason, exit: exit.map { "\($0)" }, until: nil),
        .refuse(.quarantined("\(reason)", retryAfter: refusal)),
      ]
    case .starting, .running, .stopping(.drain):
      return faulted(reason)
    case .ending, .stopping, .closed:
      return []
    }
  }

  mutating func release() -> [Action] {
    condemned = nil
    policy.reset()
    guard case .quarantined = state else { return [] }
    state = .stopped
    return [.reportRelease]
  }

  mutating func shutdown(_ now: Instant) -> [Action] {
    guard !isClosing else { return [] }
    isClosing = true
    switch state {
    case .stopped, .backingOff, .quarantined:
      timer += 1
      state = .closed
      return [.refuse(.shuttingDown), .close]
    case .starting:
      wasAsked = true
      state = .stopping(.kill)
      return [.refuse(.shuttingDown), .kill]
    case .running, .stopping(.drain):
      return stopByInput(now)
    case .ending:
      return [.refuse(.shuttingDown)]
    case .stopping, .closed:
      return []
    }
  }
}
