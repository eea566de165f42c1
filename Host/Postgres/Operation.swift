internal import Dispatch
internal import Synchronization

/// Carries the cancellation of a task to the statement that runs for it, and to no other statement.
final class Operation: Sendable {
  private enum Phase {
    case waiting
    case running(CancelHandle)
    case ended
  }

  private struct State {
    var phase = Phase.waiting
    var isCanceled = false
  }

  private static let queue = DispatchQueue(label: "postgres.cancel", attributes: .concurrent)
  /// A request that reaches the server before the statement does is lost, hence the repetition.
  private static let repetition = DispatchTimeInterval.milliseconds(50)

  private let state = Mutex(State())

  var isCanceled: Bool { state.withLock { $0.isCanceled } }

  /// Marks the operation as running; returns false when it was cancelled before.
  func begin(_ handle: CancelHandle) -> Bool {
    state.withLock { state in
      guard !state.isCanceled else { return false }
      state.phase = .running(handle)
      return true
    }
  }

  /// Marks the operation as ended; after it no request of this operation can reach the server any more.
  func end() {
    state.withLock { $0.phase = .ended }
  }

  func cancel() {
    state.withLock { $0.isCanceled = true }
    Operation.queue.async { self.interrupt() }
  }

  private func interrupt() {
    // The request goes out under the lock, and `end` takes the same lock before the connection is used again.
    let mustRepeat = state.withLock { state in
      guard case .running(let handle) = state.phase else { return false }
      handle.cancel()
      return true
    }
    guard mustRepeat else { return }
    Operation.queue.asyncAfter(deadline: .now() + Operation.repetition) { self.interrupt() }
  }
}
