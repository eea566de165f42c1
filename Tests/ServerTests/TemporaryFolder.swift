import FoundationEssentials
import Glibc

/// A folder that goes with its last reference.
final class TemporaryFolder: Sendable {
  let path: String

  init() throws {
    path = "/tmp/rostrum-server-\(UUID().uuidString.lowercased())"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    // The user of a database server must pass through.
    _ = unsafe chmod(path, 0o711)
  }

  deinit {
    // What can not be removed lies in /tmp, where nothing stays.
    try? FileManager.default.removeItem(atPath: path)
  }

  func makeFolder(_ name: String) throws {
    try FileManager.default.createDirectory(atPath: "\(path)/\(name)", withIntermediateDirectories: false)
  }

  /// Writes a file and returns its path.
  func write(_ text: String, to name: String, mode: UInt32 = 0o600) throws -> String {
    let file = "\(path)/\(name)"
    try Data(text.utf8).write(to: URL(filePath: file))
    _ = unsafe chmod(file, mode)
    return file
  }
}
