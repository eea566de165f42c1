internal import PluginProtocol
internal import Synchronization

/// What the reader's thread needs of the process.
extension PluginProcess {
  func route(request id: Int64, call: String, bytes: Int) -> CallTable<PluginCall>.Routed {
    state.withLock { $0.table.route(request: id, call: call, bytes: bytes) }
  }

  func takeAnswered(_ number: Int64) -> CallTable<PluginCall>.Answered {
    let (answered, isIdle) = state.withLock { state in
      let answered = state.table.answer(number)
      guard case .open = answered else { return (answered, false) }
      return (answered, Self.noteEnd(in: &state))
    }
    if isIdle { report(.idle) }
    return answered
  }

  /// What a look at the clock found.
  struct Due {
    var expiries: [CallTable<PluginCall>.Expiry] = []
    var fault: PluginStopReason?
    /// Whether the plugin is to be asked for its health.
    var mustAsk = false
    /// When to look again.
    var alarm: Instant?
  }

  /// Finds out what is due.
  func expire(now: Instant) -> Due {
    let (due, isIdle) = state.withLock { state in
      var due = Due(fault: state.fault)
      var isIdle = false
      if let alarm = state.alarm, alarm <= now {
        due.expiries = state.table.expire(now: now)
        state.alarm = state.table.nextExpiry
        if state.table.isStuck {
          due.fault = .deadlinesMissed("it left \(CallTable<PluginCall>.stuckCalls) calls unanswered past their time")
        }
        isIdle = due.expiries.contains(where: \.isEnd) && Self.noteEnd(in: &state)
      }
      due.alarm = state.alarm
      let owes = state.isOpen && state.table.count > 0 && !state.table.hasOpenRequests
      switch state.health?.step(owes: owes, now: now) {
      case .ask:
        due.mustAsk = true
        due.alarm = Self.earlier(due.alarm, now + HealthWatch.patience)
      case .look(let at?): due.alarm = Self.earlier(due.alarm, at)
      case .hung: due.fault = due.fault ?? .unresponsive("it did not answer health/check")
      case .look(nil), nil: break
      }
      state.nextLook = due.alarm
      return (due, isIdle)
    }
    if due.mustAsk { _ = ask(.health, CheckHealthRequest.method, CheckHealthRequest()) }
    if isIdle { report(.idle) }
    return due
  }

  /// The plugin wrote something.
  func noteSign(_ now: Instant) {
    state.withLock { $0.health?.noteSign(now) }
  }

  /// - Returns: Whether the process has become idle and that is to be told.
  private static func noteEnd(in state: inout State) -> Bool {
    guard state.table.count == 0 else { return false }
    state.lastEnd = .now
    defer { state.reportsIdle = false }
    return state.reportsIdle
  }

  static func earlier(_ alarm: Instant?, _ instant: Instant) -> Instant {
    alarm.map { min($0, instant) } ?? instant
  }

  /// Whether the child was reaped, so that its output ends with what the pipe holds now.
  var hasExited: Bool { childHasExited.load(ordering: .acquiring) }

  func noteExit() {
    childHasExited.store(true, ordering: .releasing)
    wake()
  }

  /// The last lines of standard error.
  var lastErrorLines: [String] {
    errorStream.withLock { $0.lastLines }
  }

  /// Takes bytes of standard error.
  func consumeError(_ bytes: ArraySlice<UInt8>, wanted: Int) -> (lines: [String], more: Int) {
    errorStream.withLock { $0.consume(bytes, wanted: wanted) }
  }

  /// Ends standard error; returns the line that had no end.
  func finishErrors() -> String? {
    errorStream.withLock { $0.finish() }
  }
}
