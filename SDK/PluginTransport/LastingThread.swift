import Glibc

/// A thread for work that blocks, so that no thread of the shared pool has to.
package enum LastingThread {
  private final class Body: Sendable {
    let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) {
      self.run = run
    }
  }

  /// Starts a detached thread; false if the system has none left.
  package static func start(_ body: @escaping @Sendable () -> Void) -> Bool {
    let box = unsafe Unmanaged.passRetained(Body(body))
    var thread = pthread_t()
    let status = unsafe pthread_create(&thread, nil, runThreadBody, box.toOpaque())
    guard status == 0 else {
      unsafe box.release()
      return false
    }
    pthread_detach(thread)
    return true
  }

  fileprivate static func run(_ argument: UnsafeMutableRawPointer?) {
    guard let argument = unsafe argument else { return }
    let body = unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
    body.run()
  }
}

/// File scope, because C calls it on a thread that belongs to no actor.
private func runThreadBody(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  unsafe LastingThread.run(argument)
  return nil
}
