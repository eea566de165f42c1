import Glibc

/// Owns the writing end of a pipe.
///
/// Its number stays taken until nobody can write any more: an answer that comes late must not go to whoever got the
/// number next.
final class PipeEnd: Sendable {
  private let descriptor: Int32

  init(_ descriptor: Int32) {
    self.descriptor = descriptor
  }

  deinit {
    close(descriptor)
  }

  /// Lets the reader see the end; what is written from now on goes nowhere.
  func end() {
    let nothing = unsafe open("/dev/null", O_WRONLY | O_CLOEXEC)
    guard nothing >= 0 else { return }
    dup2(nothing, descriptor)
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    close(nothing)
  }
}
