import Glibc
import Synchronization

/// Writes frames to a pipe without ever waiting for its reader.
///
/// Who finds the pipe free writes for everybody: frames that come meanwhile are queued and go out with the next write,
/// so frames are never mixed. When the pipe is full, a thread takes over until it is not. At most `maximumPendingBytes`
/// wait; more are refused.
public final class PipeWriter: FrameSink {
  private struct State {
    var queue: [UInt8] = []
    var writing = false
    var failed = false
  }

  /// Bytes that may wait unless a maker says otherwise: 8 MiB.
  public static let defaultMaximumPendingBytes = 8_388_608

  private let descriptor: Int32
  private let maximumPendingBytes: Int
  private let state = Mutex(State())
  /// Kept as long as something may still be written.
  private let owner: (any AnyObject & Sendable)?

  /// Makes a writer for a descriptor, which stays the caller's and is made non-blocking.
  ///
  /// - Parameter owner: closes the descriptor when nobody needs it any more; nil if the caller sees to that.
  public init(
    descriptor: Int32,
    maximumPendingBytes: Int = PipeWriter.defaultMaximumPendingBytes,
    owner: (any AnyObject & Sendable)? = nil
  ) {
    self.descriptor = descriptor
    self.owner = owner
    self.maximumPendingBytes = maximumPendingBytes
    let flags = fcntl(descriptor, F_GETFL, 0)
    if flags >= 0 { _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) }
  }

  /// Takes one frame; returns before it is written if the pipe is full.
  public func send(_ frame: [UInt8]) throws(FrameSinkError) {
    let refused: FrameSinkError? = state.withLock { state in
      if state.failed { return .closed }
      guard frame.count <= maximumPendingBytes - state.queue.count else { return .full }
      state.queue.append(contentsOf: frame)
      return nil
    }
    if let refused { throw refused }
    guard beginWriting() else { return }
    if !writeQueued(waiting: false) { handOver() }
  }

  /// True for the one caller that has to write.
  private func beginWriting() -> Bool {
    state.withLock { state in
      guard !state.writing, !state.queue.isEmpty else { return false }
      state.writing = true
      return true
    }
  }

  private func handOver() {
    let started = LastingThread.start { [self] in _ = writeQueued(waiting: true) }
    // Without a thread the only way left is to write here, waiting for the reader.
    if !started { _ = writeQueued(waiting: true) }
  }

  /// Writes until the queue is empty; false if the pipe is full and `waiting` is not allowed.
  private func writeQueued(waiting: Bool) -> Bool {
    while true {
      let batch: [UInt8] = state.withLock { state in
        let batch = state.queue
        state.queue = []
        if batch.isEmpty { state.writing = false }
        return batch
      }
      if batch.isEmpty { return true }
      var done = 0
      while done < batch.count {
        switch writeSome(batch, from: done) {
        case .wrote(let count): done += count
        case .full where waiting: waitUntilWritable()
        case .full:
          // Still the writer, so nobody can put a frame in front of the rest.
          state.withLock { $0.queue.insert(contentsOf: batch[done...], at: 0) }
          return false
        case .failed:
          state.withLock { state in
            state.failed = true
            state.writing = false
            state.queue = []
          }
          return true
        }
      }
    }
  }

  private enum Step {
    case wrote(Int), full, failed
  }

  private func writeSome(_ batch: [UInt8], from start: Int) -> Step {
    let count = unsafe batch.withUnsafeBytes { buffer in
      unsafe write(descriptor, buffer.baseAddress?.advanced(by: start), buffer.count - start)
    }
    if count >= 0 { return .wrote(count) }
    switch errno {
    case EINTR: return .wrote(0)
    case EAGAIN: return .full
    default: return .failed
    }
  }

  private func waitUntilWritable() {
    var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    _ = unsafe poll(&entry, 1, -1)
  }
}
