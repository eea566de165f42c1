internal import Glibc
internal import Processes

/// The right to serve a home; one process has it at a time, and the kernel frees it when that process ends.
package final class HomeLock: Sendable {
  /// The home's folder.
  package let home: String
  private let descriptor: OwnedDescriptor

  /// Takes the lock, and makes the home when it is missing.
  package init(home: String) throws(ClusterError) {
    self.home = home
    try Folder.make(home, mode: 0o700)
    let path = home + "/lock"
    let opened = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard opened >= 0 else {
      throw ClusterError(.folder, "The lock \(path) cannot be opened: \(Folder.reason(errno))")
    }
    descriptor = OwnedDescriptor(adopting: opened)
    // A holder that was killed while it started a child is gone, but the child holds a copy for a moment longer.
    var patience = 200
    while flock(opened, LOCK_EX | LOCK_NB) != 0 {
      let holder = HomeLock.holder(opened)
      guard let holder, kill(holder, 0) != 0, errno == ESRCH, patience > 0 else {
        let who = holder.map { "process \($0)" } ?? "another process"
        throw ClusterError(
          .homeInUse,
          "\(home) is in use: \(who) serves it; stop that one or choose another ROSTRUM_HOME"
        )
      }
      patience -= 1
      usleep(5_000)
    }
    let text = [UInt8](String(getpid()).utf8)
    // The number only helps people; the lock is what counts, so a full disk is no reason to refuse.
    _ = ftruncate(opened, 0)
    _ = unsafe pwrite(opened, text, text.count, 0)
  }

  /// The number in the lock's file.
  private static func holder(_ descriptor: Int32) -> Int32? {
    var buffer = [UInt8](repeating: 0, count: 16)
    let count = unsafe pread(descriptor, &buffer, buffer.count, 0)
    return Int32(String(decoding: buffer[..<max(0, count)], as: UTF8.self))
  }

  deinit {
    release()
  }

  /// Gives the lock back; also happens with the last reference.
  package func release() {
    // A child that is being started at this moment holds a copy of the descriptor; unlocking works on all copies.
    if let number = descriptor.release() {
      _ = flock(number, LOCK_UN)
      _ = close(number)
    }
  }
}
