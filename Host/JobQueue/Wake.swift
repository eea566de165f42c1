internal import Dispatch
internal import Synchronization

/// A flag that one loop waits for, with a time limit; it falls when the wait ends.
final class Wake: Sendable {
  private struct State {
    var isRaised = false
    var waiter: CheckedContinuation<Void, Never>?
    /// The end of the running wait.
    var deadline: ContinuousClock.Instant?
    /// When the timer fires. Most waits end by the flag, so a timer that is early enough is left as it is.
    var armed: ContinuousClock.Instant?
  }

  private static let queue = DispatchQueue(label: "queue.wake")

  private let state = Mutex(State())
  private let clock = ContinuousClock()
  /// `nonisolated(unsafe)`: set once, and a source may be scheduled from any thread.
  private nonisolated(unsafe) let timer: any DispatchSourceTimer

  init() {
    unsafe timer = DispatchSource.makeTimerSource(queue: Wake.queue)
    unsafe timer.setEventHandler { [weak self] in self?.timeOut() }
    unsafe timer.activate()
  }

  deinit {
    unsafe timer.cancel()
  }

  func raise() {
    let waiter = state.withLock { state in
      state.isRaised = true
      return Self.takeWaiter(&state)
    }
    waiter?.resume()
  }

  /// Returns when the flag is raised, when the time is over or when the task is cancelled, and lowers the flag.
  func wait(for duration: Duration) async {
    guard !lower(), duration > .zero else { return }
    let deadline = clock.now + duration
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let mustWait = state.withLock { state in
          if state.isRaised || Task.isCancelled { return false }
          state.waiter = continuation
          state.deadline = deadline
          if state.armed.map({ deadline < $0 }) ?? true { arm(deadline, &state) }
          return true
        }
        if !mustWait { continuation.resume() }
      }
    } onCancel: {
      state.withLock { Self.takeWaiter(&$0) }?.resume()
    }
    _ = lower()
  }

  private func lower() -> Bool {
    state.withLock { state in
      defer { state.isRaised = false }
      return state.isRaised
    }
  }

  /// Ends the wait whose time is over, or sets the timer anew for one that began after it was set.
  private func timeOut() {
    let waiter: CheckedContinuation<Void, Never>? = state.withLock { state in
      state.armed = nil
      guard let deadline = state.deadline else { return nil }
      guard deadline > clock.now else { return Self.takeWaiter(&state) }
      arm(deadline, &state)
      return nil
    }
    waiter?.resume()
  }

  private func arm(_ deadline: ContinuousClock.Instant, _ state: inout State) {
    state.armed = deadline
    let wait = max(.zero, clock.now.duration(to: deadline)).components
    let nanoseconds = wait.seconds * 1_000_000_000 + wait.attoseconds / 1_000_000_000
    unsafe timer.schedule(deadline: .now() + .nanoseconds(Int(nanoseconds)))
  }

  private static func takeWaiter(_ state: inout State) -> CheckedContinuation<Void, Never>? {
    defer {
      state.waiter = nil
      state.deadline = nil
    }
    return state.waiter
  }
}
