internal import Synchronization

/// A flag that one loop waits for, with a time limit; it falls when the wait ends.
final class Wake: Sendable {
  private struct State {
    var isRaised = false
    var waiter: CheckedContinuation<Void, Never>?
  }

  private let state = Mutex(State())

  func raise() {
    let waiter = state.withLock { state in
      state.isRaised = true
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
  }

  /// Returns when the flag is raised, when the time is over or when the task is cancelled, and lowers the flag.
  func wait(for duration: Duration) async {
    if !lower(), duration > .zero {
      await withTaskGroup(of: Void.self) { group in
        group.addTask { await self.raised() }
        group.addTask {
          // A sleep ends early only when the flag was raised or the loop is cancelled.
          try? await Task.sleep(for: duration)
        }
        await group.next()
        group.cancelAll()
      }
      _ = lower()
    }
  }

  private func lower() -> Bool {
    state.withLock { state in
      defer { state.isRaised = false }
      return state.isRaised
    }
  }

  private func raised() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let mustWait = state.withLock { state in
          if state.isRaised || Task.isCancelled { return false }
          state.waiter = continuation
          return true
        }
        if !mustWait { continuation.resume() }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        defer { state.waiter = nil }
        return state.waiter
      }
      waiter?.resume()
    }
  }
}
