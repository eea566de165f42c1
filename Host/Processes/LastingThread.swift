internal import CHostShims
internal import Glibc

/// Threads for work that waits outside the shared pool.
package enum LastingThread {
  fileprivate final class Body: Sendable {
    let name: String
    let run: @Sendable () -> Void

    init(name: String, run: @escaping @Sendable () -> Void) {
      self.name = name
      self.run = run
    }
  }

  /// Starts a detached thread.
  ///
  /// - Parameter name: Shown by system tools, which cut it to 15 bytes.
  package static func start(name: String, _ run: @escaping @Sendable () -> Void) throws(SpawnError) {
    var handle = pthread_t()
    let box = unsafe Unmanaged.passRetained(Body(name: name, run: run))
    let code = unsafe pthread_create(&handle, nil, runThread, box.toOpaque())
    guard code == 0 else {
      unsafe box.release()
      throw SpawnError(step: .thread, code: code, executable: name)
    }
    pthread_detach(handle)
  }
}

// A file-scope function: C calls it on the new thread.
private func runThread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  if let context = unsafe context {
    let body = unsafe Unmanaged<LastingThread.Body>.fromOpaque(context).takeRetainedValue()
    unsafe CHostShims_name_thread(body.name)
    body.run()
  }
  return nil
}
