internal import Cryptography
internal import Glibc

/// Writes a bundle under a temporary name and puts it in its place when it is whole. Blocking.
struct ArchiveWriter: ~Copyable {
  private let path: String
  private let temporary: String
  private let descriptor: Int32

  init(_ path: String) throws(StoreError) {
    self.path = path
    temporary = "\(path).new-\(Hex.encode(RandomBytes.make(6)))"
    let opened = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard opened >= 0 else { throw StoreError(.io, "\(path) can not be written: \(reason(errno))") }
    descriptor = opened
  }

  deinit {
    close(descriptor)
    // Gone already when the bundle became whole.
    _ = unsafe unlink(temporary)
  }

  func add(_ path: String, content: [UInt8]) throws(StoreError) {
    let size = Int64(content.count)
    try write(Archive.header(path: path, size: size))
    try write(content)
    try write([UInt8](repeating: 0, count: Archive.padding(size)))
  }

  /// Adds a file that is on disk and must still have this digest.
  func add(_ path: String, file: String, sha256: String) throws(StoreError) {
    let opened = unsafe open(file, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { throw StoreError(.io, "\(file) can not be read: \(reason(errno))") }
    defer { close(opened) }
    let size = try FileDigests.stamp(of: opened, named: file).size
    try write(Archive.header(path: path, size: size))
    var hash = SHA256()
    var written: Int64 = 0
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let count = unsafe Glibc.read(opened, &buffer, buffer.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw StoreError(.io, "\(file) can not be read: \(reason(errno))") }
      if count == 0 { break }
      hash.update(buffer.span.extracting(0..<count))
      written += Int64(count)
      try write(Array(buffer[..<count]))
    }
    guard written == size, Hex.encode(hash.digest()) == sha256 else {
      throw StoreError(.tampered, "\(file) changed while it was packed; try again")
    }
    try write([UInt8](repeating: 0, count: Archive.padding(size)))
  }

  /// Ends the bundle and puts it in its place.
  func finish() throws(StoreError) {
    try write([UInt8](repeating: 0, count: 2 * Archive.blockSize))
    guard fsync(descriptor) == 0, unsafe rename(temporary, path) == 0 else {
      throw StoreError(.io, "\(path) can not be written: \(reason(errno))")
    }
  }

  private func write(_ bytes: [UInt8]) throws(StoreError) {
    var sent = 0
    while sent < bytes.count {
      let count = unsafe bytes.withUnsafeBytes { buffer in
        unsafe Glibc.write(descriptor, buffer.baseAddress?.advanced(by: sent), buffer.count - sent)
      }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw StoreError(.io, "\(path) can not be written: \(reason(errno))") }
      sent += count
    }
  }
}
