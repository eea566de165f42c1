import Synchronization

/// What one request meets.
struct FaultPlan: Sendable {
  var delayBefore = 0
  var delayAfter = 0
  var listLag = 0
  var ending: FaultAction?
  var names: [String] = []

  mutating func add(_ action: FaultAction) {
    names.append(action.name)
    switch action {
    case .delay(let milliseconds, let after):
      if after { delayAfter += milliseconds } else { delayBefore += milliseconds }
    case .listLag(let milliseconds): listLag += milliseconds
    default: ending = action
    }
  }
}

/// The faults in force, in the order in which they were ordered.
final class FaultBook: Sendable {
  private struct State {
    var faults: [Fault] = []
    var nextID = 1
  }

  private let state = Guarded(State())
  /// Spares the lock on the hot path while there is none.
  private let count = Atomic(0)

  func add(_ orders: [FaultOrder]) -> [Int] {
    state.withLock { state in
      let ids = orders.map { order in
        let id = state.nextID
        state.nextID += 1
        state.faults.append(
          Fault(
            id: id,
            match: order.match,
            action: order.action,
            remaining: order.count,
            skip: order.skip,
            probability: order.probability,
            random: SplitMix64(seed: order.seed)
          )
        )
        return id
      }
      count.store(state.faults.count, ordering: .releasing)
      return ids
    }
  }

  func removeAll() {
    state.withLock { state in
      state.faults = []
      count.store(0, ordering: .releasing)
    }
  }

  func list() -> [Fault] {
    state.withLock { $0.faults }
  }

  func plan(for request: HTTPRequest, platform: String, account: () -> String?) -> FaultPlan {
    var plan = FaultPlan()
    guard count.load(ordering: .acquiring) > 0 else { return plan }
    let account = account()
    state.withLock { state in
      for index in state.faults.indices {
        let fault = state.faults[index]
        guard fault.remaining != 0 else { continue }
        if plan.ending != nil && fault.action.endsRequest { continue }
        guard fault.match.matches(request, platform: platform, account: account) else { continue }
        if fault.skip > 0 {
          state.faults[index].skip -= 1
          continue
        }
        if fault.probability < 1, state.faults[index].random.nextUnit() >= fault.probability { continue }
        state.faults[index].remaining = fault.remaining.map { $0 - 1 }
        state.faults[index].hits += 1
        plan.add(fault.action)
      }
    }
    return plan
  }
}

/// A fault as it is ordered over the control interface.
struct FaultOrder: Sendable {
  var match = FaultMatch()
  var action: FaultAction
  var count: Int?
  var skip = 0
  var probability = 1.0
  var seed: UInt64 = 0
}
