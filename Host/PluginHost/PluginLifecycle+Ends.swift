internal import Processes

/// A process that ends by itself, and what follows.
extension PluginLifecycle {
  mutating func faulted(_ reason: PluginStopReason) -> [Action] {
    guard fault == nil else { return [] }
    switch state {
    case .starting:
      fault = reason
      state = .ending
      timer += 1
      return [.kill]
    case .running, .stopping(.drain):
      fault = reason
      state = .ending
      timer += 1
      return [.failCalls(reason), .kill]
    case .ending where !wasAsked:
      // The process ended before its last words were read; what they say is the better reason.
      fault = reason
      return runStart == nil ? [.kill] : [.failCalls(reason), .kill]
    case .stopped, .ending, .stopping, .backingOff, .quarantined, .closed:
      return []
    }
  }

  mutating func outputEnded(now: Instant, calls: Calls, jitter: Double) -> [Action] {
    guard !hasOutputEnded else { return [] }
    hasOutputEnded = true
    let actions: [Action] = [.failCalls(endReason)]
    if hasExited { return actions + gone(now: now, calls: calls, jitter: jitter) }
    switch state {
    case .starting, .running:
      // A process that dies closes its output a moment before its exit is seen; the exit is the better reason.
      state = .ending
      return actions + [setTimer(now + Self.outputGrace)]
    case .stopped, .ending, .stopping, .backingOff, .quarantined, .closed:
      return actions
    }
  }

  mutating func inputClosed(_ now: Instant) -> [Action] {
    guard isRunning else { return [] }
    state = .ending
    return [setTimer(now + Self.outputGrace)]
  }

  mutating func exited(_ status: ExitStatus, now: Instant, calls: Calls, jitter: Double) -> [Action] {
    guard !hasExited else { return [] }
    hasExited = true
    exit = status
    if hasOutputEnded { return gone(now: now, calls: calls, jitter: jitter) }
    switch state {
    case .starting, .running: state = .ending
    case .stopped, .ending, .stopping, .backingOff, .quarantined, .closed: break
    }
    return []
  }

  /// Why the process ended or ends, as far as that is known.
  private var endReason: PluginStopReason {
    if let fault { return fault }
    if wasAsked { return .asked }
    guard let exit else { return .outputEnded }
    switch exit {
    // KILL, TERM, INT, HUP: none of them comes from inside, and the host's own are asked or have a fault.
    case .signaled(let number) where [1, 2, 9, 15].contains(number): return .killedFromOutside(number)
    case .signaled(let number): return runStart == nil ? .startFailed("it ended with \(exit)") : .signaled(number)
    case .exited(let code): return runStart == nil ? .startFailed("it ended with \(exit)") : .exited(code: code)
    }
  }

  private var exitText: String {
    let reason = endReason
    guard let exit else { return "\(reason)" }
    switch reason {
    case .asked, .exited, .signaled, .killedFromOutside: return "\(exit)"
    default: return "\(reason) (\(exit))"
    }
  }

  /// The process is gone: waits, starts the next one or closes.
  mutating func gone(now: Instant, calls: Calls, jitter: Double) -> [Action] {
    timer += 1
    idleTimer += 1
    let reason = endReason
    lastExit = exitText
    var actions: [Action] = [.reportEnd(reason)]
    if isDraining {
      isDraining = false
      actions.append(.reportDrained)
    }
    if isClosing || isDismissed {
      state = .closed
      isWanted = false
      return actions + [.refuse(.shuttingDown), .close]
    }
    let run = runStart.map { $0.duration(to: now) } ?? .zero
    let wasOnTrial = policy.isOnTrial
    let decision = policy.noteEnd(
      reason,
      afterRun: run,
      answeredCalls: calls.answered,
      now: now,
      jitter: jitter
    )
    if let condemned { return actions + quarantine(condemned, until: nil, now: now) }
    switch decision {
    case .quarantine(let length):
      return actions + quarantine(reason, until: now + length, now: now)
    case .restart(let delay):
      if wasOnTrial, !policy.isOnTrial { actions.append(.reportRelease) }
      return actions + restart(after: delay, now: now)
    }
  }

  private mutating func restart(after delay: Duration, now: Instant) -> [Action] {
    state = delay > .zero ? .backingOff(until: now + delay) : .stopped
    guard isWanted else { return [] }
    if case .startTimedOut(let reason) = endReason {
      // Whoever waited has waited long enough; the next caller tries anew.
      isWanted = false
      return [.refuse(.startFailed(reason))]
    }
    if delay > Self.longestWait {
      isWanted = false
      return [.refuse(.backingOff(retryAfter: delay))]
    }
    return delay > .zero ? [setTimer(now + delay)] : spawn(now)
  }

  private mutating func quarantine(_ reason: PluginStopReason, until: Instant?, now: Instant) -> [Action] {
    state = .quarantined(reason, until: until)
    isWanted = false
    return [
      .reportQuarantine(reason, exit: exit.map { "\($0)" }, until: until),
      .refuse(Self.refusal(reason, until: until, now: now)),
    ]
  }
}
