import Dispatch
import Glibc
import Synchronization

/// Tells every waiting thread that the sandbox stops.
final class StopSignal: Sendable {
  private let group = DispatchGroup()
  private let raised = Atomic(false)

  init() {
    group.enter()
  }

  deinit {
    // A group that goes away while entered is a crash.
    raise()
  }

  var isRaised: Bool { raised.load(ordering: .acquiring) }

  func raise() {
    if !raised.exchange(true, ordering: .acquiringAndReleasing) { group.leave() }
  }

  /// Sleeps; false when the sandbox stopped meanwhile.
  func sleep(milliseconds: Int) -> Bool {
    guard milliseconds > 0 else { return !isRaised }
    if milliseconds <= 50 {
      // The common case of a simulated platform: one system call, no shared state.
      var time = timespec(tv_sec: 0, tv_nsec: milliseconds * 1_000_000)
      var left = timespec()
      while unsafe nanosleep(&time, &left) == -1 && errno == EINTR { time = left }
      return !isRaised
    }
    return group.wait(timeout: .now() + .milliseconds(milliseconds)) == .timedOut
  }
}
