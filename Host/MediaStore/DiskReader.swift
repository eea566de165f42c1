import Dispatch
import Glibc

/// Reads pieces of files on a queue of its own, so that a slow disk never holds a cooperative thread.
package enum DiskReader {
  private static let queue = DispatchQueue(label: "rostrum.media.read", attributes: .concurrent)

  /// Reads up to `count` bytes; nil when the file can not be read.
  package static func read(path: String, offset: Int64, count: Int) async -> [UInt8]? {
    await withCheckedContinuation { continuation in
      queue.async { continuation.resume(returning: readNow(path: path, offset: offset, count: count)) }
    }
  }

  private static func readNow(path: String, offset: Int64, count: Int) -> [UInt8]? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: count)
    var filled = 0
    while filled < count {
      let got = unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe pread(
          descriptor,
          buffer.baseAddress?.advanced(by: filled),
          count - filled,
          off_t(offset) + off_t(filled)
        )
      }
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { return nil }
      if got == 0 { break }
      filled += got
    }
    bytes.removeLast(count - filled)
    return bytes
  }
}
