internal import Glibc
internal import Processes
internal import Synchronization

/// What waits to be written to a plugin's input.
///
/// The first one who appends writes for all, and nobody ever waits: what the pipe does not take stays here until the
/// reader's thread sees room in the pipe and calls `flush`.
final class Outbox: Sendable {
  /// Bytes that may wait.
  static let capacity = 8 << 20

  enum Answer: Equatable {
    case taken
    /// The frame was not taken: too much waits already.
    case full
    /// The frame was not taken: the plugin's input is closed.
    case closed
  }

  private struct State {
    var pending: [UInt8] = []
    /// Bytes that a writer has taken out of `pending` and not yet written.
    var inHand = 0
    var isWriting = false
    var isBlocked = false
    var isClosed = false
    var blockedSince: ContinuousClock.Instant?
  }

  private let pipe: OwnedDescriptor
  private let state = Mutex(State())
  /// Called when the pipe is full, so that somebody watches for room.
  private let onBlocked: @Sendable () -> Void

  /// - Parameter pipe: The non-blocking write end; closed by `close`.
  init(pipe: OwnedDescriptor, onBlocked: @escaping @Sendable () -> Void) {
    self.pipe = pipe
    self.onBlocked = onBlocked
  }

  /// The descriptor to watch for room, while there is something to write and no room.
  var blockedDescriptor: Int32? {
    state.withLock { $0.isBlocked && !$0.isClosed } ? pipe.rawValue : nil
  }

  /// Since when the plugin has read nothing although something waits.
  var blockedSince: ContinuousClock.Instant? {
    state.withLock { $0.blockedSince }
  }

  /// Takes a whole frame.
  func append(_ frame: [UInt8]) -> Answer {
    let (answer, mustWrite): (Answer, Bool) = state.withLock { state in
      if state.isClosed { return (.closed, false) }
      guard state.pending.count + state.inHand + frame.count <= Self.capacity else { return (.full, false) }
      if state.pending.isEmpty {
        state.pending = frame
      } else {
        state.pending.append(contentsOf: frame)
      }
      if state.isWriting || state.isBlocked { return (.taken, false) }
      state.isWriting = true
      return (.taken, true)
    }
    if mustWrite { write() }
    return answer
  }

  /// Writes on after the pipe was full. Called by the reader's thread.
  func flush() {
    let mustWrite = state.withLock { state in
      guard state.isBlocked, !state.isWriting, !state.isClosed else { return false }
      state.isBlocked = false
      state.isWriting = true
      return true
    }
    if mustWrite { write() }
  }

  /// Closes the pipe; what still waits is dropped.
  func close() {
    let mayClose = state.withLock { state in
      state.isClosed = true
      state.pending = []
      return !state.isWriting
    }
    // A writer at work closes the pipe itself, so that its descriptor cannot become another file under its hands.
    if mayClose { pipe.close() }
  }

  private func write() {
    while let chunk = takeChunk() {
      guard let descriptor = pipe.rawValue else { return }
      var offset = 0
      while offset < chunk.count {
        let count = unsafe chunk.withUnsafeBytes { bytes in
          unsafe Glibc.write(descriptor, bytes.baseAddress?.advanced(by: offset), bytes.count - offset)
        }
        if count > 0 {
          offset += count
        } else if errno == EINTR {
          continue
        } else if errno == EAGAIN {
          putBack(chunk, from: offset)
          return
        } else {
          // The plugin is gone; the reader learns it from the end of the output.
          abandon()
          return
        }
      }
    }
  }

  private func takeChunk() -> [UInt8]? {
    let (chunk, mustClose): ([UInt8]?, Bool) = state.withLock { state in
      if state.pending.isEmpty || state.isClosed {
        state.isWriting = false
        state.inHand = 0
        state.blockedSince = nil
        return (nil, state.isClosed)
      }
      var chunk: [UInt8] = []
      swap(&chunk, &state.pending)
      state.inHand = chunk.count
      return (chunk, false)
    }
    if mustClose { pipe.close() }
    return chunk
  }

  private func putBack(_ chunk: [UInt8], from offset: Int) {
    let mustClose = state.withLock { state in
      state.isWriting = false
      state.inHand = 0
      if state.isClosed { return true }
      state.pending = Array(chunk[offset...]) + state.pending
      state.isBlocked = true
      if offset > 0 || state.blockedSince == nil {
        state.blockedSince = .now
      }
      return false
    }
    if mustClose {
      pipe.close()
    } else {
      onBlocked()
    }
  }

  private func abandon() {
    state.withLock { state in
      state.isWriting = false
      state.inHand = 0
      state.isClosed = true
      state.pending = []
    }
    pipe.close()
  }
}
