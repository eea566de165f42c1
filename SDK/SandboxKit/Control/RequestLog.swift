/// One request as the log keeps it: no header, no body, no query value, so no secret.
struct LoggedRequest: Sendable {
  let at: Int64
  let platform: String
  let account: String?
  let method: String
  let path: String
  let queryNames: [String]
  let bodyBytes: Int
  /// `nil` when the connection was reset instead.
  let status: Int?
  let faults: [String]
  let milliseconds: Int64
}

/// The latest requests to the platforms.
final class RequestLog: Sendable {
  private struct State {
    var entries: [LoggedRequest] = []
    var next = 0
    var total = 0
  }

  private let state = Guarded(State())
  private let capacity: Int

  init(capacity: Int = 2000) {
    self.capacity = capacity
  }

  func add(_ entry: LoggedRequest) {
    state.withLock { state in
      state.total += 1
      if state.entries.count < capacity {
        state.entries.append(entry)
      } else {
        state.entries[state.next] = entry
        state.next = (state.next + 1) % capacity
      }
    }
  }

  /// How many there were in all, and the latest ones, oldest first.
  func snapshot() -> (total: Int, entries: [LoggedRequest]) {
    state.withLock { state in
      (state.total, Array(state.entries[state.next...] + state.entries[..<state.next]))
    }
  }

  func removeAll() {
    state.withLock { $0 = State() }
  }
}
