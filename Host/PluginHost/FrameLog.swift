internal import FoundationEssentials
internal import Synchronization

/// Keeps the last frames of a plugin, and shows all of them to those who watch.
final class FrameLog: Sendable {
  /// Frames that are kept.
  static let capacity = 20
  /// Frames that wait for a slow watcher; older ones are dropped.
  static let watcherBuffer = 1_000

  private struct State {
    var ring: [FrameRecord] = []
    var next = 0
    var watchers: [Int: @Sendable (FrameRecord) -> Void] = [:]
    var streams: [Int: AsyncStream<FrameRecord>.Continuation] = [:]
    var nextWatcher = 0
  }

  private let state = Mutex(State())

  /// The last frames, oldest first.
  var last: [FrameRecord] {
    state.withLock { state in
      Array(state.ring[min(state.next, state.ring.count)...] + state.ring[..<min(state.next, state.ring.count)])
    }
  }

  func record(_ direction: FrameRecord.Direction, _ line: some Collection<UInt8>) {
    let record = FrameRecord(at: Date(), direction: direction, line: line)
    let watchers = state.withLock { state in
      if state.ring.count < Self.capacity {
        state.ring.append(record)
      } else {
        state.ring[state.next] = record
        state.next = (state.next + 1) % Self.capacity
      }
      return state.watchers.isEmpty ? [] : Array(state.watchers.values)
    }
    for watcher in watchers { watcher(record) }
  }

  /// Calls the closure with each frame from now on: before one to the plugin is written, before one from it is handled.
  ///
  /// It is called on the thread that carries the frame and must not wait.
  func observe(_ body: @escaping @Sendable (FrameRecord) -> Void) {
    state.withLock { state in
      state.nextWatcher += 1
      state.watchers[state.nextWatcher] = body
    }
  }

  /// The frames from now on. Ends when its reader ends, or with `finish`.
  func tap() -> AsyncStream<FrameRecord> {
    let (stream, continuation) = AsyncStream<FrameRecord>.makeStream(
      bufferingPolicy: .bufferingNewest(Self.watcherBuffer)
    )
    let number = state.withLock { state in
      state.nextWatcher += 1
      state.watchers[state.nextWatcher] = { continuation.yield($0) }
      state.streams[state.nextWatcher] = continuation
      return state.nextWatcher
    }
    continuation.onTermination = { [weak self] _ in self?.remove(number) }
    return stream
  }

  func finish() {
    let streams = state.withLock { state in
      defer {
        state.watchers = [:]
        state.streams = [:]
      }
      return Array(state.streams.values)
    }
    for stream in streams { stream.finish() }
  }

  private func remove(_ number: Int) {
    state.withLock { state in
      state.watchers[number] = nil
      state.streams[number] = nil
    }
  }
}
