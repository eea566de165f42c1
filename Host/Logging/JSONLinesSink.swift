internal import Dispatch
internal import Glibc
internal import Synchronization

/// Writes records as lines of JSON to a descriptor, never making a caller wait.
///
/// Lines gather in a bounded buffer that one serial queue writes out. When the reader of the descriptor is too slow,
/// new lines are dropped and counted, and a line that says how many follows when there is room again.
package final class JSONLinesSink: LogSink {
  /// Bytes kept for a slow reader.
  package static let capacity = 1 << 20

  private struct State {
    var pending: [UInt8] = []
    var isWriting = false
    var dropped = 0
    var failed = false
  }

  private let descriptor: Int32
  private let queue = DispatchQueue(label: "log")
  private let state = Mutex(State())

  /// Writes to the descriptor, which stays open and stays the caller's.
  package init(descriptor: Int32 = 2) {
    self.descriptor = descriptor
  }

  package func write(_ record: LogRecord) {
    var line: [UInt8] = []
    line.reserveCapacity(256)
    JSONLine.append(record, to: &line)
    let mustStart = state.withLock { state in
      guard !state.failed else { return false }
      guard state.pending.count + line.count <= JSONLinesSink.capacity else {
        state.dropped += 1
        return false
      }
      if state.dropped > 0 {
        let notice = LogRecord(
          time: record.time,
          level: .warning,
          message: "Dropped log records because the log's reader is slow",
          fields: ["count": state.dropped]
        )
        JSONLine.append(notice, to: &state.pending)
        state.dropped = 0
      }
      state.pending.append(contentsOf: line)
      if state.isWriting { return false }
      state.isWriting = true
      return true
    }
    if mustStart {
      queue.async { self.drain() }
    }
  }

  /// Waits until everything logged so far was written. Blocks: call it at the very end of the process only.
  package func flush() {
    queue.sync {}
  }

  private func drain() {
    while true {
      let chunk: [UInt8]? = state.withLock { state in
        if state.pending.isEmpty {
          state.isWriting = false
          return nil
        }
        defer { state.pending = [] }
        return state.pending
      }
      guard let chunk else { return }
      guard writeAll(chunk) else {
        // Nobody can be told that the log itself is broken.
        state.withLock { state in
          state.failed = true
          state.pending = []
          state.isWriting = false
        }
        return
      }
    }
  }

  private func writeAll(_ bytes: [UInt8]) -> Bool {
    var offset = 0
    while offset < bytes.count {
      let written = unsafe bytes[offset...].withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if written > 0 {
        offset += written
      } else if errno == EAGAIN {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        unsafe poll(&entry, 1, -1)
      } else if errno != EINTR {
        return false
      }
    }
    return true
  }
}
