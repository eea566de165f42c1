internal import JobQueue
internal import Synchronization

/// Tells deliveries until when this node may start requests. The queue knows it, and is made after them.
final class NodeClock: Sendable {
  private let queue = Mutex<JobQueue?>(nil)

  func follow(_ queue: JobQueue) {
    self.queue.withLock { $0 = queue }
  }

  /// The queue lives as long as the process, so that holding it here costs nothing.
  var sendDeadline: ContinuousClock.Instant? {
    queue.withLock { $0 }?.sendDeadline
  }
}
