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
  enum Control {
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

  struct State {
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
  let numbers: CallNumbers
  private let frames: FrameLog
  private let counters: PluginCounters
  private let noteWork: (@Sendable () -> Void)?
  let report: @Sendable (Report) -> Void
  let state = Mutex(State())
  let errorStream = Mutex(ErrorStream())
  let childHasExited = Atomic(false)

  /// Takes over the pipes of the child.
  ///
  /// - Parameter noteWork: Called at each call that begins.
  init(
    child: ChildProcess,
    input: OwnedDescriptor,
    inFlight: Int,
    numbers: CallNumbers,
    frames: FrameLog,
    counters: PluginCounters,
    noteWork: (@Sendable () -> Void)? = nil,
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
    self.noteWork = noteWork
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
    noteWork?()
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

  func wake() {
    Self.wake(wakeWrite)
  }

  static func wake(_ pipe: OwnedDescriptor) {
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
