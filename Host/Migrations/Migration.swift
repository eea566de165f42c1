internal import Cryptography
internal import FoundationEssentials

/// One file of the migrations directory.
package struct Migration: Hashable, Sendable {
  package let number: Int
  /// The file's name.
  package let file: String
  package let script: String
  /// The SHA-256 digest of the file.
  package let checksum: [UInt8]

  /// Reads the files of a directory in the order of their numbers.
  package static func load(from directory: String) throws(MigrationError) -> [Migration] {
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: directory)
    } catch {
      throw MigrationError(.unreadable, "The migrations directory \(directory) cannot be read")
    }
    var migrations: [Migration] = []
    for name in names.filter({ $0.hasSuffix(".sql") }).sorted() {
      guard let number = number(of: name) else {
        throw MigrationError(.badName, "The migration \(name) is not named like 0001_create_posts.sql")
      }
      if let other = migrations.first(where: { $0.number == number }) {
        throw MigrationError(.badName, "The migrations \(other.file) and \(name) have the same number")
      }
      guard number == migrations.count + 1 else {
        throw MigrationError(.gap, "The migration before \(name) is missing: \(migrations.count + 1) has no file")
      }
      guard let data = FileManager.default.contents(atPath: directory + "/" + name),
        let script = String(validating: data, as: UTF8.self)
      else {
        throw MigrationError(.unreadable, "The migration \(name) cannot be read as UTF-8 text")
      }
      let checksum = SHA256.digest([UInt8](data))
      migrations.append(Migration(number: number, file: name, script: script, checksum: checksum))
    }
    return migrations
  }

  /// Takes the number out of a name such as `0001_create_posts.sql`.
  static func number(of name: String) -> Int? {
    let parts = name.dropLast(4).split(separator: "_", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0].utf8.count == 4, parts[0].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      !parts[1].isEmpty,
      parts[1].utf8.allSatisfy({ $0 == 0x5F || (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) })
    else { return nil }
    return Int(parts[0])
  }
}
