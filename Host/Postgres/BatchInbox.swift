/// The operations that wait for the next flush, by kind.
struct BatchInbox {
  /// Gathers one kind; lives inside the writer's lock only.
  private class Lane {
    let rank: Int
    init(rank: Int) { self.rank = rank }
    var count: Int { 0 }
    /// Takes the first operations.
    func take(_ count: Int) -> (any BatchGroup)? { nil }
    func ticket(at place: Int) -> UInt64? { nil }
    func count(before ticket: UInt64) -> Int { 0 }
    func takeExpired(before instant: ContinuousClock.Instant) -> (any BatchGroup)? { nil }
  }

  private final class LaneOf<Operation: BatchOperation>: Lane {
    var group = BatchGroupOf<Operation>()
    var arrivals: [ContinuousClock.Instant] = []

    override var count: Int { group.count }

    override func take(_ count: Int) -> (any BatchGroup)? {
      guard count > 0, self.count > 0 else { return nil }
      guard group.count > count else {
        let taken = group
        group = BatchGroupOf()
        arrivals.removeAll(keepingCapacity: true)
        return taken
      }
      let taken = group.part(0..<count)
      group = group.part(count..<group.count)
      arrivals.removeFirst(count)
      return taken
    }

    override func ticket(at place: Int) -> UInt64? {
      place < group.count ? group.tickets[place] : nil
    }

    override func count(before ticket: UInt64) -> Int {
      group.tickets.firstIndex { $0 >= ticket } ?? group.count
    }

    override func takeExpired(before instant: ContinuousClock.Instant) -> (any BatchGroup)? {
      // They stand in the order of their arrival.
      let count = arrivals.prefix { $0 < instant }.count
      return count > 0 ? take(count) : nil
    }
  }

  private var lanes: [ObjectIdentifier: Lane] = [:]
  /// The lanes in the order in which they run.
  private var order: [Lane] = []

  var count: Int { order.reduce(0) { $0 + $1.count } }

  mutating func append<Operation: BatchOperation>(
    _ operation: Operation,
    caller: BatchCaller<Operation.Output>,
    ticket: UInt64,
    now: ContinuousClock.Instant
  ) {
    let lane: LaneOf<Operation>
    if let known = lanes[ObjectIdentifier(Operation.self)] as? LaneOf<Operation> {
      lane = known
    } else {
      lane = LaneOf<Operation>(rank: Operation.rank)
      lanes[ObjectIdentifier(Operation.self)] = lane
      let place = order.firstIndex { $0.rank > Operation.rank } ?? order.count
      order.insert(lane, at: place)
    }
    lane.group.operations.append(operation)
    lane.group.callers.append(caller)
    lane.group.tickets.append(ticket)
    lane.arrivals.append(now)
  }

  /// Takes up to `maximum` operations of each kind, in the order of the ranks.
  ///
  /// All kinds are cut at the same ticket, so what was submitted together stays together.
  mutating func take(maximum: Int) -> [any BatchGroup] {
    guard let end = order.compactMap({ $0.ticket(at: maximum) }).min() else {
      return order.compactMap { $0.take($0.count) }
    }
    return order.compactMap { $0.take($0.count(before: end)) }
  }

  /// Takes what arrived before the instant.
  mutating func takeExpired(before instant: ContinuousClock.Instant) -> [any BatchGroup] {
    order.compactMap { $0.takeExpired(before: instant) }
  }
}
