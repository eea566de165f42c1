internal import Synchronization

/// Something that happens once and that any number of tasks may wait for.
final class Signal: Sendable {
  private struct State {
    var isRaised = false
    var nextID = 0
    var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
  }

  private let state = Mutex(State())

  var isRaised: Bool {
    state.withLock { $0.isRaised }
  }

  func raise() {
    let waiters = state.withLock { state in
      state.isRaised = true
      defer { state.waiters = [:] }
      return state.waiters
    }
    for waiter in waiters.values {
      waiter.resume()
    }
  }

  /// Returns when the signal was raised or the task is cancelled.
  func wait() async {
    let id = state.withLock { state in
      state.nextID += 1
      return state.nextID
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let mustWait = state.withLock { state in
          // A cancellation that came before the continuation was stored finds nothing to resume, so look here too.
          if state.isRaised || Task.isCancelled { return false }
          state.waiters[id] = continuation
          return true
        }
        if !mustWait {
          continuation.resume()
        }
      }
    } onCancel: {
      state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
    }
  }
}
