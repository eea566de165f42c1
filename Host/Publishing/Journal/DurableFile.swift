import Glibc

/// Small files that survive a power cut: written whole, readable by the owner only. Every call blocks.
enum DurableFile {
  /// Writes to the end of a file, or to its beginning, and returns when the bytes are on the disk.
  ///
  /// - Parameter flags: `O_APPEND` or `O_TRUNC`.
  static func write(_ bytes: [UInt8], to path: String, flags: Int32) throws(SpoolError) {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0o600)
    guard descriptor >= 0 else { throw SpoolError(operation: "open", code: errno) }
    defer { close(descriptor) }
    var offset = 0
    while offset < bytes.count {
      let written = unsafe bytes.withUnsafeBytes { buffer in
        unsafe Glibc.write(descriptor, buffer.baseAddress?.advanced(by: offset), buffer.count - offset)
      }
      if written < 0 {
        if errno == EINTR { continue }
        throw SpoolError(operation: "write", code: errno)
      }
      offset += written
    }
    guard fsync(descriptor) == 0 else { throw SpoolError(operation: "fsync", code: errno) }
  }

  /// Makes a file have these bytes, or keeps the former ones.
  static func replace(_ path: String, with bytes: [UInt8]) throws(SpoolError) {
    let temporary = path + ".new"
    try write(bytes, to: temporary, flags: O_TRUNC)
    guard unsafe rename(temporary, path) == 0 else { throw SpoolError(operation: "rename", code: errno) }
    try syncFolder(of: path)
  }

  /// The file's bytes; none when there is no file.
  static func read(_ path: String) throws(SpoolError) -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno == ENOENT { return [] }
      throw SpoolError(operation: "open", code: errno)
    }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let got = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if got < 0 {
        if errno == EINTR { continue }
        throw SpoolError(operation: "read", code: errno)
      }
      if got == 0 { return bytes }
      bytes += chunk.prefix(got)
    }
  }

  /// Makes the file's name durable.
  static func syncFolder(of path: String) throws(SpoolError) {
    let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    let descriptor = unsafe open(folder.isEmpty ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw SpoolError(operation: "open the folder", code: errno) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw SpoolError(operation: "fsync the folder", code: errno) }
  }
}

package struct SpoolError: Error, CustomStringConvertible {
  package let operation: String
  package let code: Int32

  package var description: String { "A spool failed at \(operation) (error \(code))" }
}
