internal import CPostgres
internal import Glibc

/// An eventfd that lets other threads end a `poll`.
final class WakeDescriptor: Sendable {
  private let descriptor: Int32

  init() throws(PostgresError) {
    descriptor = CPostgres_makeWakeDescriptor()
    guard descriptor >= 0 else {
      throw PostgresError(.configuration, "No descriptor is free for the listener (errno \(errno))")
    }
  }

  deinit {
    close(descriptor)
  }

  func signal() {
    var one: UInt64 = 1
    // It can only fail when the counter is full, and then the waiter wakes anyway.
    _ = unsafe write(descriptor, &one, 8)
  }

  /// Waits for a signal, for input on the other descriptor, or for the time.
  func wait(for duration: Duration?, beside other: Int32?) {
    var descriptors = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)]
    if let other { descriptors.append(pollfd(fd: other, events: Int16(POLLIN), revents: 0)) }
    let timeout = duration.map { Int32(clamping: $0.wholeMilliseconds + 1) } ?? -1
    _ = unsafe poll(&descriptors, nfds_t(descriptors.count), timeout)
    if descriptors[0].revents != 0 {
      var count: UInt64 = 0
      _ = unsafe read(descriptor, &count, 8)
    }
  }
}
