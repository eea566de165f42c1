internal import Dispatch
package import Logging
internal import Synchronization

/// A fixed number of sessions that callers borrow in the order in which they ask.
///
/// While the server cannot be reached, callers wait up to `patience` and sessions connect with growing pauses. Nothing
/// that may have reached the server is ever sent again.
package final class Pool: Sendable {
  private enum Grant {
    case slot(Int)
    case refused(PostgresError)
  }

  private struct State {
    var machine: PoolStateMachine
    var waiters: [UInt64: CheckedContinuation<Grant, Never>] = [:]
    /// Cancelled before their continuation arrived.
    var canceled: Set<UInt64> = []
    var lastError: PostgresError?
    var armed: ContinuousClock.Instant?
    var closing: [CheckedContinuation<Void, Never>] = []
    var isClosed = false
  }

  package let configuration: Configuration
  private let patience: Duration
  private let sessions: [Session]
  private let timers = DispatchQueue(label: "postgres.pool")
  private let state: Mutex<State>
  private let clock = ContinuousClock()

  /// Makes a pool; its sessions connect at their first use.
  ///
  /// - Parameters:
  ///   - size: The number of sessions, at least 1.
  ///   - patience: How long a caller waits for a session that is connected.
  package init(
    _ configuration: Configuration,
    size: Int,
    patience: Duration = .seconds(10),
    backoff: Backoff = Backoff(),
    logger: Logger = .current
  ) {
    self.configuration = configuration
    self.patience = patience
    let size = max(1, size)
    sessions = (0..<size).map { _ in Session(configuration, reconnects: true, logger: logger) }
    state = Mutex(State(machine: PoolStateMachine(size: size, backoff: backoff)))
  }

  /// Runs one statement as a transaction of its own and returns its rows.
  package func query(_ statement: SQL, scope: Scope = .owner) async throws(PostgresError) -> [Row] {
    try await lend { session throws(PostgresError) in
      try await session.query(statement, scope: scope)
    }
  }

  /// Runs one statement as a transaction of its own and returns how many rows it touched.
  @discardableResult
  package func execute(_ statement: SQL, scope: Scope = .owner) async throws(PostgresError) -> Int {
    try await lend { session throws(PostgresError) in
      try await session.execute(statement, scope: scope)
    }
  }

  /// Runs the statements in one round trip and one transaction: all take effect or none.
  @discardableResult
  package func batch(_ statements: [SQL], scope: Scope = .owner) async throws(PostgresError) -> [[Row]] {
    try await lend { session throws(PostgresError) in
      try await session.batch(statements, scope: scope)
    }
  }

  /// Runs the body in a transaction: COMMIT when it returns, ROLLBACK when it throws. Nothing is retried.
  package func transaction<Value>(
    scope: Scope = .owner,
    _ body: (Transaction) async throws -> Value
  ) async throws -> Value {
    try await withSession { session in
      try await session.transaction(scope: scope, body)
    }
  }

  /// Lends a connected session for the time of the body, for work that needs the same session throughout.
  package func withSession<Value>(_ body: (Session) async throws -> Value) async throws -> Value {
    let slot = try await lend(keeping: true) { session throws(PostgresError) in
      try await session.connect()
    }.slot
    do {
      let value = try await body(sessions[slot])
      release(slot)
      return value
    } catch {
      release(slot)
      throw error
    }
  }

  /// Refuses new callers, waits until every session is back, and closes all connections.
  package func close() async {
    perform { $0.machine.close() }
    await withCheckedContinuation { continuation in
      let isClosed = state.withLock { state in
        if !state.isClosed { state.closing.append(continuation) }
        return state.isClosed
      }
      if isClosed { continuation.resume() }
    }
    for session in sessions {
      await session.close()
    }
  }

  // MARK: Lending

  private func lend<Value: Sendable>(
    _ body: (Session) async throws(PostgresError) -> Value
  ) async throws(PostgresError) -> Value {
    try await lend(keeping: false, body).value
  }

  private func lend<Value: Sendable>(
    keeping: Bool,
    _ body: (Session) async throws(PostgresError) -> Value
  ) async throws(PostgresError) -> (value: Value, slot: Int) {
    let ticket = state.withLock { $0.machine.makeTicket() }
    let deadline = clock.now + patience
    while true {
      let slot = try await acquire(ticket: ticket, deadline: deadline)
      do throws(PostgresError) {
        let value = try await body(sessions[slot])
        if !keeping { release(slot) }
        return (value, slot)
      } catch {
        guard error.code == .connection else {
          release(slot)
          throw error
        }
        // Nothing was sent, so waiting and trying again is safe.
        releaseUnconnected(slot, error)
        guard !error.isPermanent, clock.now < deadline else { throw error }
      }
    }
  }

  private func acquire(ticket: UInt64, deadline: ContinuousClock.Instant) async throws(PostgresError) -> Int {
    let grant = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let mustWait = state.withLock { state in
          guard state.canceled.remove(ticket) == nil else { return false }
          state.waiters[ticket] = continuation
          return true
        }
        guard mustWait else {
          continuation.resume(returning: Grant.refused(Pool.canceled))
          return
        }
        perform { $0.machine.acquire(ticket: ticket, deadline: deadline, now: clock.now) }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        guard let waiter = state.waiters[ticket] else {
          state.canceled.insert(ticket)
          return CheckedContinuation<Grant, Never>?.none
        }
        guard state.machine.cancel(ticket: ticket) else { return nil }
        state.waiters[ticket] = nil
        return waiter
      }
      waiter?.resume(returning: .refused(Pool.canceled))
    }
    state.withLock { _ = $0.canceled.remove(ticket) }
    switch grant {
    case .slot(let slot): return slot
    case .refused(let error): throw error
    }
  }

  private func release(_ slot: Int) {
    perform { $0.machine.release(slot: slot, now: clock.now) }
  }

  private func releaseUnconnected(_ slot: Int, _ error: PostgresError) {
    let jitter = Double.random(in: 0..<1)
    perform { state in
      state.lastError = error
      return state.machine.releaseUnconnected(slot: slot, now: clock.now, jitter: jitter)
    }
  }

  /// Feeds the machine and does what it says, outside the lock.
  private func perform(_ event: (inout State) -> [PoolStateMachine.Action]) {
    var resumptions: [(CheckedContinuation<Grant, Never>, Grant)] = []
    var closed: [CheckedContinuation<Void, Never>] = []
    let tick = state.withLock { state in
      for action in event(&state) {
        switch action {
        case .lease(let slot, let ticket):
          if let waiter = state.waiters.removeValue(forKey: ticket) { resumptions.append((waiter, .slot(slot))) }
        case .expire(let ticket):
          if let waiter = state.waiters.removeValue(forKey: ticket) {
            resumptions.append((waiter, .refused(state.lastError ?? Pool.exhausted)))
          }
        case .refuse(let ticket):
          if let waiter = state.waiters.removeValue(forKey: ticket) {
            resumptions.append((waiter, .refused(PostgresError(.closed, "The pool is closed"))))
          }
        case .close:
          // All connections are closed together at the end of `close`.
          break
        case .finishClosing:
          state.isClosed = true
          closed = state.closing
          state.closing = []
        }
      }
      return Pool.armTimer(&state)
    }
    if let tick { arm(tick) }
    for (waiter, grant) in resumptions {
      waiter.resume(returning: grant)
    }
    for waiter in closed {
      waiter.resume()
    }
  }

  /// Returns the instant for which a timer is needed that is not set yet.
  private static func armTimer(_ state: inout State) -> ContinuousClock.Instant? {
    guard let next = state.machine.nextTick else { return nil }
    if let armed = state.armed, armed <= next { return nil }
    state.armed = next
    return next
  }

  private func arm(_ instant: ContinuousClock.Instant) {
    let delay = max(.zero, instant - clock.now)
    let milliseconds = Int(clamping: delay.wholeMilliseconds) + 1
    timers.asyncAfter(deadline: .now() + .milliseconds(milliseconds)) { [weak self] in
      guard let self else { return }
      perform { state in
        if state.armed == instant { state.armed = nil }
        return state.machine.tick(now: clock.now)
      }
    }
  }

  private static var exhausted: PostgresError {
    PostgresError(.timeout, "No database session became free in time")
  }

  private static var canceled: PostgresError {
    PostgresError(.canceled, "The task was cancelled while waiting for a database session")
  }
}
