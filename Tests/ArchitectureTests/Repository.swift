import Foundation

/// The files of the repository.
enum Repository {
  struct Line: Sendable {
    let number: Int
    let text: String
  }

  struct File: Sendable {
    /// From the root of the repository.
    let path: String
    let lines: [Line]
  }

  private static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

  static func text(_ path: String) throws -> String {
    try String(contentsOfFile: root + "/" + path, encoding: .utf8)
  }

  static func swiftFiles(in folder: String) throws -> [File] {
    try files(in: folder) { $0.hasSuffix(".swift") }
  }

  static func files(in folder: String, where isWanted: (String) -> Bool) throws -> [File] {
    let paths = try FileManager.default.subpathsOfDirectory(atPath: root + "/" + folder).filter(isWanted).sorted()
    return try paths.map { name in
      let path = "\(folder)/\(name)"
      let lines = try text(path).split(separator: "\n", omittingEmptySubsequences: false)
      return File(path: path, lines: lines.enumerated().map { Line(number: $0 + 1, text: String($1)) })
    }
  }
}
