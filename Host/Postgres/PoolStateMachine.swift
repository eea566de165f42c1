/// Decides who gets which session of a pool; knows nothing of connections.
///
/// Waiting callers are served in the order of their tickets. A caller whose session could not connect waits again with
/// its old ticket, so it keeps its place.
package struct PoolStateMachine {
  package typealias Instant = ContinuousClock.Instant

  package enum Slot: Equatable {
    case idle
    case leased
    /// Not handed out before the instant, because connecting failed so many times in a row.
    case backingOff(attempt: Int, until: Instant)
  }

  package enum Action: Equatable {
    case lease(slot: Int, ticket: UInt64)
    /// The caller waited for too long.
    case expire(ticket: UInt64)
    case refuse(ticket: UInt64)
    case close(slot: Int)
    /// Every session is back and closed.
    case finishClosing
  }

  private struct Waiter {
    let ticket: UInt64
    let deadline: Instant
  }

  private let backoff: Backoff
  package private(set) var slots: [Slot]
  /// Attempts to connect that failed in a row, by slot.
  private var failures: [Int]
  /// The slots that are free, the last used one at the end: it is warm.
  private var idle: [Int]
  private var waiters: [Waiter] = []
  private var lastTicket: UInt64 = 0
  private var isClosed = false

  package init(size: Int, backoff: Backoff) {
    self.backoff = backoff
    slots = Array(repeating: .idle, count: size)
    failures = Array(repeating: 0, count: size)
    idle = Array((0..<size).reversed())
  }

  package var waiting: Int { waiters.count }

  package mutating func makeTicket() -> UInt64 {
    lastTicket += 1
    return lastTicket
  }

  package mutating func acquire(ticket: UInt64, deadline: Instant, now: Instant) -> [Action] {
    guard !isClosed else { return [.refuse(ticket: ticket)] }
    let place = waiters.firstIndex { $0.ticket > ticket } ?? waiters.count
    waiters.insert(Waiter(ticket: ticket, deadline: deadline), at: place)
    return serve(now: now)
  }

  /// Takes a session back that works, or that will connect again at its next use.
  package mutating func release(slot: Int, now: Instant) -> [Action] {
    failures[slot] = 0
    return free(slot, now: now)
  }

  /// Takes a session back that could not connect.
  ///
  /// - Parameter jitter: A random number from 0 up to 1.
  package mutating func releaseUnconnected(slot: Int, now: Instant, jitter: Double) -> [Action] {
    guard !isClosed else { return free(slot, now: now) }
    failures[slot] += 1
    let delay = backoff.delay(afterAttempt: failures[slot], jitter: jitter)
    slots[slot] = .backingOff(attempt: failures[slot], until: now + delay)
    return serve(now: now)
  }

  /// Removes a caller that was cancelled; returns false when it is not waiting any more.
  package mutating func cancel(ticket: UInt64) -> Bool {
    guard let place = waiters.firstIndex(where: { $0.ticket == ticket }) else { return false }
    waiters.remove(at: place)
    return true
  }

  /// Does what time alone brings about.
  package mutating func tick(now: Instant) -> [Action] {
    serve(now: now)
  }

  /// The next instant at which ``tick(now:)`` has something to do.
  package var nextTick: Instant? {
    guard !waiters.isEmpty else { return nil }
    var next = waiters.map(\.deadline).min()
    for case .backingOff(_, let until) in slots {
      next = min(next ?? until, until)
    }
    return next
  }

  package mutating func close() -> [Action] {
    guard !isClosed else { return [] }
    isClosed = true
    var actions = waiters.map { Action.refuse(ticket: $0.ticket) }
    waiters.removeAll()
    idle.removeAll()
    for (slot, state) in slots.enumerated() where state != .leased {
      slots[slot] = .idle
      actions.append(.close(slot: slot))
    }
    return actions + finishIfIdle()
  }

  private mutating func free(_ slot: Int, now: Instant) -> [Action] {
    slots[slot] = .idle
    guard !isClosed else { return [.close(slot: slot)] + finishIfIdle() }
    idle.append(slot)
    return serve(now: now)
  }

  private mutating func serve(now: Instant) -> [Action] {
    for (slot, state) in slots.enumerated() {
      if case .backingOff(_, let until) = state, until <= now {
        slots[slot] = .idle
        // A session that just failed is the last choice.
        idle.insert(slot, at: 0)
      }
    }
    var actions: [Action] = []
    while let waiter = waiters.first, let slot = idle.popLast() {
      waiters.removeFirst()
      slots[slot] = .leased
      actions.append(.lease(slot: slot, ticket: waiter.ticket))
    }
    waiters.removeAll { waiter in
      guard waiter.deadline <= now else { return false }
      actions.append(.expire(ticket: waiter.ticket))
      return true
    }
    return actions
  }

  private func finishIfIdle() -> [Action] {
    slots.allSatisfy { $0 == .idle } ? [.finishClosing] : []
  }
}
