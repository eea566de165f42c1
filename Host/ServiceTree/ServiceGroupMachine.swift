/// Decides which service starts or stops next; holds no task and no clock.
struct ServiceGroupMachine {
  enum Event: Equatable {
    case begin
    case started(Int)
    case ended(Int)
    case shutdownRequested
    case deadlinePassed
  }

  enum Action: Equatable {
    case start(Int)
    case stop(Int)
    case startDeadline
    case cancelAll
    case finish
  }

  private enum Phase {
    case idle
    case starting(Int)
    case running
    case stopping
    case finished
  }

  private let waitsForStartup: [Bool]
  private var phase = Phase.idle
  private(set) var running: Set<Int> = []
  private var stopRequested: Set<Int> = []

  /// - Parameter waitsForStartup: For each service, whether the next one waits until it has started.
  init(waitsForStartup: [Bool]) {
    self.waitsForStartup = waitsForStartup
  }

  mutating func handle(_ event: Event) -> [Action] {
    switch (event, phase) {
    case (.begin, .idle):
      return startServices(from: 0)
    case (.started(let index), .starting(let current)) where index == current:
      return startServices(from: index + 1)
    case (.ended(let index), _):
      running.remove(index)
      return endService()
    case (.shutdownRequested, .starting), (.shutdownRequested, .running):
      phase = .stopping
      return [.startDeadline] + stopLast()
    case (.deadlinePassed, .stopping):
      let remaining = running.subtracting(stopRequested).sorted(by: >)
      stopRequested.formUnion(remaining)
      return remaining.map(Action.stop) + [.cancelAll]
    default:
      return []
    }
  }

  private mutating func startServices(from first: Int) -> [Action] {
    var actions: [Action] = []
    for index in first..<waitsForStartup.count {
      actions.append(.start(index))
      running.insert(index)
      if waitsForStartup[index] {
        phase = .starting(index)
        return actions
      }
    }
    phase = .running
    if running.isEmpty {
      phase = .finished
      actions.append(.finish)
    }
    return actions
  }

  private mutating func endService() -> [Action] {
    switch phase {
    case .starting, .running:
      phase = .stopping
      return [.startDeadline] + stopLast()
    case .stopping:
      return stopLast()
    case .idle, .finished:
      return []
    }
  }

  private mutating func stopLast() -> [Action] {
    guard let last = running.max() else {
      phase = .finished
      return [.finish]
    }
    return stopRequested.insert(last).inserted ? [.stop(last)] : []
  }
}
