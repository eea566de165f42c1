import Synchronization

/// Knows the open requests of every delivery, so that the same step is never on the way twice.
final class CallRegistry: Sendable {
  struct Key: Hashable, Sendable {
    let connection: Int64
    let requestKey: String
  }

  enum Entry: Sendable {
    /// The caller does the work and must call `leave`.
    case first
    /// The same step with the same digest was on the way; this is its answer.
    case joined(HTTPAnswer)
    /// The same step with another digest is on the way.
    case conflict
  }

  private struct OpenCall {
    let digest: String
    var waiters: [CheckedContinuation<HTTPAnswer?, Never>] = []
  }

  private struct Delivery {
    var open: [String: OpenCall] = [:]
    var isCommitOpen = false
    var commitWaiters: [CheckedContinuation<Void, Never>] = []

    var isIdle: Bool { open.isEmpty && !isCommitOpen }
  }

  private let deliveries = Mutex<[Key: Delivery]>([:])

  /// Claims a step, or waits for whoever holds it.
  func enter(_ key: Key, step: String, digest: String) async -> Entry {
    while true {
      let known: Bool? = deliveries.withLock { deliveries in
        if let open = deliveries[key]?.open[step] { return open.digest == digest }
        deliveries[key, default: Delivery()].open[step] = OpenCall(digest: digest)
        return nil
      }
      guard let isSame = known else { return .first }
      guard isSame else { return .conflict }
      let answer: HTTPAnswer? = await withCheckedContinuation { continuation in
        let isWaiting = deliveries.withLock { deliveries in
          guard deliveries[key]?.open[step]?.digest == digest else { return false }
          deliveries[key]?.open[step]?.waiters.append(continuation)
          return true
        }
        if !isWaiting { continuation.resume(returning: nil) }
      }
      if let answer { return .joined(answer) }
    }
  }

  /// Ends a step and gives its answer to everyone who joined.
  func leave(_ key: Key, step: String, _ answer: HTTPAnswer) {
    let waiters = deliveries.withLock { deliveries in
      let open = deliveries[key]?.open.removeValue(forKey: step)
      if deliveries[key]?.isIdle == true { deliveries[key] = nil }
      return open?.waiters ?? []
    }
    for waiter in waiters { waiter.resume(returning: answer) }
  }

  /// Waits until no other commit of the delivery is open; must be followed by `closeCommit`.
  func openCommit(_ key: Key) async {
    let isFree = deliveries.withLock { deliveries in Self.takeCommit(&deliveries, key) }
    if isFree { return }
    await withCheckedContinuation { continuation in
      let isFree = deliveries.withLock { deliveries in
        if Self.takeCommit(&deliveries, key) { return true }
        deliveries[key]?.commitWaiters.append(continuation)
        return false
      }
      if isFree { continuation.resume() }
    }
  }

  /// Hands the commit on to the next waiter.
  func closeCommit(_ key: Key) {
    let next: CheckedContinuation<Void, Never>? = deliveries.withLock { deliveries in
      guard deliveries[key]?.commitWaiters.isEmpty == false else {
        deliveries[key]?.isCommitOpen = false
        if deliveries[key]?.isIdle == true { deliveries[key] = nil }
        return nil
      }
      return deliveries[key]?.commitWaiters.removeFirst()
    }
    next?.resume()
  }

  /// Number of deliveries with an open request.
  var count: Int { deliveries.withLock { $0.count } }

  private static func takeCommit(_ deliveries: inout [Key: Delivery], _ key: Key) -> Bool {
    guard deliveries[key]?.isCommitOpen != true else { return false }
    deliveries[key, default: Delivery()].isCommitOpen = true
    return true
  }
}
