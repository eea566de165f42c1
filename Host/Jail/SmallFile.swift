internal import Glibc

/// Files of the kernel, which are read and written in one piece.
enum SmallFile {
  /// Up to 4 KiB of the file, or nil when it can not be read.
  static func read(_ path: String) -> String? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { _ = close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 4_096)
    let count = unsafe pread(descriptor, &buffer, buffer.count, 0)
    return count >= 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
  }

  /// Writes the file in one call.
  ///
  /// - Returns: 0, or the `errno`.
  static func write(_ text: String, to path: String, flags: Int32 = 0) -> Int32 {
    let descriptor = unsafe open(path, O_WRONLY | O_CLOEXEC | flags, 0o600)
    guard descriptor >= 0 else { return errno }
    defer { _ = close(descriptor) }
    let bytes = Array(text.utf8)
    let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
    return count == bytes.count ? 0 : errno
  }

  /// The names in a folder, without `.` and `..`.
  static func names(in path: String) -> [String] {
    guard let directory = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let item = unsafe readdir(directory) {
      let name = unsafe withUnsafeBytes(of: &item.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }
}
