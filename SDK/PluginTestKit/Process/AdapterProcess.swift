import Glibc
import JSONText
import PluginProtocol
import PluginTransport
import Synchronization

/// A running adapter, seen from the host's side.
///
/// Lines are read on a thread of their own and kept; with handlers, a connection answers them as well. The process is
/// killed, with its group, when this object goes away.
final class AdapterProcess: Sendable {
  /// What came from the adapter so far.
  struct Output: Sendable {
    /// Frames in order.
    var frames: [RawJSON] = []
    /// Beginnings of lines that are no frames.
    var strays: [String] = []
    /// Lines that begin like a frame and are none.
    var malformed = 0
    /// The stream ended.
    var ended = false
    /// Bytes of stderr, the first 64 KiB of them.
    var errors: [UInt8] = []
    var exit: AdapterExit?
    /// A call ran over its time and the process was killed for it.
    var timedOut = false
  }

  /// Sees every frame on its way; `toAdapter` says which one.
  typealias Tap = @Sendable (_ frame: ArraySlice<UInt8>, _ toAdapter: Bool) -> Void

  let pid: Int32
  private let input: Int32
  private let inputEnd: PipeEnd
  private let writer: PipeWriter
  /// Nil for a process that is spoken to by hand.
  let connection: Connection?
  private let output = Mutex(Output())
  private let readingIsPaused = Atomic(false)
  private let pulse = Pulse()
  private let tap: Tap
  private let ledger: OutputLedger?

  /// Passes frames on and shows them to the tap.
  private struct Sink: FrameSink {
    let writer: PipeWriter
    let tap: Tap

    func send(_ frame: [UInt8]) throws(FrameSinkError) {
      tap(frame.dropLast(), true)
      try writer.send(frame)
    }
  }

  /// Starts a program.
  ///
  /// - Parameters:
  ///   - handlers: answers what the adapter asks; nil to look at the frames instead.
  ///   - errorsAreBlocked: nobody reads stderr, and its pipe is full.
  init(
    _ launch: AdapterLaunch,
    handlers: Connection.Handlers?,
    errorsAreBlocked: Bool = false,
    ledger: OutputLedger? = nil,
    tap: @escaping Tap = { _, _ in }
  ) throws(AdapterProcessError) {
    let child = try Spawner.spawn(launch, errorsAreBlocked: errorsAreBlocked)
    pid = child.pid
    input = child.input
    self.tap = tap
    self.ledger = ledger
    let end = PipeEnd(child.input)
    inputEnd = end
    let writer = PipeWriter(descriptor: child.input, maximumPendingBytes: 64 * 1_048_576, owner: end)
    self.writer = writer
    connection = handlers.map { Connection(sink: Sink(writer: writer, tap: tap), handlers: $0) }
    let threads = [
      LastingThread.start { [weak self] in Self.read(child.output, self) },
      LastingThread.start { [weak self] in Self.wait(child.pid, self) },
      errorsAreBlocked || LastingThread.start { [weak self] in Self.drain(child.errors, self) },
    ]
    guard !threads.contains(false) else {
      kill(SIGKILL)
      throw AdapterProcessError("the system has no thread left")
    }
  }

  deinit {
    kill(SIGKILL)
  }

  // MARK: State

  var current: Output { output.withLock { $0 } }

  /// The text of stderr so far.
  var errorText: String { String(decoding: output.withLock { $0.errors }, as: UTF8.self) }

  /// Asks `read` whenever something came, until it answers or the time is over.
  func first<Value: Sendable>(
    within limit: Duration = .seconds(10),
    _ read: @escaping @Sendable (Output) -> Value?
  ) async -> Value? {
    await pulse.first(within: limit) { [self] in read(current) }
  }

  /// Waits for the end of the process; nil if it still runs.
  func exit(within limit: Duration) async -> AdapterExit? {
    await first(within: limit) { $0.exit }
  }

  // MARK: Input

  /// Writes bytes as they are.
  func send(_ bytes: [UInt8]) {
    // What cannot be written shows up as an answer that does not come.
    do throws(FrameSinkError) { try writer.send(bytes) } catch {}
  }

  /// Writes bytes one at a time, each in a write of its own.
  func trickle(_ bytes: [UInt8]) {
    let flags = fcntl(input, F_GETFL, 0)
    _ = fcntl(input, F_SETFL, flags & ~O_NONBLOCK)
    for byte in bytes {
      guard unsafe withUnsafeBytes(of: byte, { unsafe write(input, $0.baseAddress, 1) }) == 1 else { break }
    }
    _ = fcntl(input, F_SETFL, flags)
  }

  /// Ends the adapter's stdin, as a host does that goes away.
  func closeInput() {
    inputEnd.end()
  }

  /// Stops or goes on reading what the adapter writes.
  func pauseReading(_ paused: Bool) {
    readingIsPaused.store(paused, ordering: .sequentiallyConsistent)
  }

  /// Sends a signal to the process and its group, unless it is gone.
  func kill(_ signal: Int32) {
    output.withLock { output in
      // The number belongs to this process until it is reaped, which happens under the same lock.
      guard output.exit == nil else { return }
      Glibc.kill(-pid, signal)
      Glibc.kill(pid, signal)
    }
  }

  // MARK: Calls

  /// Makes a call; a process that does not answer in time is killed, and the call fails.
  func call<Request: RequestMessage>(
    _ request: Request,
    within limit: Duration = .seconds(20)
  ) async throws(ProtocolError) -> Request.Answer {
    guard let connection else { throw ProtocolError(.internal, "this process is spoken to by hand") }
    let alarm = Task { [weak self] in
      try await Task.sleep(for: limit)
      guard let self else { return }
      output.withLock { $0.timedOut = true }
      kill(SIGKILL)
    }
    defer { alarm.cancel() }
    return try await connection.call(request)
  }

  // MARK: Threads

  private static func read(_ descriptor: Int32, _ process: @autoclosure () -> AdapterProcess?) {
    var reader = FrameReader(maximumFrameBytes: 4 * FrameReader.defaultMaximumFrameBytes)
    let end = PipeReader.run(descriptor: descriptor, reader: &reader) { event in
      guard let process = process() else { return false }
      while process.readingIsPaused.load(ordering: .sequentiallyConsistent) { usleep(2_000) }
      process.take(event)
      return true
    }
    close(descriptor)
    guard let process = process() else { return }
    process.output.withLock { output in
      output.ended = true
      if end == .endOfFile(partial: true) { output.malformed += 1 }
    }
    process.connection?.close(ProtocolError(.connectionLost, "the adapter ended"))
    process.pulse.fire()
  }

  private func take(_ event: FrameReader.Event) {
    if case .frame(let frame) = event { tap(frame.bytes, false) }
    ledger?.take(event)
    output.withLock { output in
      switch event {
      case .frame(let frame): output.frames.append(frame)
      case .stray(let prefix): output.strays.append(String(decoding: prefix, as: UTF8.self))
      case .malformed, .overflow: output.malformed += 1
      }
    }
    connection?.receive(event)
    pulse.fire()
  }

  private static func drain(_ descriptor: Int32, _ process: @autoclosure () -> AdapterProcess?) {
    var buffer = [UInt8](repeating: 0, count: 16_384)
    while true {
      let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0, let process = process() else { break }
      process.output.withLock { output in
        output.errors.append(contentsOf: buffer[..<count].prefix(65_536 - output.errors.count))
      }
      process.pulse.fire()
    }
    close(descriptor)
  }

  private static func wait(_ pid: Int32, _ process: @autoclosure () -> AdapterProcess?) {
    var info = unsafe siginfo_t()
    while unsafe waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
    guard let process = process() else {
      var status: Int32 = 0
      _ = unsafe waitpid(pid, &status, 0)
      return
    }
    process.output.withLock { output in
      var status: Int32 = 0
      _ = unsafe waitpid(pid, &status, 0)
      output.exit = status & 0x7F == 0 ? .status((status >> 8) & 0xFF) : .signal(status & 0x7F)
    }
    process.pulse.fire()
  }
}
