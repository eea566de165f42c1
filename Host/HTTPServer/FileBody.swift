internal import Dispatch
internal import Glibc
internal import Synchronization

/// An open regular file that becomes the body of an answer.
final class FileBody: Sendable {
  let size: Int64
  private let descriptor: Mutex<Int32?>

  // Opening and reading may wait for a disk, so they stay off the cooperative threads.
  private static let queue = DispatchQueue(label: "files", attributes: .concurrent)

  private init(descriptor: Int32, size: Int64) {
    self.descriptor = Mutex(descriptor)
    self.size = size
  }

  deinit {
    if let descriptor = release() { Glibc.close(descriptor) }
  }

  /// Opens a file; nil when it is absent, unreadable or no regular file.
  static func open(_ path: String) async -> FileBody? {
    await withCheckedContinuation { continuation in
      queue.async { continuation.resume(returning: opened(path)) }
    }
  }

  private static func opened(_ path: String) -> FileBody? {
    // Non-blocking, so that a pipe in the file's place cannot hold the thread.
    let descriptor = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      Glibc.close(descriptor)
      return nil
    }
    return FileBody(descriptor: descriptor, size: Int64(status.st_size))
  }

  /// Gives the descriptor away; the receiver closes it.
  func release() -> Int32? {
    descriptor.withLock { descriptor in
      defer { descriptor = nil }
      return descriptor
    }
  }

  /// Reads the whole file.
  func contents() async -> [UInt8]? {
    await withCheckedContinuation { continuation in
      Self.queue.async { continuation.resume(returning: self.read()) }
    }
  }

  private func read() -> [UInt8]? {
    guard let descriptor = release() else { return nil }
    defer { Glibc.close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: Int(size))
    var filled = 0
    while filled < bytes.count {
      let count = unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe Glibc.read(descriptor, buffer.baseAddress?.advanced(by: filled), buffer.count - filled)
      }
      guard count > 0 else { return nil }
      filled += count
    }
    return bytes
  }
}
