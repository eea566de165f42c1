internal import Dispatch
internal import Glibc
internal import JSONText
internal import PluginProtocol
internal import PluginTransport
internal import Processes
internal import Synchronization

/// One running process of a plugin: its open calls and what is written to it. What it says is read by `PluginReader`.
final class PluginProcess: Sendable {
  typealias Instant = ContinuousClock.Instant

  /// What the process's end of the conversation led to.
  enum Report: Sendable {
    case ready
    case faulted(PluginStopReason)
    case outputEnded
    /// No call is open any more.
    case idle
    /// The plugin says that it has nothing left to do.
    case drained
  }

  /// A request that belongs to no call.
  private enum Control {
    case health
    case probe(@Sendable (_ problem: String?) -> Void)
    case drain
    case shutdown
  }

  /// How a call could not be opened.
  enum Refusal: Error {
    /// No call comes in any more: the process is being ended.
    case sealed
    /// The plugin has closed its input.
    case inputClosed
    case failed(PluginFailure)
  }

  private struct State {
    var table = CallTable<PluginCall>()
    var isOpen = false
    var controls: [Int64: Control] = [:]
    var health: HealthWatch?
    var lastEnd: Instant?
    /// Whether the end of the last open call is to be reported.
    var reportsIdle = false
    /// The jobs under which the process died.
    var jobsAtDeath: Set<String> = []
    /// What the host holds against the process, found outside the reader's thread.
    var fault: PluginStopReason?
    /// When the time of the next call is over.
    var alarm: Instant?
    /// When the reader's thread looks at the clock next; nil for never.
    var nextLook: Instant?
  }

  let child: ChildProcess
  let outbox: Outbox
  let wakeRead: OwnedDescriptor
  private let wakeWrite: OwnedDescriptor
  private let inFlight: Int
  private let numbers: CallNumbers
  private let frames: FrameLog
  private let counters: PluginCounters
  private let report: @Sendable (Report) -> Void
  private let state = Mutex(State())
  private let errorStream = Mutex(ErrorStream())
  private let childHasExited = Atomic(false)

  /// Takes over the pipes of the child.
  init(
    child: ChildProcess,
    input: OwnedDescriptor,
    inFlight: Int,
    numbers: CallNumbers,
    frames: FrameLog,
    counters: PluginCounters,
    report: @escaping @Sendable (Report) -> Void
  ) throws(SpawnError) {
    let wake = try OwnedDescriptor.makePipe()
    for descriptor in [input, wake.read, wake.write, child.standardOutput, child.standardError] {
      descriptor?.makeNonBlocking()
    }
    let wakeWrite = wake.write
    self.child = child
    self.inFlight = inFlight
    self.numbers = numbers
    self.frames = frames
    self.counters = counters
    self.report = report
    wakeRead = wake.read
    self.wakeWrite = wakeWrite
    outbox = Outbox(pipe: input) { PluginProcess.wake(wakeWrite) }
  }

  // MARK: Calls

  /// Opens a call and sends it.
  func begin(
    _ call: PluginCall,
    method: String,
    params: RawJSON,
    attempt: Int,
    deadline: Duration
  ) throws(Refusal) {
    let frame = CallFrame.make(
      number: call.number,
      method: method,
      params: params,
      deadlineMilliseconds: deadline.wholeMilliseconds,
      attempt: attempt
    )
    guard frame.count <= PluginReader.maximumFrameBytes else {
      throw .failed(.requestTooLarge(bytes: frame.count))
    }
    let now = Instant.now
    let expiry = now + deadline
    let (refusal, mustWake): (Refusal?, Bool) = state.withLock { state in
      guard state.isOpen else { return (.sealed, false) }
      guard state.table.count < inFlight else { return (.failed(.overloaded), false) }
      state.table.open(call.number, call, deadline: expiry)
      let mustWake = Self.setAlarm(expiry, in: &state)
      return (nil, Self.looksTooLate(now + HealthWatch.silence, state) || mustWake)
    }
    if let refusal { throw refusal }
    if mustWake { wake() }
    frames.record(.toPlugin, frame)
    switch outbox.append(frame) {
    case .taken:
      counters.change { $0.calls += 1 }
    case .full:
      state.withLock { $0.table.withdraw(call.number) }
      throw .failed(.overloaded)
    case .closed:
      state.withLock { $0.table.withdraw(call.number) }
      throw .inputClosed
    }
  }

  /// The calls as the lifecycle sees them.
  var calls: PluginLifecycle.Calls {
    state.withLock { state in
      PluginLifecycle.Calls(open: state.table.count, answered: state.table.answered, lastEnd: state.lastEnd)
    }
  }

  /// The jobs that were in flight when the process died, or were given up before and never answered.
  var jobsAtDeath: Set<String> { state.withLock { $0.jobsAtDeath } }

  /// Gives a call up.
  func cancel(_ number: Int64) {
    let (isOpen, mustWake) = state.withLock { state in
      guard let expiry = state.table.cancel(number, failure: .cancelled, now: .now) else { return (false, false) }
      return (true, Self.setAlarm(expiry, in: &state))
    }
    guard isOpen else { return }
    sendCancel(number)
    if mustWake { wake() }
  }

  /// Lets calls in after the handshake.
  func open() {
    state.withLock { state in
      state.isOpen = true
      state.health = HealthWatch(now: .now)
    }
  }

  /// Lets no call in any more, if none is open; otherwise the end of the last one is reported.
  ///
  /// - Returns: Whether it is sealed.
  func seal() -> Bool {
    state.withLock { state in
      guard state.table.count == 0 else {
        state.reportsIdle = true
        return false
      }
      state.isOpen = false
      return true
    }
  }

  /// Fails every open call and takes no more.
  func failAll(_ reason: PluginStopReason) {
    let (calls, controls) = state.withLock { state in
      state.isOpen = false
      let calls = state.table.removeAll()
      state.jobsAtDeath.formUnion((calls.open + calls.abandoned).compactMap(\.job))
      defer { state.controls = [:] }
      return (calls.open, state.controls)
    }
    for call in calls {
      call.deliver(.failed(reason.failure))
    }
    for case .probe(let report) in controls.values {
      report("\(reason)")
    }
  }

  // MARK: Requests that belong to no call

  /// Asks whether the plugin lives; `report` is called once, with what is wrong or nil.
  func probe(within limit: Duration, report: @escaping @Sendable (_ problem: String?) -> Void) {
    let number = ask(.probe(report), CheckHealthRequest.method, CheckHealthRequest())
    let delay = Double(limit.wholeMilliseconds) / 1_000
    DispatchQueue.global().asyncAfter(deadline: .now() + delay) { @Sendable [weak self] in
      guard let self, self.state.withLock({ $0.controls.removeValue(forKey: number) }) != nil else { return }
      report("it did not answer health/check within \(limit)")
    }
  }

  func sayDrain() {
    _ = ask(.drain, DrainRequest.method, DrainRequest())
  }

  func sayShutdown() {
    _ = ask(.shutdown, ShutdownRequest.method, ShutdownRequest())
  }

  private func ask(_ control: Control, _ method: String, _ params: some WireValue) -> Int64 {
    let number = numbers.next()
    state.withLock { $0.controls[number] = control }
    send(Frame.request(id: number, method: method, params: params))
    return number
  }

  /// Takes an answer that belongs to no call; false when it is none.
  func takeControl(_ number: Int64, error: ProtocolError?) -> Bool {
    guard let control = state.withLock({ $0.controls.removeValue(forKey: number) }) else { return false }
    switch control {
    case .health, .shutdown: break
    case .probe(let report): report(error.map { "it answered health/check with an error: \($0)" })
    case .drain: report(.drained)
    }
    return true
  }

  // MARK: Requests of the plugin

  func answer(_ id: Int64, result: RawJSON) {
    reply(id) { Frame.response(id: id, result: Whole(json: result)) }
  }

  func refuse(_ id: Int64, error: ProtocolError) {
    reply(id) { Frame.failure(id: id, error: error) }
  }

  func notify(_ method: String, params: RawJSON) {
    send(Frame.notification(method: method, params: Whole(json: params)))
  }

  private func reply(_ id: Int64, _ frame: () -> [UInt8]) {
    guard state.withLock({ $0.table.close(request: id) }) else { return }
    let frame = frame()
    guard frame.count <= PluginReader.maximumFrameBytes else {
      let error = ProtocolError(.responseTooLarge, "the answer of \(frame.count) bytes is longer than a frame may be")
      return send(Frame.failure(id: id, error: error))
    }
    send(frame)
  }

  /// Sends a frame that belongs to the conversation. A plugin that lets eight megabytes lie is ended.
  func send(_ frame: [UInt8]) {
    frames.record(.toPlugin, frame)
    guard outbox.append(frame) == .full else { return }
    state.withLock { $0.fault = $0.fault ?? .unresponsive("it has left \(Outbox.capacity) bytes unread") }
    wake()
  }

  func sendCancel(_ number: Int64) {
    send(Frame.notification(method: CancelNotification.method, params: CancelNotification(id: number)))
  }

  // MARK: For the reader's thread

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

  private static func earlier(_ alarm: Instant?, _ instant: Instant) -> Instant {
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

  private func wake() {
    Self.wake(wakeWrite)
  }

  private static func wake(_ pipe: OwnedDescriptor) {
    // A full pipe is a wake-up that is on its way already.
    _ = pipe.write([1])
  }

  /// Notes that something is due; true if the reader's thread would look too late.
  private static func setAlarm(_ instant: Instant, in state: inout State) -> Bool {
    state.alarm = earlier(state.alarm, instant)
    return looksTooLate(instant, state)
  }

  private static func looksTooLate(_ instant: Instant, _ state: State) -> Bool {
    state.nextLook.map { $0 > instant } ?? true
  }
}

/// A result that is passed on as it is.
private struct Whole: WireValue {
  let json: RawJSON

  init(json: RawJSON) {
    self.json = json
  }

  func write(to writer: inout JSONWriter) {
    writer.raw(json)
  }
}

extension Duration {
  /// Milliseconds, rounded down, from 0 to a hundred years.
  var wholeMilliseconds: Int64 {
    let limit: Int64 = 3_155_760_000_000
    let (milliseconds, overflow) = components.seconds.multipliedReportingOverflow(by: 1_000)
    guard !overflow else { return components.seconds < 0 ? 0 : limit }
    return min(max(milliseconds + components.attoseconds / 1_000_000_000_000_000, 0), limit)
  }
}
