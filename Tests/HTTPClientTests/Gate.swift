import Dispatch

/// A gate between a server thread, which blocks, and a test, which opens it.
final class Gate: Sendable {
  private let semaphore = DispatchSemaphore(value: 0)

  func open() { semaphore.signal() }

  /// Blocks the calling thread; only for the server's own threads. False after ten seconds.
  @discardableResult func wait() -> Bool { semaphore.wait(timeout: .now() + 10) == .success }
}

/// Tells a waiting task that a server thread has come to a point.
final class Arrival: Sendable {
  private let stream: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation

  init() {
    (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  func notify() { continuation.yield() }

  func wait() async {
    for await _ in stream { return }
  }
}
