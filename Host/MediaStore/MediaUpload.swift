import Cryptography
import FoundationEssentials
import Glibc

/// One file on its way in, on a queue of its own: a wait for the disk holds no cooperative thread.
package actor MediaUpload {
  private let executor = DiskExecutor()
  package nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

  private let files: MediaFiles
  private let maximumBytes: Int64
  private let temporaryPath: String
  private let descriptor: Int32
  private var hash = SHA256()
  private var head: [UInt8] = []
  private var isStored = false
  private var byteCount: Int64 = 0

  init(files: MediaFiles, maximumBytes: Int64) throws {
    self.files = files
    self.maximumBytes = maximumBytes
    temporaryPath = "\(files.root)/incoming/\(Hex.encode(RandomBytes.make(16)))"
    descriptor = unsafe open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw MediaError.disk("create a file", errno) }
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
    if !isStored { unsafe unlink(temporaryPath) }
  }

  /// Adds a chunk.
  package func append(_ chunk: [UInt8]) throws {
    byteCount += Int64(chunk.count)
    guard byteCount <= maximumBytes else { throw MediaError.tooLarge(allowed: maximumBytes) }
    if head.count < MediaFormat.wantedBytes { head += chunk.prefix(MediaFormat.wantedBytes - head.count) }
    hash.update(chunk)
    var offset = 0
    while offset < chunk.count {
      let written = unsafe chunk.withUnsafeBytes { bytes in
        unsafe write(descriptor, bytes.baseAddress?.advanced(by: offset), bytes.count - offset)
      }
      if written < 0 {
        if errno == EINTR { continue }
        throw MediaError.disk("write a file", errno)
      }
      offset += written
    }
  }

  /// Ends the upload: checks the content and puts the file in its place.
  ///
  /// - Returns: the hash, the length in bytes and the format, by content.
  package func finish() throws -> (sha256: [UInt8], bytes: Int64, format: MediaFormat) {
    guard byteCount > 0 else { throw MediaError.empty }
    guard let format = MediaFormat.detect(head) else { throw MediaError.unknownFormat }
    guard fsync(descriptor) == 0 else { throw MediaError.disk("sync a file", errno) }
    let digest = hash.digest()
    let path = files.path(sha256: Hex.encode(digest))
    let folder = String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.endIndex))
    try FileManager.default.createDirectory(
      atPath: folder,
      withIntermediateDirectories: true,
      attributes: [.posixPermissions: 0o700]
    )
    guard unsafe rename(temporaryPath, path) == 0 else { throw MediaError.disk("rename a file", errno) }
    isStored = true
    // The name must be as durable as the row that will speak of it; the folder itself may be new too.
    try Self.sync(folder: folder)
    try Self.sync(folder: files.root)
    return (digest, byteCount, format)
  }

  private static func sync(folder: String) throws {
    let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw MediaError.disk("open a folder", errno) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw MediaError.disk("sync a folder", errno) }
  }
}
