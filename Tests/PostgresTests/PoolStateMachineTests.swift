import Postgres
import Testing

struct PoolStateMachineTests {
  private let start = ContinuousClock.now
  private let backoff = Backoff(initial: .milliseconds(100), maximum: .seconds(1))

  private func makeMachine(size: Int) -> PoolStateMachine {
    PoolStateMachine(size: size, backoff: backoff)
  }

  private func after(_ milliseconds: Int) -> ContinuousClock.Instant {
    start + .milliseconds(milliseconds)
  }

  @Test func servesWaitersInOrder() {
    var machine = makeMachine(size: 1)
    let tickets = (0..<3).map { _ in machine.makeTicket() }
    #expect(machine.acquire(ticket: tickets[0], deadline: after(1_000), now: start) == [.lease(slot: 0, ticket: 1)])
    #expect(machine.acquire(ticket: tickets[1], deadline: after(1_000), now: start).isEmpty)
    #expect(machine.acquire(ticket: tickets[2], deadline: after(1_000), now: start).isEmpty)
    #expect(machine.release(slot: 0, now: start) == [.lease(slot: 0, ticket: 2)])
    #expect(machine.release(slot: 0, now: start) == [.lease(slot: 0, ticket: 3)])
    #expect(machine.release(slot: 0, now: start).isEmpty)
    #expect(machine.slots == [.idle])
  }

  @Test func reusesTheWarmestSession() {
    var machine = makeMachine(size: 3)
    let first = machine.makeTicket()
    #expect(machine.acquire(ticket: first, deadline: after(10), now: start) == [.lease(slot: 0, ticket: first)])
    #expect(machine.release(slot: 0, now: start).isEmpty)
    let second = machine.makeTicket()
    #expect(machine.acquire(ticket: second, deadline: after(10), now: start) == [.lease(slot: 0, ticket: second)])
  }

  @Test func callerKeepsItsPlaceAfterAFailedConnect() {
    var machine = makeMachine(size: 1)
    let early = machine.makeTicket()
    let late = machine.makeTicket()
    _ = machine.acquire(ticket: early, deadline: after(5_000), now: start)
    _ = machine.acquire(ticket: late, deadline: after(5_000), now: start)
    #expect(machine.releaseUnconnected(slot: 0, now: start, jitter: 1).isEmpty)
    #expect(machine.acquire(ticket: early, deadline: after(5_000), now: start).isEmpty)
    #expect(machine.nextTick == after(100))
    #expect(machine.tick(now: after(99)).isEmpty)
    #expect(machine.tick(now: after(100)) == [.lease(slot: 0, ticket: early)])
  }

  @Test func pausesGrowUntilASuccess() {
    var machine = makeMachine(size: 1)
    for (attempt, pause) in [100, 200, 400, 800, 1_000, 1_000].enumerated() {
      let ticket = machine.makeTicket()
      let now = after(attempt * 10_000)
      #expect(
        machine.acquire(ticket: ticket, deadline: now + .seconds(1), now: now) == [.lease(slot: 0, ticket: ticket)]
      )
      _ = machine.releaseUnconnected(slot: 0, now: now, jitter: 1)
      #expect(machine.slots == [.backingOff(attempt: attempt + 1, until: now + .milliseconds(pause))])
    }
    let ticket = machine.makeTicket()
    _ = machine.acquire(ticket: ticket, deadline: after(100_000), now: after(90_000))
    _ = machine.release(slot: 0, now: after(90_000))
    _ = machine.acquire(ticket: machine.makeTicket(), deadline: after(100_000), now: after(90_000))
    _ = machine.releaseUnconnected(slot: 0, now: after(90_000), jitter: 1)
    #expect(machine.slots == [.backingOff(attempt: 1, until: after(90_100))])
  }

  @Test func waitersExpire() {
    var machine = makeMachine(size: 1)
    _ = machine.acquire(ticket: machine.makeTicket(), deadline: after(10), now: start)
    let ticket = machine.makeTicket()
    _ = machine.acquire(ticket: ticket, deadline: after(50), now: start)
    #expect(machine.nextTick == after(50))
    #expect(machine.tick(now: after(50)) == [.expire(ticket: ticket)])
    #expect(machine.waiting == 0)
    #expect(machine.nextTick == nil)
  }

  @Test func cancelledWaitersAreSkipped() {
    var machine = makeMachine(size: 1)
    _ = machine.acquire(ticket: machine.makeTicket(), deadline: after(10), now: start)
    let canceled = machine.makeTicket()
    let next = machine.makeTicket()
    _ = machine.acquire(ticket: canceled, deadline: after(10), now: start)
    _ = machine.acquire(ticket: next, deadline: after(10), now: start)
    let wasWaiting = machine.cancel(ticket: canceled)
    let isStillWaiting = machine.cancel(ticket: canceled)
    #expect(wasWaiting)
    #expect(!isStillWaiting)
    #expect(machine.release(slot: 0, now: start) == [.lease(slot: 0, ticket: next)])
  }

  @Test func closingWaitsForLeasedSessions() {
    var machine = makeMachine(size: 2)
    _ = machine.acquire(ticket: machine.makeTicket(), deadline: after(10), now: start)
    #expect(machine.close() == [.close(slot: 1)])
    let late = machine.makeTicket()
    #expect(machine.acquire(ticket: late, deadline: after(10), now: start) == [.refuse(ticket: late)])
    #expect(machine.release(slot: 0, now: start) == [.close(slot: 0), .finishClosing])
    #expect(machine.close().isEmpty)
  }
}
