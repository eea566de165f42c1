import Cryptography
import FoundationEssentials
import Glibc

/// The folder of stored files. A file is named by the SHA-256 of its content and never changes.
///
/// Uploads are written to a temporary name, synced, and renamed, so that a name always means a whole file.
package struct MediaFiles: Sendable {
  package let root: String

  /// - Throws: when the folder can not be made or written.
  package init(root: String) throws {
    self.root = root
    try FileManager.default.createDirectory(
      atPath: root + "/incoming",
      withIntermediateDirectories: true,
      attributes: [.posixPermissions: 0o700]
    )
  }

  /// The path of a stored file.
  ///
  /// - Parameter sha256: lower-case hexadecimal digits.
  package func path(sha256: String) -> String {
    "\(root)/\(sha256.prefix(2))/\(sha256)"
  }

  /// Starts an upload.
  package func upload(maximumBytes: Int64) throws -> MediaUpload {
    try MediaUpload(files: self, maximumBytes: maximumBytes)
  }

  /// Removes uploads that a dead host left behind: those older than an hour.
  package func removeLeftovers() throws {
    let folder = root + "/incoming"
    for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
      let path = "\(folder)/\(name)"
      let attributes = try FileManager.default.attributesOfItem(atPath: path)
      guard let changed = attributes[.modificationDate] as? Date, changed < Date().addingTimeInterval(-3600) else {
        continue
      }
      try FileManager.default.removeItem(atPath: path)
    }
  }
}

/// One file on its way in. Used by one task at a time; its calls block on the disk for the length of one chunk.
package final class MediaUpload {
  private let files: MediaFiles
  private let maximumBytes: Int64
  private let temporaryPath: String
  private var descriptor: Int32
  private var hash = SHA256()
  private var head: [UInt8] = []
  private var isStored = false
  /// How many bytes have come.
  package private(set) var byteCount: Int64 = 0

  fileprivate init(files: MediaFiles, maximumBytes: Int64) throws {
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
  /// - Returns: the hash and the format, by content.
  package func finish() throws -> (sha256: [UInt8], format: MediaFormat) {
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
    return (digest, format)
  }

  private static func sync(folder: String) throws {
    let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw MediaError.disk("open a folder", errno) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw MediaError.disk("sync a folder", errno) }
  }
}

/// Why a file was not stored.
package enum MediaError: Error, Sendable, Equatable, CustomStringConvertible {
  case empty
  case tooLarge(allowed: Int64)
  case unknownFormat
  case notFound(Int64)
  case disk(String, Int32)

  package var description: String {
    switch self {
    case .empty: "The file is empty"
    case .tooLarge(let allowed): "The file is larger than \(allowed) bytes, which is the limit"
    case .unknownFormat:
      "The content of the file is none of the supported formats: \(MediaFormat.supported.joined(separator: ", "))"
    case .notFound(let id): "There is no media \(id) in this site"
    case .disk(let action, let code): "The host could not \(action) (error \(code))"
    }
  }
}
