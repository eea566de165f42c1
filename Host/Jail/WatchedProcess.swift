internal import Synchronization

/// A process that is looked at from time to time.
package final class WatchedProcess: Sendable {
  /// The process was given work since the last look.
  let hasWork = Atomic(false)
  /// The next look may be far away.
  let isSlow = Atomic(false)
  private let number: Int
  private let watch: ResourceWatch

  init(number: Int, watch: ResourceWatch) {
    self.number = number
    self.watch = watch
  }

  /// The process is given work, so it is looked at more often for a while. Cheap; any thread.
  package func noteWork() {
    hasWork.store(true, ordering: .sequentiallyConsistent)
    guard isSlow.exchange(false, ordering: .sequentiallyConsistent) else { return }
    watch.lookSoon(number)
  }

  /// Ends the watch.
  package func stop() {
    watch.end(number)
  }
}
