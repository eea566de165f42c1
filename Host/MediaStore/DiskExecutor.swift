import Dispatch

/// Runs an actor on a serial queue of its own.
final class DiskExecutor: SerialExecutor {
  private let queue = DispatchQueue(label: "rostrum.media.write")

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { unsafe job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }

  func checkIsolated() {
    dispatchPrecondition(condition: .onQueue(queue))
  }
}
