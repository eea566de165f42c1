internal import Cryptography
internal import Glibc
internal import JSONDocument
internal import PluginManifest

/// A bundle as a file. Blocking.
package enum Bundle {
  /// Reads a bundle to its end: its form, its signature, its manifest, and the digest of every file.
  package static func verify(_ path: String) throws(StoreError) -> SignedManifest {
    try read(path, into: nil)
  }

  /// Signs a bundle, whether it was signed before or not; the files stay as they are.
  package static func sign(_ path: String, with key: PublisherKey, to output: String) throws(StoreError) {
    var reader = try ArchiveReader(path)
    guard let first = try reader.next(), first.path == Archive.manifestName else {
      throw Archive.bad("does not begin with \(Archive.manifestName)")
    }
    let bytes = try reader.content(of: first, limit: PluginManifest.maximumBytes)
    var members = try SignedManifest.document(bytes).objectValue ?? [:]
    members["publisher"] = .string(key.id)
    let signed = try SignedManifest.canonical(.object(members))
    let manifest = try SignedManifest(bytes: signed, signature: try SignedManifest.signature(of: signed, by: key))
    let writer = try ArchiveWriter(output)
    try writer.add(Archive.manifestName, content: signed)
    try writer.add(Archive.signatureName, content: manifest.signature)
    let expected = manifest.files
    var seen: Set<String> = []
    while let entry = try reader.next() {
      if entry.path == Archive.signatureName {
        _ = try reader.content(of: entry, limit: 512)
        continue
      }
      let content = try reader.content(of: entry, limit: Int(Archive.maximumBytes))
      try check(entry.path, Hex.encode(SHA256.digest(content)), expected, &seen)
      try writer.add(entry.path, content: content)
    }
    try checkComplete(expected, seen)
    try writer.finish()
  }

  /// Reads a bundle; with a folder its files are written there on the way.
  ///
  /// - Parameter folder: A new, empty folder; nil to verify only.
  static func read(_ path: String, into folder: Unpacking?) throws(StoreError) -> SignedManifest {
    var reader = try ArchiveReader(path)
    guard let first = try reader.next(), first.path == Archive.manifestName else {
      throw Archive.bad("does not begin with \(Archive.manifestName); make it with `rostrum plugin pack`")
    }
    let bytes = try reader.content(of: first, limit: PluginManifest.maximumBytes)
    guard let second = try reader.next(), second.path == Archive.signatureName else {
      throw StoreError(.signature, "The bundle is not signed; its author signs it with `rostrum plugin sign`")
    }
    let manifest = try SignedManifest(bytes: bytes, signature: try reader.content(of: second, limit: 512))
    try folder?.write(Archive.manifestName, [bytes])
    try folder?.write(Archive.signatureName, [manifest.signature])
    let expected = manifest.files
    let entries = Set(manifest.manifest.artifacts.map(\.entry))
    var seen: Set<String> = []
    while let entry = try reader.next() {
      guard expected[entry.path] != nil else {
        throw StoreError(.tampered, "The bundle holds \(entry.path), which its signed manifest does not list")
      }
      guard !seen.contains(entry.path) else { throw Archive.bad("holds \(entry.path) twice") }
      var hash = SHA256()
      let file = try folder?.start(entry.path, isProgram: entries.contains(entry.path))
      while let chunk = try reader.chunk() {
        hash.update(chunk)
        try file?.write(chunk)
      }
      try file?.finish()
      try check(entry.path, Hex.encode(hash.digest()), expected, &seen)
    }
    try checkComplete(expected, seen)
    return manifest
  }

  private static func check(
    _ path: String,
    _ found: String,
    _ expected: [String: String],
    _ seen: inout Set<String>
  ) throws(StoreError) {
    guard let digest = expected[path] else {
      throw StoreError(.tampered, "The bundle holds \(path), which its signed manifest does not list")
    }
    guard seen.insert(path).inserted else { throw Archive.bad("holds \(path) twice") }
    guard found == digest else {
      throw StoreError(
        .tampered,
        "The file \(path) of the bundle was changed: expected sha256:\(digest), found sha256:\(found)"
      )
    }
  }

  private static func checkComplete(_ expected: [String: String], _ seen: Set<String>) throws(StoreError) {
    if let missing = expected.keys.sorted().first(where: { !seen.contains($0) }) {
      throw StoreError(.tampered, "The bundle lacks \(missing), which its signed manifest lists")
    }
  }
}

/// A folder that a bundle is being unpacked into. Blocking.
struct Unpacking: Sendable {
  let folder: String

  func write(_ path: String, _ content: [[UInt8]]) throws(StoreError) {
    let file = try start(path, isProgram: false)
    for chunk in content { try file.write(chunk) }
    try file.finish()
  }

  /// Begins a file; its parent folders are made on the way.
  func start(_ path: String, isProgram: Bool) throws(StoreError) -> UnpackedFile {
    let full = "\(folder)/\(path)"
    try Folders.make(Folders.parent(of: full))
    return try UnpackedFile(full, mode: isProgram ? 0o555 : 0o444)
  }

  /// Makes the folders read-only and durable, the innermost first.
  func seal() throws(StoreError) { try seal(folder) }

  private func seal(_ path: String) throws(StoreError) {
    for name in try Folders.names(in: path) where Folders.isFolder("\(path)/\(name)") { try seal("\(path)/\(name)") }
    guard unsafe chmod(path, 0o555) == 0 else {
      throw StoreError(.io, "\(path) can not be made read-only: \(reason(errno))")
    }
    Folders.sync(path)
  }
}

/// One file on its way out of a bundle; used by one thread.
final class UnpackedFile {
  private let path: String
  private let mode: mode_t
  private let descriptor: Int32

  init(_ path: String, mode: mode_t) throws(StoreError) {
    self.path = path
    self.mode = mode
    // Never through a link, never over a file that is there.
    descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw StoreError(.io, "\(path) can not be made: \(reason(errno))") }
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
  }

  func write(_ bytes: [UInt8]) throws(StoreError) {
    var sent = 0
    while sent < bytes.count {
      let count = unsafe bytes.withUnsafeBytes { buffer in
        unsafe Glibc.write(descriptor, buffer.baseAddress?.advanced(by: sent), buffer.count - sent)
      }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw StoreError(.io, "\(path) can not be written: \(reason(errno))") }
      sent += count
    }
  }

  func finish() throws(StoreError) {
    guard fchmod(descriptor, mode) == 0, fsync(descriptor) == 0 else {
      throw StoreError(.io, "\(path) can not be written: \(reason(errno))")
    }
  }
}
