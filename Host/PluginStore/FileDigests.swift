internal import Cryptography
internal import Glibc
internal import Synchronization

/// SHA-256 digests of open files, remembered for as long as the kernel says that the file is the same.
///
/// A file counts as the same while device, inode, size and the time of the last change of its inode are equal; nobody
/// can set that time back. Blocking.
package final class FileDigests: Sendable {
  /// What tells one state of one file from every other.
  package struct Stamp: Sendable, Hashable {
    package let device: UInt64
    package let inode: UInt64
    package let size: Int64
    package let changedSeconds: Int64
    package let changedNanoseconds: Int64

    package init(device: UInt64, inode: UInt64, size: Int64, changedSeconds: Int64, changedNanoseconds: Int64) {
      self.device = device
      self.inode = inode
      self.size = size
      self.changedSeconds = changedSeconds
      self.changedNanoseconds = changedNanoseconds
    }

    init(_ status: stat) {
      self.init(
        device: UInt64(status.st_dev),
        inode: UInt64(status.st_ino),
        size: Int64(status.st_size),
        changedSeconds: Int64(status.st_ctim.tv_sec),
        changedNanoseconds: Int64(status.st_ctim.tv_nsec)
      )
    }
  }

  private let known: Mutex<[Stamp: [UInt8]]>
  private static let limit = 20_000

  package init(_ known: [Stamp: [UInt8]] = [:]) {
    self.known = Mutex(known)
  }

  /// The digest of the whole file behind the descriptor, whose position is not used.
  ///
  /// - Throws: ``StoreError`` when it is no regular file or can not be read.
  package func digest(of descriptor: Int32, named name: String) throws(StoreError) -> [UInt8] {
    let before = try Self.stamp(of: descriptor, named: name)
    if let digest = known.withLock({ $0[before] }) { return digest }
    let digest = try Self.hash(descriptor, named: name)
    // A file that changed while it was read has a digest that belongs to no state of it.
    guard try Self.stamp(of: descriptor, named: name) == before else {
      throw StoreError(.tampered, "\(name) changed while it was read")
    }
    remember(digest, for: before)
    return digest
  }

  package func remember(_ digest: [UInt8], for stamp: Stamp) {
    known.withLock { known in
      if known.count >= Self.limit { known.removeAll(keepingCapacity: true) }
      known[stamp] = digest
    }
  }

  /// Everything remembered.
  package var all: [Stamp: [UInt8]] { known.withLock { $0 } }

  package static func stamp(of descriptor: Int32, named name: String) throws(StoreError) -> Stamp {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw StoreError(.io, "\(name) can not be looked at: \(reason(errno))")
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw StoreError(.tampered, "\(name) is no regular file") }
    return Stamp(status)
  }

  static func size(of descriptor: Int32, named name: String) throws(StoreError) -> Int64 {
    try stamp(of: descriptor, named: name).size
  }

  /// The bytes of an open file from a place on; fewer than `count` at its end.
  static func read(_ descriptor: Int32, at offset: Int64, count: Int, named name: String) throws(StoreError) -> [UInt8]
  {
    var buffer = [UInt8](repeating: 0, count: count)
    while true {
      let got = unsafe pread(descriptor, &buffer, count, off_t(offset))
      if got < 0 && errno == EINTR { continue }
      guard got >= 0 else { throw StoreError(.io, "\(name) can not be read: \(reason(errno))") }
      return Array(buffer[..<got])
    }
  }

  private static func hash(_ descriptor: Int32, named name: String) throws(StoreError) -> [UInt8] {
    var hash = SHA256()
    var buffer = [UInt8](repeating: 0, count: 1 << 18)
    var offset: off_t = 0
    while true {
      let count = unsafe buffer.withUnsafeMutableBytes { unsafe pread(descriptor, $0.baseAddress, $0.count, offset) }
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw StoreError(.io, "\(name) can not be read: \(reason(errno))") }
      if count == 0 { return hash.digest() }
      hash.update(buffer.span.extracting(0..<count))
      offset += off_t(count)
    }
  }
}

/// The words of the C library for an error number.
func reason(_ code: Int32) -> String {
  var buffer = [CChar](repeating: 0, count: 128)
  guard unsafe strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
  return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
