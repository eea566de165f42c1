import FoundationEssentials
import Glibc

/// A folder for one test; removed with the last reference.
final class TemporaryFolder: Sendable {
  let path: String

  init() throws {
    path = "/tmp/rostrum-folder-\(UUID().uuidString.prefix(13))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    // The user of a database server must pass through.
    _ = unsafe chmod(path, 0o755)
  }

  deinit {
    // Whatever is left in /tmp does not change a verdict.
    try? FileManager.default.removeItem(atPath: path)
  }

  func write(_ text: String, to name: String) throws {
    try Data(text.utf8).write(to: URL(filePath: path + "/" + name))
  }

  func remove(_ name: String) throws {
    try FileManager.default.removeItem(atPath: path + "/" + name)
  }
}
