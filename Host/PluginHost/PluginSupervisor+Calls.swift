internal import JSONText
internal import PluginManifest
internal import Synchronization

/// How calls get to the process, and wait until it runs.
extension PluginSupervisor {
  func begin(
    _ method: String,
    params: RawJSON,
    attempt: Int,
    deadline: Duration,
    job: String?
  ) async throws(PluginFailure) -> PluginCall {
    guard plugin.manifest.answers(method) else { throw .methodNotDeclared(method) }
    while true {
      guard let (process, incarnation) = running else {
        try await waitUntilRunning()
        continue
      }
      // Asked only now: while a process ends, it is not known yet whether its jobs are to blame.
      let suspect = try admit(job) ? job : nil
      let call = makeCall(process, job: job, suspect: suspect)
      do throws(PluginProcess.Refusal) {
        try process.begin(call, method: method, params: params, attempt: attempt, deadline: deadline)
        return call
      } catch {
        if let suspect { state.withLock { $0.poison.withdraw(suspect) } }
        switch error {
        case .failed(let failure): throw failure
        // Told at once, so that the next round waits for the next process instead of trying this one again.
        case .sealed: handle(.sealed, of: incarnation)
        case .inputClosed: handle(.inputClosed, of: incarnation)
        }
      }
    }
  }

  private func makeCall(_ process: PluginProcess, job: String?, suspect: String?) -> PluginCall {
    var onEnd: (@Sendable (PluginMessage) -> Void)?
    if let suspect { onEnd = { [weak self] in self?.clear(suspect, after: $0) } }
    return PluginCall(
      number: tools.numbers.next(),
      process: process,
      pluginVersion: plugin.version,
      job: job,
      onEnd: onEnd
    )
  }

  /// Lets a job in.
  ///
  /// - Returns: Whether a process died under it before.
  func admit(_ job: String?) throws(PluginFailure) -> Bool {
    guard let job else { return false }
    let (admission, isSuspect) = state.withLock { state in
      guard !state.poison.isEmpty else { return (PoisonJobs.Admission.go, false) }
      return (state.poison.admit(job), state.poison.suspects(job))
    }
    switch admission {
    case .go: return isSuspect
    case .wait: throw .backingOff(retryAfter: Self.suspectPause)
    case .parked(let reason): throw .jobParked(reason)
    }
  }

  /// A suspect's call has ended while the process lived.
  private func clear(_ job: String, after message: PluginMessage) {
    let isUnclear = message == .failed(.deadlineExceeded)
    state.withLock { isUnclear ? $0.poison.withdraw(job) : $0.poison.noteEnd(job) }
  }

  var running: (process: PluginProcess, incarnation: Int)? {
    state.withLock { state in
      guard case .running = state.lifecycle.state, let process = state.process else { return nil }
      return (process, state.lifecycle.incarnation)
    }
  }

  private func waitUntilRunning() async throws(PluginFailure) {
    let id = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isCancelled = state.withLock { state in
          if Task.isCancelled { return true }
          state.waiters[id] = continuation
          return false
        }
        if isCancelled {
          continuation.resume(returning: .failure(.cancelled))
        } else {
          handle(.wanted, of: nil)
        }
      }
    } onCancel: {
      state.withLock { $0.waiters.removeValue(forKey: id) }?.resume(returning: .failure(.cancelled))
    }
    try result.get()
  }

  /// Starts the process if need be and asks it for its health.
  ///
  /// - Returns: What is wrong with it, or nil.
  func test() async -> String? {
    do throws(PluginFailure) {
      while true {
        if let (process, _) = running {
          return await withCheckedContinuation { continuation in
            process.probe(within: Self.testPatience) { continuation.resume(returning: $0) }
          }
        }
        try await waitUntilRunning()
      }
    } catch {
      return "\(error)"
    }
  }
}
