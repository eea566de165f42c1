import FoundationEssentials

/// What the queue is to do with the job of a delivery.
enum NextMove: Sendable {
  case end(DeliveryEnd)
  case again(after: TimeInterval?, counted: Bool, problem: DeliveryProblem)
  case holdAccount(TimeInterval, problem: DeliveryProblem)
  case snooze(TimeInterval)
  /// The outcome is unknown: keep the lane and look again after this time.
  case check(after: TimeInterval)
  /// Paused, canceled, or the lease belongs to somebody else: the queue knows where the job belongs.
  case refused
}
