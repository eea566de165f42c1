internal import Synchronization

/// Hands out the numbers of calls, unique in the host.
final class CallNumbers: Sendable {
  private let last = Atomic<Int64>(0)

  func next() -> Int64 {
    last.wrappingAdd(1, ordering: .relaxed).newValue
  }
}
