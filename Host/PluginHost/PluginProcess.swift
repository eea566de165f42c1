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
    case faulted(PluginFailure)
    case outputEnded
  }

  /// How a call could not be opened.
  enum Refusal: Error {
    /// The process is ending; another one must be started.
    case ending
    case failed(PluginFailure)
  }

  private struct State {
    var table = CallTable<PluginCall>()
    var isOpen = false
    /// When the reader's thread looks at the clock next.
    var alarm: Instant?
  }

  let child: ChildProcess
  let outbox: Outbox
  let wakeRead: OwnedDescriptor
  private let wakeWrite: OwnedDescriptor
  private let inFlight: Int
  private let state = Mutex(State())
  private let errorStream = Mutex(ErrorStream())
  private let childHasExited = Atomic(false)

  /// Takes over the pipes of the child.
  init(child: ChildProcess, input: OwnedDescriptor, inFlight: Int) throws(SpawnError) {
    let wake = try OwnedDescriptor.makePipe()
    for descriptor in [input, wake.read, wake.write, child.standardOutput, child.standardError] {
      descriptor?.makeNonBlocking()
    }
    let wakeWrite = wake.write
    self.child = child
    self.inFlight = inFlight
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
    let expiry = Instant.now + deadline
    let (refusal, mustWake): (Refusal?, Bool) = state.withLock { state in
      guard state.isOpen else { return (.ending, false) }
      guard state.table.count < inFlight else { return (.failed(.overloaded), false) }
      state.table.open(call.number, call, deadline: expiry)
      return (nil, Self.setAlarm(expiry, in: &state))
    }
    if let refusal { throw refusal }
    if mustWake { wake() }
    switch outbox.append(frame) {
    case .taken:
      break
    case .full:
      state.withLock { $0.table.withdraw(call.number) }
      throw .failed(.overloaded)
    case .closed:
      state.withLock { $0.table.withdraw(call.number) }
      throw .ending
    }
  }

  var openCalls: Int {
    state.withLock { $0.table.count }
  }

  var answeredCalls: Int {
    state.withLock { $0.table.answered }
  }

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
    state.withLock { $0.isOpen = true }
  }

  /// Fails every open call and takes no more.
  func failAll(_ failure: PluginFailure) {
    let calls = state.withLock { state in
      state.isOpen = false
      return state.table.removeAll()
    }
    for call in calls {
      call.mailbox.deliver(.failed(failure))
    }
  }

  // MARK: Requests of the plugin

  func answer(_ id: Int64, result: RawJSON) {
    reply(id) { Frame.response(id: id, result: Whole(json: result)) }
  }

  func refuse(_ id: Int64, error: ProtocolError) {
    reply(id) { Frame.failure(id: id, error: error) }
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
    if outbox.append(frame) == .full {
      child.send(signal: SIGKILL)
    }
  }

  func sendCancel(_ number: Int64) {
    send(Frame.notification(method: CancelNotification.method, params: CancelNotification(id: number)))
  }

  // MARK: For the reader's thread

  func route(request id: Int64, call: String) -> CallTable<PluginCall>.Routed {
    state.withLock { $0.table.route(request: id, call: call) }
  }

  func takeAnswered(_ number: Int64) -> CallTable<PluginCall>.Answered {
    state.withLock { $0.table.answer(number) }
  }

  /// What is due, whether the process is stuck, and when to look again.
  func expire(now: Instant) -> (expiries: [CallTable<PluginCall>.Expiry], isStuck: Bool, alarm: Instant?) {
    state.withLock { state in
      guard let alarm = state.alarm, alarm <= now else { return ([], false, state.alarm) }
      let expiries = state.table.expire(now: now)
      state.alarm = state.table.nextExpiry
      return (expiries, state.table.isStuck, state.alarm)
    }
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

  /// Takes bytes of standard error, nil at its end.
  func consumeError(_ bytes: ArraySlice<UInt8>?) -> [String] {
    errorStream.withLock { stream in
      guard let bytes else { return stream.finish().map { [$0] } ?? [] }
      return stream.consume(bytes)
    }
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
    if let alarm = state.alarm, alarm <= instant { return false }
    state.alarm = instant
    return true
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
