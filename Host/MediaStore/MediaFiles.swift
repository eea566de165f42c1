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

  /// Starts an upload; makes its file at once, so that a folder that can not be written is noticed here.
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
