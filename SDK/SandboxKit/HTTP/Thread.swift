import Glibc

/// Operating-system threads with small stacks.
///
/// Two thousand connections with blocking calls need two thousand threads; Foundation's default of 8 MB a stack and
/// the thread pool of Dispatch (64 at most) do not fit that.
enum Thread {
  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Starts a detached thread; false when the system refuses one.
  static func start(stackBytes: Int = 512 * 1024, _ run: @escaping @Sendable () -> Void) -> Bool {
    var attributes = pthread_attr_t()
    guard unsafe pthread_attr_init(&attributes) == 0 else { return false }
    defer { unsafe pthread_attr_destroy(&attributes) }
    unsafe pthread_attr_setstacksize(&attributes, stackBytes)
    unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    let body = unsafe Unmanaged.passRetained(Body(run))
    var thread = pthread_t()
    guard unsafe pthread_create(&thread, &attributes, threadMain, body.toOpaque()) == 0 else {
      unsafe body.release()
      return false
    }
    return true
  }

  fileprivate static func run(_ pointer: UnsafeMutableRawPointer) {
    unsafe Unmanaged<Body>.fromOpaque(pointer).takeRetainedValue().run()
  }
}

/// A function of the file, not a closure: a closure could inherit an isolation that the new thread does not have.
private func threadMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  if let argument = unsafe argument { unsafe Thread.run(argument) }
  return nil
}
