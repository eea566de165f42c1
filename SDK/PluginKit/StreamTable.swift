import PluginProtocol
import Synchronization

/// What the streams of one connection have brought and nobody has taken yet.
///
/// Events may come before the answer that names their stream has been read, so they wait for whoever claims them.
package final class StreamTable: Sendable {
  private let inboxes = Mutex<[String: StreamInbox]>([:])
  /// Streams that a host may begin without anybody asking; more are dropped.
  private static let maximumUnclaimed = 64

  package init() {}

  /// Takes a message of the host, on the reader's thread.
  package func take(_ notification: StreamNotification) {
    let inbox = inboxes.withLock { inboxes -> StreamInbox? in
      if let inbox = inboxes[notification.stream] { return inbox }
      guard inboxes.count < Self.maximumUnclaimed else { return nil }
      let inbox = StreamInbox()
      inboxes[notification.stream] = inbox
      return inbox
    }
    inbox?.put(notification)
  }

  func claim(_ stream: String) -> StreamInbox {
    inboxes.withLock { inboxes in
      let inbox = inboxes[stream] ?? StreamInbox()
      inboxes[stream] = inbox
      return inbox
    }
  }

  func isKnown(_ stream: String) -> Bool {
    inboxes.withLock { $0[stream] != nil }
  }

  func forget(_ stream: String) {
    inboxes.withLock { _ = $0.removeValue(forKey: stream) }
  }
}

/// The messages of one stream, in order, and the one who waits for the next.
final class StreamInbox: Sendable {
  private struct State {
    var messages: [StreamNotification] = []
    var waiter: CheckedContinuation<StreamNotification?, Never>?
    var isClosed = false
  }

  private let state = Mutex(State())

  func put(_ message: StreamNotification) {
    let waiter: CheckedContinuation<StreamNotification?, Never>? = state.withLock { state in
      guard let waiter = state.waiter else {
        state.messages.append(message)
        return nil
      }
      state.waiter = nil
      return waiter
    }
    waiter?.resume(returning: message)
  }

  /// Waits for the next message; nil if the task was cancelled.
  func next() async -> StreamNotification? {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let (message, mustWait): (StreamNotification?, Bool) = state.withLock { state in
          if !state.messages.isEmpty { return (state.messages.removeFirst(), false) }
          if state.isClosed { return (nil, false) }
          state.waiter = continuation
          return (nil, true)
        }
        if !mustWait { continuation.resume(returning: message) }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        state.isClosed = true
        defer { state.waiter = nil }
        return state.waiter
      }
      waiter?.resume(returning: nil)
    }
  }
}
