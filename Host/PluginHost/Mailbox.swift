internal import Synchronization

/// The messages of one call that nobody has taken yet, and the one who waits for the next.
final class Mailbox: Sendable {
  private struct State {
    var messages: [PluginMessage] = []
    var last: PluginMessage?
    var waiter: CheckedContinuation<PluginMessage, Never>?
  }

  private let state = Mutex(State())

  /// Whether the last message has not come yet.
  var isOpen: Bool { state.withLock { $0.last == nil } }

  /// Adds a message; after the last one nothing is added any more.
  func deliver(_ message: PluginMessage) {
    let waiter: CheckedContinuation<PluginMessage, Never>? = state.withLock { state in
      guard state.last == nil else { return nil }
      if message.isLast { state.last = message }
      guard let waiter = state.waiter else {
        if !message.isLast { state.messages.append(message) }
        return nil
      }
      state.waiter = nil
      return waiter
    }
    waiter?.resume(returning: message)
  }

  /// Takes the next message if there is one. The last message can be taken again and again.
  func take() -> PluginMessage? {
    state.withLock { Self.take(&$0) }
  }

  /// Waits for the next message.
  func wait() async -> PluginMessage {
    await withCheckedContinuation { continuation in
      let message: PluginMessage? = state.withLock { state in
        if let message = Self.take(&state) { return message }
        precondition(state.waiter == nil, "two tasks wait for the same call")
        state.waiter = continuation
        return nil
      }
      if let message { continuation.resume(returning: message) }
    }
  }

  private static func take(_ state: inout State) -> PluginMessage? {
    if state.messages.isEmpty { return state.last }
    return state.messages.removeFirst()
  }
}
