internal import Synchronization

/// The bytes between a handler that writes an answer and the client that takes it.
final class StreamPipe: AnswerStream, ResponseWriter {
  private struct State {
    var bytes: [UInt8] = []
    var taken = 0
    var isFinished = false
    var isFailed = false
    var isClosed = false
    var isSuspended = false
    var writer: CheckedContinuation<Void, any Error>?

    var waiting: Int { bytes.count - taken }

    mutating func unsuspend() -> Bool {
      defer { isSuspended = false }
      return isSuspended
    }
  }

  private static let highWater = 256 << 10
  private static let lowWater = 64 << 10

  private let state = Mutex(State())
  private let handle: ConnectionHandle
  private let connection: Connection
  private let window: UInt64

  init(handle: ConnectionHandle, connection: Connection, window: UInt64) {
    self.handle = handle
    self.connection = connection
    self.window = window
  }

  func write(_ bytes: [UInt8]) async throws {
    try Task.checkCancellation()
    let (mustWait, mustResume) = try state.withLock { state throws in
      guard !state.isClosed else { throw ClientGone() }
      state.bytes.append(contentsOf: bytes)
      return (state.waiting > Self.highWater, state.unsuspend())
    }
    if mustResume { resume() }
    guard mustWait else { return }
    try await withCheckedThrowingContinuation { continuation in
      let result: Result<Void, any Error>? = state.withLock { state in
        if state.isClosed { return .failure(ClientGone()) }
        if state.waiting <= Self.lowWater { return .success(()) }
        state.writer = continuation
        return nil
      }
      if let result { continuation.resume(with: result) }
    }
  }

  /// Ends the answer after what was written; without `isFailed` the client sees a complete answer.
  func finish(isFailed: Bool) {
    let mustResume = state.withLock { state in
      state.isFinished = true
      state.isFailed = isFailed
      return state.unsuspend()
    }
    if mustResume { resume() }
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) -> AnswerReading {
    let (reading, writer) = state.withLock { state -> (AnswerReading, CheckedContinuation<Void, any Error>?) in
      if state.isClosed { return (.failed, nil) }
      let count = min(state.waiting, buffer.count)
      guard count > 0 else {
        if state.isFinished { return (state.isFailed ? .failed : .end, nil) }
        state.isSuspended = true
        connection.deadline.store(0, ordering: .relaxed)
        handle.suspend()
        return (.suspended, nil)
      }
      unsafe state.bytes.withUnsafeBytes { source in
        unsafe buffer.copyBytes(from: source[state.taken..<(state.taken + count)])
      }
      state.taken += count
      if state.waiting == 0 {
        state.bytes.removeAll(keepingCapacity: true)
        state.taken = 0
      } else if state.taken > Self.highWater {
        state.bytes.removeFirst(state.taken)
        state.taken = 0
      }
      connection.deadline.store(Monotonic.now + window, ordering: .relaxed)
      guard state.waiting <= Self.lowWater else { return (.bytes(count), nil) }
      defer { state.writer = nil }
      return (.bytes(count), state.writer)
    }
    writer?.resume()
    return reading
  }

  func end() { close() }

  func released() { close() }

  private func close() {
    let (writer, mustResume) = state.withLock { state in
      state.isClosed = true
      defer { state.writer = nil }
      return (state.writer, state.unsuspend())
    }
    writer?.resume(throwing: ClientGone())
    if mustResume { resume() }
  }

  private func resume() {
    connection.deadline.store(Monotonic.now + window, ordering: .relaxed)
    handle.resume()
  }
}
