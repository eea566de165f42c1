internal import CPostgres

/// Can interrupt what one connection is doing, from any thread.
///
/// `@unchecked Sendable`: libpq allows `PQcancel` from any thread, and nothing changes the handle after `init`.
@safe final class CancelHandle: @unchecked Sendable {
  private let handle: OpaquePointer

  init(adopting handle: OpaquePointer) {
    unsafe self.handle = handle
  }

  deinit {
    unsafe PQfreeCancel(handle)
  }

  /// Asks the server to cancel; blocks until the server has signalled its process.
  func cancel() {
    var message = [CChar](repeating: 0, count: 256)
    // A failed request changes nothing: the caller repeats it until the operation has ended.
    _ = unsafe PQcancel(handle, &message, Int32(message.count))
  }
}
