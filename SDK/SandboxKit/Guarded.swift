import Glibc

/// A value behind a plain POSIX lock.
///
/// Not `Synchronization.Mutex`: hundreds of threads meet at the platforms' state, and on Linux that type spins and then
/// hands the lock over by priority inheritance, one context switch for each holder. That took 70 % of the processor
/// time here; a plain lock lets the running thread go on.
@safe final class Guarded<Value>: @unchecked Sendable {
  // Unchecked: every access to `value` is between lock and unlock, and what leaves `withLock` is Sendable.
  private var value: Value
  private let lock: UnsafeMutablePointer<pthread_mutex_t>

  init(_ value: sending Value) {
    self.value = value
    unsafe lock = .allocate(capacity: 1)
    unsafe lock.initialize(to: pthread_mutex_t())
    unsafe pthread_mutex_init(lock, nil)
  }

  deinit {
    unsafe pthread_mutex_destroy(lock)
    unsafe lock.deinitialize(count: 1)
    unsafe lock.deallocate()
  }

  func withLock<Result: Sendable, Failure: Error>(
    _ body: (inout Value) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    unsafe pthread_mutex_lock(lock)
    defer { unsafe pthread_mutex_unlock(lock) }
    return try body(&value)
  }
}
