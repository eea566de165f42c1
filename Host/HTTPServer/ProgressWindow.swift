internal import Glibc

/// Nanoseconds of a clock that never goes back.
enum Monotonic {
  static var now: UInt64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC_COARSE, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

/// Judges whether bytes come fast enough: each window must bring a minimum, so that a trickle is cut off.
struct ProgressWindow {
  private let length: UInt64
  private let minimum: Int
  private var bytes = 0
  /// When the peer is cut off unless it makes progress.
  private(set) var deadline: UInt64

  init(length: UInt64, minimum: Int, now: UInt64) {
    self.length = length
    self.minimum = minimum
    deadline = now + length
  }

  /// Counts bytes; a full minimum begins a new window.
  mutating func advance(_ count: Int, now: UInt64) {
    bytes += count
    if bytes >= minimum { restart(now: now) }
  }

  /// Begins a new window, after a time in which the peer was held back.
  mutating func restart(now: UInt64) {
    bytes = 0
    deadline = now + length
  }
}
