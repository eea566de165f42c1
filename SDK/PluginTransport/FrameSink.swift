/// Takes whole frames and carries them to the other side in order.
public protocol FrameSink: Sendable {
  /// Takes one frame; never waits. Says why the frame was not taken.
  func send(_ frame: [UInt8]) throws(FrameSinkError)
}

/// Why a frame was not taken.
public enum FrameSinkError: Error, Sendable, Equatable {
  /// The other side is gone.
  case closed
  /// The other side does not read, and too much waits already.
  case full
}
