import Synchronization

/// Wakes whoever waits for something to change. A pulse that nobody waits for is remembered by its number.
final class Pulse: Sendable {
  private struct State {
    var count = 0
    var lastID = 0
    var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
  }

  private let state = Mutex(State())

  /// Number of pulses so far; take it before looking at what may change.
  var count: Int { state.withLock { $0.count } }

  func fire() {
    let waiting = state.withLock { state in
      state.count += 1
      let waiting = state.waiting
      state.waiting = [:]
      return waiting
    }
    for waiter in waiting.values { waiter.resume() }
  }

  /// Returns when there were more than `seen` pulses, or the task is canceled.
  func wait(after seen: Int) async {
    let id = state.withLock { state in
      state.lastID += 1
      return state.lastID
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let passed = state.withLock { state in
          if state.count > seen || Task.isCancelled { return true }
          state.waiting[id] = continuation
          return false
        }
        if passed { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.waiting.removeValue(forKey: id) }?.resume()
    }
  }

  /// Asks `read` after each pulse until it answers, or the time is over.
  func first<Value: Sendable>(within limit: Duration, _ read: @escaping @Sendable () -> Value?) async -> Value? {
    let search = Task { () -> Value? in
      while !Task.isCancelled {
        let seen = count
        if let value = read() { return value }
        await wait(after: seen)
      }
      return read()
    }
    let alarm = Task {
      // A canceled sleep means that the search ended by itself.
      try? await Task.sleep(for: limit)
      search.cancel()
    }
    let value = await search.value
    alarm.cancel()
    return value
  }
}
