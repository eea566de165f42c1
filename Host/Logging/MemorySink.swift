internal import Synchronization

/// Keeps records in memory, for tests.
package final class MemorySink: LogSink {
  private struct Waiter {
    let condition: @Sendable (LogRecord) -> Bool
    let continuation: CheckedContinuation<LogRecord, Never>
  }

  private struct State {
    var records: [LogRecord] = []
    var waiters: [Waiter] = []
  }

  private let state = Mutex(State())

  package init() {}

  /// What was logged so far, oldest first.
  package var records: [LogRecord] {
    state.withLock { $0.records }
  }

  package func write(_ record: LogRecord) {
    let ready = state.withLock { state in
      state.records.append(record)
      let ready = state.waiters.filter { $0.condition(record) }
      state.waiters.removeAll { $0.condition(record) }
      return ready
    }
    for waiter in ready {
      waiter.continuation.resume(returning: record)
    }
  }

  /// Waits for the first record, old or new, that meets the condition. Not cancellable: give the test a time limit.
  package func first(where condition: @escaping @Sendable (LogRecord) -> Bool) async -> LogRecord {
    await withCheckedContinuation { continuation in
      let found: LogRecord? = state.withLock { state in
        if let record = state.records.first(where: condition) { return record }
        state.waiters.append(Waiter(condition: condition, continuation: continuation))
        return nil
      }
      if let found {
        continuation.resume(returning: found)
      }
    }
  }
}
