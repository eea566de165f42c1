internal import FoundationEssentials
internal import Glibc
internal import JSONDocument

/// The parts of a back-up: a folder with a dump of the database, the files of media, and what a host has besides.
struct BackupFolder: Sendable {
  static let format = "rostrum-backup/1"

  let path: String

  var document: String { path + "/backup.json" }
  var database: String { path + "/database.dump" }
  var media: String { path + "/media" }
  var outcomes: String { path + "/outcomes.spool" }
  var settings: String { path + "/settings.conf" }
  var key: String { path + "/vault.key.sealed" }

  /// What the back-up says of itself.
  struct Document: Sendable, Equatable {
    var version: String
    var createdAt: String
    var installation: String
    /// Of the server that wrote the dump.
    var postgres: Int
    var files: Int
    var holdsKey: Bool

    var json: JSONValue {
      [
        "format": .string(BackupFolder.format), "version": .string(version), "createdAt": .string(createdAt),
        "installation": .string(installation), "postgres": .int(Int64(postgres)), "files": .int(Int64(files)),
        "holdsKey": .bool(holdsKey),
      ]
    }
  }

  /// Reads the document.
  ///
  /// - Throws: ``StartError`` when the folder is no finished back-up of a known form.
  func read() throws -> Document {
    // What is no JSON is no back-up, which the error says.
    guard let data = FileManager.default.contents(atPath: document),
      let members = try? JSONValue.parse([UInt8](data)).objectValue
    else { throw StartError("\(path) is no back-up: \(document) is missing or can not be read") }
    guard members["format"]?.stringValue == Self.format, let version = members["version"]?.stringValue,
      let createdAt = members["createdAt"]?.stringValue, let installation = members["installation"]?.stringValue,
      let postgres = members["postgres"]?.int64Value, let files = members["files"]?.int64Value,
      let holdsKey = members["holdsKey"]?.boolValue
    else { throw StartError("\(document) is not of the form \(Self.format); use a newer version of Rostrum") }
    return Document(
      version: version,
      createdAt: createdAt,
      installation: installation,
      postgres: Int(clamping: postgres),
      files: Int(clamping: files),
      holdsKey: holdsKey
    )
  }

  /// Copies the files of media; each is named by its content and never changes. Answers how many there were.
  static func copyMedia(from source: String, to target: String) throws -> Int {
    let manager = FileManager.default
    try manager.createDirectory(atPath: target, withIntermediateDirectories: true)
    guard manager.fileExists(atPath: source) else { return 0 }
    var count = 0
    for folder in try manager.contentsOfDirectory(atPath: source).sorted() where folder.utf8.count == 2 {
      try manager.createDirectory(
        atPath: "\(target)/\(folder)",
        withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o700]
      )
      for name in try manager.contentsOfDirectory(atPath: "\(source)/\(folder)").sorted() {
        try manager.copyItem(atPath: "\(source)/\(folder)/\(name)", toPath: "\(target)/\(folder)/\(name)")
        count += 1
      }
    }
    return count
  }

  /// Writes a file that only its owner may read.
  static func write(_ text: String, to path: String) throws {
    guard
      FileManager.default.createFile(atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600])
    else { throw StartError("\(path) can not be written") }
  }

  /// Returns when everything that was written is on the disk.
  static func sync() {
    Glibc.sync()
  }
}
