internal import CHostShims
internal import Dispatch
internal import Glibc
internal import Synchronization

/// A process that a `Spawner` started.
///
/// The spawner's thread notices its end and reaps it, whether or not anybody waits. Dropping the last reference ends
/// nothing.
package final class ChildProcess: Sendable {
  package let pid: Int32
  /// This process's end of the child's standard input, when it is a pipe.
  package let standardInput: OwnedDescriptor?
  package let standardOutput: OwnedDescriptor?
  package let standardError: OwnedDescriptor?

  private struct State {
    var status: ExitStatus?
    var nextWaiter = 0
    var waiters: [Int: CheckedContinuation<ExitStatus?, Never>] = [:]
    var observers: [@Sendable (ExitStatus) -> Void] = []
  }

  let pidDescriptor: Int32
  private let leadsSession: Bool
  private let endsGroupWithLeader: Bool
  private let state = Mutex(State())

  init(
    pid: Int32,
    pidDescriptor: Int32,
    request: SpawnRequest,
    standardInput: OwnedDescriptor?,
    standardOutput: OwnedDescriptor?,
    standardError: OwnedDescriptor?
  ) {
    self.pid = pid
    self.pidDescriptor = pidDescriptor
    self.leadsSession = request.newSession
    self.endsGroupWithLeader = request.endsGroupWithLeader
    self.standardInput = standardInput
    self.standardOutput = standardOutput
    self.standardError = standardError
  }

  deinit {
    // The spawner's thread holds a reference until the child is reaped, so the descriptor has no other user.
    _ = close(pidDescriptor)
  }

  /// How the process ended, or `nil` while it runs.
  package var exitStatus: ExitStatus? {
    state.withLock { $0.status }
  }

  /// Waits for the end. Not cancellable: end the process to end the wait.
  package func exit() async -> ExitStatus {
    while true {
      if let status = await wait(atMost: nil) { return status }
    }
  }

  /// Waits for the end, at most that long. Not cancellable.
  ///
  /// - Returns: How the process ended, or `nil` when it still runs.
  package func exit(within limit: Duration) async -> ExitStatus? {
    await wait(atMost: limit)
  }

  /// Calls the closure once when the process has ended: on the spawner's thread, or at once when it has ended already.
  package func onExit(_ observer: @escaping @Sendable (ExitStatus) -> Void) {
    let status = state.withLock { state in
      if state.status == nil {
        state.observers.append(observer)
      }
      return state.status
    }
    if let status {
      observer(status)
    }
  }

  /// Sends a signal to the whole group of the child, or to the child alone when it leads no session.
  ///
  /// - Returns: Whether there was a process to get it.
  @discardableResult
  package func send(signal: Int32) -> Bool {
    // The lock keeps the spawner's thread from reaping the child, so its number still belongs to its group.
    state.withLock { state in
      guard state.status == nil else { return false }
      return deliver(signal: signal)
    }
  }

  /// Ends the process by the steps of the ladder and waits for its end. Goes on when the task is cancelled.
  @discardableResult
  package func terminate(ladder: TeardownLadder = .standard) async -> ExitStatus {
    for step in ladder.steps {
      switch step.action {
      case .closeInput: standardInput?.close()
      case .signal(let number): send(signal: number)
      case .wait: break
      }
      if let status = await wait(atMost: step.grace) { return status }
    }
    killEverything()
    return await exit()
  }

  /// Kills the child, its group, its session and its descendants.
  package func killEverything() {
    let table = ProcessTable.read()
    let strays = table.descendants(of: pid).union(leadsSession ? table.session(pid) : [])
    state.withLock { state in
      guard state.status == nil else { return }
      _ = deliver(signal: SIGKILL)
      for stray in strays where stray != pid {
        _ = kill(stray, SIGKILL)
      }
    }
  }

  /// Reaps the child when it has ended. Called by the spawner's thread only.
  ///
  /// - Returns: Whether the child is gone.
  func reapIfEnded() -> Bool {
    var waiters: [Int: CheckedContinuation<ExitStatus?, Never>] = [:]
    var observers: [@Sendable (ExitStatus) -> Void] = []
    var result: ExitStatus?
    state.withLock { state in
      if leadsSession && endsGroupWithLeader {
        // While the leader is not reaped, no other group can have its number.
        _ = kill(-pid, SIGKILL)
      }
      result = reap()
      guard let result else { return }
      state.status = result
      waiters = state.waiters
      state.waiters = [:]
      observers = state.observers
      state.observers = []
    }
    guard let result else { return false }
    for waiter in waiters.values {
      waiter.resume(returning: result)
    }
    for observer in observers {
      observer(result)
    }
    return true
  }

  private func reap() -> ExitStatus? {
    var code: Int32 = -1
    var number: Int32 = -1
    let answer = unsafe CHostShims_reap(pidDescriptor, &code, &number)
    if answer == 0 { return nil }
    // An error means that somebody else reaped the child, so its code is lost.
    if answer < 0 { return errno == EINTR ? nil : .exited(-1) }
    return number >= 0 ? .signaled(number) : .exited(code)
  }

  private func deliver(signal: Int32) -> Bool {
    if leadsSession { return kill(-pid, signal) == 0 }
    return CHostShims_signal(pidDescriptor, signal) == 0
  }

  private func wait(atMost limit: Duration?) async -> ExitStatus? {
    await withCheckedContinuation { continuation in
      var id: Int?
      var status: ExitStatus?
      state.withLock { state in
        status = state.status
        guard status == nil else { return }
        id = state.nextWaiter
        state.waiters[state.nextWaiter] = continuation
        state.nextWaiter += 1
      }
      guard let id else {
        continuation.resume(returning: status)
        return
      }
      guard let limit else { return }
      let seconds = Double(limit.components.seconds) + Double(limit.components.attoseconds) / 1e18
      DispatchQueue.global().asyncAfter(deadline: .now() + seconds) { @Sendable in
        self.state.withLock { $0.waiters.removeValue(forKey: id) }?.resume(returning: nil)
      }
    }
  }
}
