internal import Synchronization

/// Gathers the outcomes of two operations that were submitted together.
final class BatchPair<First: Sendable, Second: Sendable>: Sendable {
  private struct State {
    var first: Result<First, any Error>?
    var second: Result<Second, any Error>?
  }

  private let state = Mutex(State())
  private let caller: CheckedContinuation<(First, Second), any Error>

  init(_ caller: CheckedContinuation<(First, Second), any Error>) {
    self.caller = caller
  }

  func receive(first: Result<First, any Error>) {
    finish { $0.first = first }
  }

  func receive(second: Result<Second, any Error>) {
    finish { $0.second = second }
  }

  private func finish(_ store: (inout State) -> Void) {
    let outcomes = state.withLock { state -> (Result<First, any Error>, Result<Second, any Error>)? in
      store(&state)
      guard let first = state.first, let second = state.second else { return nil }
      return (first, second)
    }
    guard let (first, second) = outcomes else { return }
    caller.resume(with: Result { (try first.get(), try second.get()) })
  }
}
