internal import Dispatch
package import Logging
internal import Synchronization

/// Joins the writes of many callers into few commits, over one connection of its own.
///
/// There is no timer: what queues while one flush commits is the next flush. A flush is one pipeline, one transaction
/// and one wait for the disk. When a flush is refused it is split by kind and then in halves, so that a poisoned row
/// fails alone. While the server cannot be reached, operations that were not sent wait up to `patience`.
package final class BatchWriter: Sendable {
  private struct State {
    var inbox = BatchInbox()
    var lastTicket: UInt64 = 0
    /// Whether a drain is running or a timer will start one.
    var isScheduled = false
    var isClosed = false
    var closing: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Mutex(State())
  private let flusher: BatchFlusher
  private let patience: Duration
  private let maximumGroup: Int
  private let clock = ContinuousClock()

  /// Makes a writer; it connects at the first operation.
  ///
  /// - Parameters:
  ///   - patience: How long an operation waits for a connection before it fails with `PostgresError.Code.connection`.
  ///   - maximumGroup: The most operations of one kind in one flush, at least 2.
  package init(
    _ configuration: Configuration,
    patience: Duration = .seconds(5),
    maximumGroup: Int = 2_048,
    backoff: Backoff = Backoff(),
    logger: Logger = .current
  ) {
    self.patience = patience
    // Two operations submitted together may be of one kind and must fit into one flush.
    self.maximumGroup = max(2, maximumGroup)
    flusher = BatchFlusher(configuration.forWorkers, backoff: backoff, logger: logger)
  }

  /// Queues the operation and returns its outcome once the commit is durable.
  ///
  /// It is not cancelled with the calling task: what was queued is written.
  /// - Throws: `PostgresError`; with `isConnectionLost` the operation may have been committed. What
  ///   `BatchOperation.outputs` throws is passed on; the operation is committed then.
  package func submit<Operation: BatchOperation>(_ operation: Operation) async throws -> Operation.Output {
    try await withCheckedThrowingContinuation { continuation in
      let isQueued = enqueue { state, ticket in
        state.inbox.append(operation, caller: .task(continuation), ticket: ticket, now: clock.now)
      }
      if !isQueued {
        continuation.resume(throwing: BatchWriter.closed)
      }
    }
  }

  /// Queues two operations for the same transaction: both are committed or none, also when others are refused.
  ///
  /// They run in the order of their ranks. When one of them fails alone, both callers' work is rolled back.
  package func submit<First: BatchOperation, Second: BatchOperation>(
    _ first: First,
    with second: Second
  ) async throws -> (First.Output, Second.Output) {
    try await withCheckedThrowingContinuation { continuation in
      let pair = BatchPair<First.Output, Second.Output>(continuation)
      let isQueued = enqueue { state, ticket in
        // The same instant, so that both run out of patience together.
        let now = clock.now
        state.inbox.append(first, caller: .pair { pair.receive(first: $0) }, ticket: ticket, now: now)
        state.inbox.append(second, caller: .pair { pair.receive(second: $0) }, ticket: ticket, now: now)
      }
      if !isQueued {
        continuation.resume(throwing: BatchWriter.closed)
      }
    }
  }

  private static var closed: PostgresError { PostgresError(.closed, "The writer is closed") }

  /// Appends under the lock and starts a drain when none runs; returns false when the writer is closed.
  private func enqueue(_ append: (inout State, UInt64) -> Void) -> Bool {
    let (isClosed, mustStart) = state.withLock { state in
      guard !state.isClosed else { return (true, false) }
      state.lastTicket += 1
      append(&state, state.lastTicket)
      let mustStart = !state.isScheduled
      state.isScheduled = true
      return (false, mustStart)
    }
    if mustStart {
      flusher.queue.async { self.drain() }
    }
    return !isClosed
  }

  /// The flushes and operations committed so far, for metrics.
  package var statistics: (flushes: Int, operations: Int) { flusher.statistics }

  /// The operations that wait for the next flush.
  package var queued: Int { state.withLock { $0.inbox.count } }

  /// Refuses new operations, writes what is queued, and closes the connection.
  package func close() async {
    await withCheckedContinuation { continuation in
      let mustStart = state.withLock { state in
        state.isClosed = true
        state.closing.append(continuation)
        let mustStart = !state.isScheduled
        state.isScheduled = true
        return mustStart
      }
      if mustStart {
        flusher.queue.async { self.drain() }
      }
    }
  }

  /// Flushes until nothing is queued; runs on the queue of the flusher.
  private func drain() {
    flusher.assumeIsolated { flusher in
      while true {
        if let retry = flusher.connectIfNeeded(clock.now) {
          expire()
          if let closing = closersOfEmptyInbox() {
            for caller in closing { caller.resume() }
            return
          }
          flusher.queue.asyncAfter(deadline: .now() + .milliseconds(Int(clamping: retry.wholeMilliseconds) + 1)) {
            self.drain()
          }
          return
        }
        let (groups, closing) = state.withLock { state in
          let groups = state.inbox.take(maximum: maximumGroup)
          guard groups.isEmpty else { return (groups, [CheckedContinuation<Void, Never>]()) }
          state.isScheduled = false
          defer { state.closing = [] }
          return (groups, state.closing)
        }
        guard !groups.isEmpty else {
          if !closing.isEmpty { flusher.disconnect() }
          for caller in closing {
            caller.resume()
          }
          return
        }
        flusher.flush(groups)
      }
    }
  }

  /// Who waits for the end of a closing writer that has nothing left to write; nil while it goes on.
  ///
  /// Without a server there is nothing to wait for.
  private func closersOfEmptyInbox() -> [CheckedContinuation<Void, Never>]? {
    state.withLock { state in
      guard state.isClosed, state.inbox.count == 0 else { return nil }
      state.isScheduled = false
      defer { state.closing = [] }
      return state.closing
    }
  }

  /// Fails what has waited for too long without a connection, or everything when the writer is closing.
  private func expire() {
    let expired = state.withLock { state in
      state.inbox.takeExpired(before: state.isClosed ? clock.now + .seconds(1) : clock.now - patience)
    }
    let error = flusher.assumeIsolated { $0.lastError }
    for group in expired {
      group.fail(error ?? PostgresError(.connection, "The database cannot be reached"))
    }
  }
}
