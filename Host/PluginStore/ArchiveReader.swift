internal import Glibc
internal import PluginManifest

/// Reads a bundle from front to back. Used by one thread; blocking.
struct ArchiveReader: ~Copyable {
  struct Entry: Sendable, Equatable {
    let path: String
    let size: Int64
  }

  private let descriptor: Int32
  private let length: Int64
  private var offset: Int64 = 0
  /// What is left of the present file.
  private var rest: Int64 = 0
  private var pad = 0
  private var total: Int64 = 0
  private var count = 0
  private var isAtEnd = false

  /// Opens the file of a bundle.
  init(_ path: String) throws(StoreError) {
    let opened = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { throw StoreError(.io, "The bundle \(path) can not be opened: \(reason(errno))") }
    var status = stat()
    guard unsafe fstat(opened, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(opened)
      throw StoreError(.io, "The bundle \(path) is no regular file")
    }
    guard Int64(status.st_size) <= Archive.maximumArchiveBytes else {
      close(opened)
      throw Archive.bad("has \(status.st_size) bytes; at most \(Archive.maximumArchiveBytes) are allowed")
    }
    descriptor = opened
    length = Int64(status.st_size)
  }

  deinit {
    close(descriptor)
  }

  /// The next file, whose content must be read before the one after it is asked for; nil at the end.
  mutating func next() throws(StoreError) -> Entry? {
    guard !isAtEnd else { return nil }
    guard rest == 0 else { throw Archive.bad("was not read in order") }
    if pad > 0 {
      let filling = try take(pad)
      guard filling.allSatisfy({ $0 == 0 }) else { throw Archive.bad("has bytes between its files") }
      pad = 0
    }
    let block = try take(Archive.blockSize)
    if block.allSatisfy({ $0 == 0 }) {
      guard try take(Archive.blockSize).allSatisfy({ $0 == 0 }), offset == length else {
        throw Archive.bad("has bytes behind its end")
      }
      isAtEnd = true
      return nil
    }
    let (path, size) = try Archive.entry(block)
    count += 1
    guard count <= Artifact.maximumFiles + 2 else {
      throw Archive.bad("has more than \(Artifact.maximumFiles) files")
    }
    total += size
    guard total <= Archive.maximumBytes else { throw Archive.bad("unpacks to more than \(Archive.maximumBytes) bytes") }
    guard size <= length - offset else { throw Archive.bad("ends in the middle of \(path)") }
    rest = size
    pad = Archive.padding(size)
    return Entry(path: path, size: size)
  }

  /// The next bytes of the present file; nil at its end.
  mutating func chunk() throws(StoreError) -> [UInt8]? {
    guard rest > 0 else { return nil }
    let bytes = try take(Int(min(rest, 1 << 20)))
    rest -= Int64(bytes.count)
    return bytes
  }

  /// The whole present file, which may have at most `limit` bytes.
  mutating func content(of entry: Entry, limit: Int) throws(StoreError) -> [UInt8] {
    guard entry.size <= Int64(limit) else {
      throw Archive.bad("has \(entry.size) bytes in \(entry.path); at most \(limit) are allowed")
    }
    var content: [UInt8] = []
    while let bytes = try chunk() { content += bytes }
    return content
  }

  private mutating func take(_ count: Int) throws(StoreError) -> [UInt8] {
    guard Int64(count) <= length - offset else { throw Archive.bad("ends too early; copy or download it again") }
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
      if got < 0 && errno == EINTR { continue }
      guard got > 0 else { throw StoreError(.io, "The bundle can not be read: \(reason(got == 0 ? EIO : errno))") }
      filled += got
    }
    offset += Int64(count)
    return bytes
  }
}
