internal import CHostShims
internal import Glibc
internal import Synchronization

/// A file descriptor with one owner, closed by `close` or with the last reference.
package final class OwnedDescriptor: Sendable {
  private let state: Mutex<Int32?>

  /// Takes over the descriptor.
  package init(adopting descriptor: Int32) {
    state = Mutex(descriptor)
  }

  deinit {
    close()
  }

  /// The descriptor, or `nil` once it is closed.
  package var rawValue: Int32? {
    state.withLock { $0 }
  }

  /// Closes the descriptor; later calls do nothing.
  ///
  /// The caller makes sure that no other thread is inside a call with this descriptor.
  package func close() {
    let descriptor = release()
    if let descriptor {
      // Linux frees the descriptor whatever close answers, so there is nothing to do about an error.
      _ = Glibc.close(descriptor)
    }
  }

  /// Gives the open descriptor to the caller, who closes it.
  package func release() -> Int32? {
    state.withLock { state in
      defer { state = nil }
      return state
    }
  }

  /// Makes reads and writes return `EAGAIN` instead of waiting.
  package func makeNonBlocking() {
    guard let descriptor = rawValue else { return }
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
  }

  /// Writes the bytes once.
  ///
  /// - Returns: How many were written, or -1 with `errno` set.
  package func write(_ bytes: [UInt8]) -> Int {
    guard let descriptor = rawValue else { return -1 }
    return unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
  }

  /// Makes a pipe whose ends are not inherited by children.
  package static func makePipe() throws(SpawnError) -> (read: OwnedDescriptor, write: OwnedDescriptor) {
    var ends: [Int32] = [-1, -1]
    guard unsafe CHostShims_pipe(&ends) == 0 else {
      throw SpawnError(step: .pipe, code: errno, executable: "")
    }
    return (OwnedDescriptor(adopting: ends[0]), OwnedDescriptor(adopting: ends[1]))
  }
}
