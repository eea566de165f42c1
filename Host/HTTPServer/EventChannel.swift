internal import Dispatch
internal import Synchronization

/// A stream of events that many clients follow, such as those of one site.
///
/// Events published within `joinInterval` travel together. What was sent stays in a ring, so that a client that comes
/// back with its `Last-Event-ID` gets what it missed. A channel may outlive the server and serve several.
package final class EventChannel: Sendable {
  private struct State {
    var ring: EventRing
    var isFlushScheduled = false
    var idle: [EventClient] = []

    mutating func takeIdle() -> [EventClient] {
      for client in idle { client.guarded.isIdle = false }
      defer { idle = [] }
      return idle
    }
  }

  private let state: Mutex<State>
  private let joinInterval: Duration
  private let queue = DispatchQueue(label: "events")

  /// - Parameters:
  ///   - capacity: Bytes of past events to hold.
  ///   - joinInterval: How long events wait for others; zero sends each at once.
  package init(capacity: Int = 1 << 20, joinInterval: Duration = .milliseconds(50)) {
    state = Mutex(State(ring: EventRing(capacity: capacity)))
    self.joinInterval = joinInterval
  }

  /// The place after everything published so far.
  package var end: EventPosition { state.withLock { $0.ring.end } }

  /// The place after the event with this id; nil when the channel does not hold it any more.
  package func position(after id: String) -> EventPosition? { state.withLock { $0.ring.position(after: id) } }

  /// Publishes an event to all clients; never waits.
  package func publish(_ event: ServerSentEvent) { publish([event]) }

  /// Publishes events in order, together.
  package func publish(_ events: [ServerSentEvent]) {
    guard !events.isEmpty else { return }
    let mustSchedule = state.withLock { state in
      for event in events { state.ring.append(event) }
      guard !state.isFlushScheduled else { return false }
      state.isFlushScheduled = true
      return true
    }
    guard mustSchedule else { return }
    if joinInterval == .zero {
      flush()
    } else {
      let (seconds, attoseconds) = joinInterval.components
      let nanoseconds = Int(seconds) * 1_000_000_000 + Int(attoseconds / 1_000_000_000)
      queue.asyncAfter(deadline: .now() + .nanoseconds(nanoseconds)) { self.flush() }
    }
  }

  private func flush() {
    let woken = state.withLock { state in
      state.isFlushScheduled = false
      state.ring.close()
      return state.takeIdle()
    }
    for client in woken { client.resume() }
  }

  /// Wakes the clients that got nothing since `time`, so that each sends a comment.
  func wakeIdle(silentSince time: UInt64) {
    let woken = state.withLock { state in
      var woken: [EventClient] = []
      state.idle.removeAll { client in
        guard client.guarded.lastSent <= time else { return false }
        client.guarded.isIdle = false
        client.guarded.owesComment = true
        woken.append(client)
        return true
      }
      return woken
    }
    for client in woken { client.resume() }
  }

  /// Ends the client's stream.
  func end(_ client: EventClient) {
    let wasIdle = state.withLock { state in
      client.guarded.isEnding = true
      guard client.guarded.isIdle else { return false }
      client.guarded.isIdle = false
      state.idle.removeAll { $0 === client }
      return true
    }
    if wasIdle { client.resume() }
  }

  enum Reading {
    case bytes(Int), suspended, end
  }

  /// Fills the client's buffer; when there is nothing, suspends it and notes it as idle under the same lock.
  func read(_ client: EventClient, into buffer: UnsafeMutableRawBufferPointer, now: UInt64) -> Reading {
    state.withLock { state in
      if client.guarded.isEnding { return .end }
      var written = unsafe client.guarded.takePrelude(into: buffer)
      if written == 0 {
        switch unsafe state.ring.read(from: &client.guarded.position, into: buffer) {
        case .bytes(let count): written = count
        case .gap:
          client.guarded.prelude = ServerSentEvent.gap.encoded[...]
          written = unsafe client.guarded.takePrelude(into: buffer)
        case .nothing: break
        }
      }
      if written == 0, client.guarded.owesComment {
        client.guarded.prelude = [UInt8](":\n\n".utf8)[...]
        written = unsafe client.guarded.takePrelude(into: buffer)
      }
      client.guarded.owesComment = false
      if written > 0 {
        client.guarded.lastSent = now
        return .bytes(written)
      }
      client.guarded.isIdle = true
      state.idle.append(client)
      client.suspend()
      return .suspended
    }
  }
}
