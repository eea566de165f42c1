internal import Cryptography
internal import Glibc

/// The file of a bundle that is coming in; it goes with the value. Used by one task at a time; blocking for the length
/// of one chunk.
package final class IncomingBundle {
  /// Where the bytes lie.
  package let path: String
  private let descriptor: Int32
  /// How many bytes have come.
  package private(set) var byteCount: Int64 = 0
  /// The most bytes that a bundle may have.
  package static var maximumBytes: Int64 { Archive.maximumArchiveBytes }

  init(folder: String) throws(StoreError) {
    path = "\(folder)/\(Hex.encode(RandomBytes.make(12)))"
    descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw StoreError(.io, "\(path) can not be made: \(reason(errno))") }
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
    _ = unsafe unlink(path)
  }

  package func append(_ chunk: [UInt8]) throws(StoreError) {
    byteCount += Int64(chunk.count)
    guard byteCount <= Self.maximumBytes else {
      throw Archive.bad("has more than \(Self.maximumBytes) bytes, which is the limit")
    }
    var sent = 0
    while sent < chunk.count {
      let count = unsafe chunk.withUnsafeBytes { buffer in
        unsafe write(descriptor, buffer.baseAddress?.advanced(by: sent), buffer.count - sent)
      }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw StoreError(.io, "\(path) can not be written: \(reason(errno))") }
      sent += count
    }
  }
}
