internal import Synchronization

/// Counts what the queue of this node does.
package final class QueueMetrics: Sendable {
  /// The numbers since the start of the node.
  package struct Snapshot: Sendable, Equatable {
    package var claimed = 0
    package var checksClaimed = 0
    package var finished = 0
    package var failed = 0
    package var retried = 0
    package var snoozed = 0
    package var unknown = 0
    package var released = 0
    package var canceled = 0
    /// Ends that were refused by a fence: the job belonged to another claim by then.
    package var stale = 0
    package var promoted = 0
    package var rescued = 0
    package var repairedLanes = 0
    package var flushes = 0
    package var flushedRows = 0
    /// How long after their due time jobs were handed to a handler, as counts for each bound of `latenessBounds`
    /// and one more for what lies above; checks are left out.
    package var lateness = [Int](repeating: 0, count: QueueMetrics.latenessBounds.count + 1)
    package var latenessSum: Duration = .zero
  }

  /// The upper bounds of the lateness buckets, in milliseconds.
  package static let latenessBounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000]

  private let state = Mutex(Snapshot())

  package init() {}

  package var snapshot: Snapshot { state.withLock { $0 } }

  func update(_ body: (inout Snapshot) -> Void) {
    state.withLock { body(&$0) }
  }

  func flushed(rows: Int) {
    state.withLock { state in
      state.flushes += 1
      state.flushedRows += rows
    }
  }

  func started(late lateness: Duration) {
    let milliseconds = Int(max(0, lateness.seconds) * 1_000)
    let bucket = QueueMetrics.latenessBounds.firstIndex { milliseconds <= $0 } ?? QueueMetrics.latenessBounds.count
    state.withLock { state in
      state.lateness[bucket] += 1
      state.latenessSum += max(.zero, lateness)
    }
  }

  func settled(_ way: SettleOperation.Way) {
    state.withLock { state in
      switch way {
      case .finished: state.finished += 1
      case .failed: state.failed += 1
      case .retried, .retriedOrUnknown: state.retried += 1
      case .snoozed: state.snoozed += 1
      case .unknown: state.unknown += 1
      case .released, .refused, .releasedOrUnknown: state.released += 1
      case .canceled: state.canceled += 1
      }
    }
  }
}
