internal import Glibc
internal import JSONText
internal import Logging
internal import PluginProtocol
internal import PluginTransport
internal import Processes

/// The loop of a plugin's own thread: reads what the plugin says, brings it to the calls, and watches the clock.
///
/// It never waits for anything but its descriptors. Used on that thread only.
struct PluginReader: ~Copyable {
  /// Most bytes of a frame, both ways.
  static let maximumFrameBytes = FrameReader.defaultMaximumFrameBytes
  /// How long a plugin may leave its input unread while something waits.
  static let longestBlock = Duration.seconds(10)
  private static let chunkBytes = 65_536

  private let process: PluginProcess
  private let handshake: Handshake
  private let handshakeNumber: Int64
  private let report: @Sendable (PluginProcess.Report) -> Void
  private let journal: PluginJournal
  private let log: FrameLog
  private var flood = FloodBudget(now: .now)
  private var frames = FrameReader(maximumFrameBytes: PluginReader.maximumFrameBytes)
  private var buffer: [UInt8] = []
  private var isReady: Bool
  private(set) var hasFault = false

  /// - Parameter isReady: Whether the handshake is done already.
  init(
    process: PluginProcess,
    handshake: Handshake,
    handshakeNumber: Int64,
    journal: PluginJournal,
    log: FrameLog,
    isReady: Bool = false,
    report: @escaping @Sendable (PluginProcess.Report) -> Void
  ) {
    self.process = process
    self.handshake = handshake
    self.handshakeNumber = handshakeNumber
    self.journal = journal
    self.log = log
    self.isReady = isReady
    self.report = report
  }

  /// Runs until everything the process will ever say was read.
  consuming func run() {
    buffer = [UInt8](repeating: 0, count: Self.chunkBytes)
    process.send(
      Frame.request(id: handshakeNumber, method: InitializeRequest.method, params: handshake.request)
    )
    var output = process.child.standardOutput?.rawValue
    var errors = process.child.standardError?.rawValue
    while let descriptor = output {
      // Taken before the read: what is in the pipe after the process's end is all there is.
      let hasExited = process.hasExited
      var entries = [
        pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: errors ?? -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: process.wakeRead.rawValue ?? -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: process.outbox.blockedDescriptor ?? -1, events: Int16(POLLOUT), revents: 0),
      ]
      unsafe poll(&entries, nfds_t(entries.count), hasExited ? 0 : watchClock())
      if entries[2].revents != 0 { _ = Self.read(process.wakeRead.rawValue, into: &buffer) }
      if entries[3].revents != 0 { process.outbox.flush() }
      if entries[1].revents != 0, !readErrors(errors) { errors = nil }
      if entries[0].revents != 0 {
        if !readOutput(descriptor) { output = nil }
      } else if hasExited {
        output = nil
      }
    }
    while readErrors(errors) {}
    finish()
  }

  private func finish() {
    if let line = process.finishErrors() { journal.note(errorLine: line) }
    report(.outputEnded)
  }

  // MARK: Bytes

  private enum Read {
    case bytes(Int)
    case nothing
    case end
  }

  private static func read(_ descriptor: Int32?, into buffer: inout [UInt8]) -> Read {
    guard let descriptor else { return .end }
    while true {
      let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count > 0 { return .bytes(count) }
      if count == 0 { return .end }
      if errno == EAGAIN { return .nothing }
      if errno != EINTR { return .end }
    }
  }

  /// Reads once; false at the end of the stream.
  private mutating func readOutput(_ descriptor: Int32) -> Bool {
    switch Self.read(descriptor, into: &buffer) {
    case .nothing: return true
    case .end: return false
    case .bytes(let count):
      // A second reference, not a copy: reading it does not overlap with changing `self`.
      let bytes = buffer
      consume(bytes, count: count)
      return true
    }
  }

  /// Takes what the plugin wrote.
  mutating func consume(_ bytes: [UInt8], count: Int? = nil) {
    let count = count ?? bytes.count
    let now = ContinuousClock.now
    process.noteSign(now)
    spend(count, now, "lines on standard output that are no messages")
    var events: [FrameReader.Event] = []
    frames.consume(bytes.span.extracting(0..<count)) { events.append($0) }
    for event in events where !hasFault {
      handle(event)
    }
  }

  /// Reads once; false when there is nothing to read now or ever.
  private mutating func readErrors(_ descriptor: Int32?) -> Bool {
    guard case .bytes(let count) = Self.read(descriptor, into: &buffer) else { return false }
    spend(count, .now, "standard error")
    let wanted = journal.note(errorBytes: count)
    let (lines, more) = process.consumeError(buffer[..<count], wanted: wanted)
    for line in lines { journal.note(errorLine: line) }
    journal.note(droppedErrorLines: more)
    spend((lines.count + more) * FloodBudget.lineCost, .now, "standard error")
    return true
  }

  // MARK: Clock

  /// Does what is due; returns the time until the next look in milliseconds, -1 for never.
  private mutating func watchClock() -> Int32 {
    let now = ContinuousClock.now
    let due = process.expire(now: now)
    for expiry in due.expiries {
      switch expiry {
      case .cancel(let number): process.sendCancel(number)
      case .fail(let call, let failure): call.deliver(.failed(failure))
      }
    }
    if let found = due.fault { fault(found) }
    var next = due.alarm
    if let limit = process.outbox.blockedSince.map({ $0 + Self.longestBlock }) {
      if limit <= now {
        fault(.unresponsive("it has not read its input for \(Self.longestBlock)"))
      } else {
        next = min(next ?? limit, limit)
      }
    }
    guard let next, !hasFault else { return -1 }
    // One more, so that the thread does not wake a moment too early and spin.
    return Int32(clamping: now.duration(to: next).wholeMilliseconds + 1)
  }

  private mutating func fault(_ reason: PluginStopReason) {
    guard !hasFault else { return }
    hasFault = true
    report(.faulted(reason))
  }

  /// Notes bytes that may turn out to belong to no call.
  private mutating func spend(_ count: Int, _ now: ContinuousClock.Instant, _ what: String) {
    guard !flood.spend(count, now: now) else { return }
    fault(.flood("\(what), more than the host can read"))
  }

  private mutating func violation(_ reason: String) {
    fault(.protocolViolation(reason))
  }

  // MARK: Messages

  private mutating func handle(_ event: FrameReader.Event) {
    switch event {
    case .stray(let prefix):
      spend(FloodBudget.lineCost, .now, "lines on standard output that are no messages")
      if journal.note(stray: prefix) { log.record(.fromPlugin, prefix) }
    case .malformed(let error): violation("a line that begins with { is not JSON: \(error)")
    case .overflow(let limit): violation("a line is longer than \(limit) bytes")
    case .frame(let frame):
      log.record(.fromPlugin, frame.bytes)
      do {
        handle(try Envelope(frame), size: frame.bytes.count + 1)
      } catch {
        violation("a message is not JSON-RPC 2.0: \(error)")
      }
    }
  }

  private mutating func handle(_ envelope: Envelope, size: Int) {
    switch envelope {
    case .response(handshakeNumber, let result) where !isReady:
      finishHandshake(problem: handshake.problem(with: result))
    case .failure(handshakeNumber, let error) where !isReady:
      finishHandshake(problem: handshake.problem(with: error))
    case .response(let id, let result):
      flood.refund(size)
      if !process.takeControl(id, error: nil) { finishCall(id, .result(result)) }
    case .failure(let id?, let error):
      flood.refund(size)
      if !process.takeControl(id, error: error) { finishCall(id, .failed(.remote(error))) }
    case .failure(nil, let error):
      violation("it could not read a message of the host: \(error)")
    case .request(let id, let method, let params):
      isReady ? route(id, method, params, size: size) : violation("it sent \(method) before the handshake")
    case .notification(let method, let params):
      journal.note(notification: method, params: params)
    }
  }

  private mutating func finishHandshake(problem: PluginStopReason?) {
    if let problem { return fault(problem) }
    isReady = true
    process.send(Frame.notification(method: InitializedNotification.method, params: InitializedNotification()))
    process.open()
    report(.ready)
  }

  private mutating func finishCall(_ number: Int64, _ message: PluginMessage) {
    switch process.takeAnswered(number) {
    case .open(let call, let pendingFailure):
      call.deliver(Self.last(message, pendingFailure: pendingFailure))
    case .late:
      journal.noteLateAnswer()
    case .unknown:
      violation("it answered call \(number), which is not open")
    }
  }

  /// A call that was given up ends with the reason why, unless the plugin was done already.
  private static func last(_ message: PluginMessage, pendingFailure: PluginFailure?) -> PluginMessage {
    guard let pendingFailure, case .failed(.remote(let error)) = message else { return message }
    return error.kind == .cancelled || error.kind == .deadlineExceeded ? .failed(pendingFailure) : message
  }

  private mutating func route(_ id: Int64, _ method: String, _ params: RawJSON, size: Int) {
    guard method.hasPrefix("host/") else {
      return refuse(id, ProtocolError(.methodNotFound, "the host has no method \(method)"))
    }
    let name: String
    do {
      name = try params.object().string("call")
    } catch {
      return refuse(id, ProtocolError(.invalidParams, "\(error)", field: "call"))
    }
    switch process.route(request: id, call: name, bytes: size) {
    case .open(let call):
      flood.refund(size)
      call.deliver(.request(PluginRequest(id: id, method: method, params: params)))
    case .finished:
      refuse(id, ProtocolError(.invalidParams, "the call \(name) is over", field: "call"))
    case .overloaded:
      refuse(id, ProtocolError(.overloaded, "too many requests are open"))
    case .unknown:
      violation("it sent \(method) for a call that was never made")
    case .duplicate:
      violation("it used the number \(id) for two requests at once")
    }
  }

  private func refuse(_ id: Int64, _ error: ProtocolError) {
    process.send(Frame.failure(id: id, error: error))
  }
}
