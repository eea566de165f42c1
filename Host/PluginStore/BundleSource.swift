internal import Cryptography
internal import Glibc
package import JSONDocument
internal import PluginManifest

/// What a bundle is made of: a source manifest and files on disk. Blocking.
package struct BundleSource: Sendable {
  /// How the names of bundles end.
  package static let suffix = ".rostrum-plugin"

  /// The manifest with its artifacts, without a publisher.
  package let document: JSONValue
  /// A digest that is the same whoever signs.
  package let content: String
  /// Id of the plugin.
  package let id: String
  package let version: String
  private let files: [String: String]
  private let hashes: [String: String]

  /// Reads a folder with `manifest.json` and the plugin's files, or a manifest whose program lies in another folder.
  ///
  /// Files below a folder `linux-x86_64` or `linux-aarch64` are for that kind of machine, all others for every kind.
  ///
  /// - Parameters:
  ///   - path: The folder or the manifest.
  ///   - programs: Where the program of a manifest lies; nil for the folder of the manifest.
  package init(_ path: String, programs: String? = nil, digests: FileDigests = FileDigests()) throws(StoreError) {
    let isFolder = Folders.isFolder(path)
    let manifestPath = isFolder ? "\(path)/\(Archive.manifestName)" : path
    var document = try SignedManifest.document(try Self.read(manifestPath))
    let manifest = try SignedManifest.manifest(document)
    guard manifest.publisher == nil, manifest.artifacts.isEmpty else {
      throw StoreError(
        .manifest,
        "\(manifestPath) is the manifest of a finished bundle; leave out “publisher” and “artifacts”, which packing adds"
      )
    }
    var files: [String: String] = [:]
    if isFolder {
      try Self.gather(path, "", into: &files)
    } else {
      files[manifest.executable] = "\(programs ?? Folders.parent(of: path))/\(manifest.executable)"
    }
    var hashes: [String: String] = [:]
    for (name, file) in files { hashes[name] = try Self.hash(file, digests) }
    let artifacts = try Self.artifacts(manifest, files: files, hashes: hashes, in: path)
    var members = document.objectValue ?? [:]
    members["artifacts"] = .array(artifacts)
    document = .object(members)
    // Everything that a host would refuse is said now, not when somebody installs it.
    _ = try SignedManifest.manifest(document)
    self.document = document
    self.files = files
    self.hashes = hashes
    id = manifest.id
    version = "\(manifest.version)"
    content = try SignedManifest.content(document)
  }

  /// The usual name of the bundle's file.
  package var fileName: String { "\(id)-\(version)\(Self.suffix)" }

  /// Writes the bundle, signed, or unsigned for `sign` to finish; equal content and key give equal bytes.
  package func pack(to path: String, key: PublisherKey?) throws(StoreError) {
    var members = document.objectValue ?? [:]
    if let key { members["publisher"] = .string(key.id) }
    let bytes = try SignedManifest.canonical(.object(members))
    let writer = try ArchiveWriter(path)
    try writer.add(Archive.manifestName, content: bytes)
    if let key { try writer.add(Archive.signatureName, content: try SignedManifest.signature(of: bytes, by: key)) }
    for (name, file) in files.sorted(by: { $0.key < $1.key }) {
      try writer.add(name, file: file, sha256: hashes[name] ?? "")
    }
    try writer.finish()
  }

  // MARK: Files

  private static func read(_ path: String) throws(StoreError) -> [UInt8] {
    let opened = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { throw StoreError(.io, "The manifest \(path) can not be read: \(reason(errno))") }
    defer { close(opened) }
    let size = try FileDigests.stamp(of: opened, named: path).size
    guard size <= Int64(PluginManifest.maximumBytes) else {
      throw StoreError(.manifest, "\(path) has \(size) bytes; at most \(PluginManifest.maximumBytes) are allowed")
    }
    var bytes = [UInt8](repeating: 0, count: PluginManifest.maximumBytes + 1)
    let count = unsafe pread(opened, &bytes, bytes.count, 0)
    guard count >= 0 else { throw StoreError(.io, "The manifest \(path) can not be read: \(reason(errno))") }
    return Array(bytes[..<count])
  }

  private static func hash(_ path: String, _ digests: FileDigests) throws(StoreError) -> String {
    let opened = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { throw StoreError(.notFound, "The file \(path) can not be read: \(reason(errno))") }
    defer { close(opened) }
    return Hex.encode(try digests.digest(of: opened, named: path))
  }

  /// All files of a folder except hidden ones, caches of interpreters, and bundles.
  private static func gather(_ root: String, _ inside: String, into files: inout [String: String]) throws(StoreError) {
    for name in try Folders.names(in: inside.isEmpty ? root : "\(root)/\(inside)") {
      if name.hasPrefix(".") || name == "__pycache__" || name.hasSuffix(suffix) { continue }
      let path = inside.isEmpty ? name : "\(inside)/\(name)"
      if path == Archive.manifestName || path == Archive.signatureName { continue }
      let full = "\(root)/\(path)"
      var status = stat()
      guard unsafe lstat(full, &status) == 0 else {
        throw StoreError(.io, "\(full) can not be looked at: \(reason(errno))")
      }
      switch status.st_mode & S_IFMT {
      case S_IFDIR: try gather(root, path, into: &files)
      case S_IFREG: files[path] = full
      case S_IFLNK: throw StoreError(.malformed, "\(full) is a link; put the file itself into the folder")
      default: throw StoreError(.malformed, "\(full) is no regular file; take it out of the folder")
      }
      guard files.count <= Artifact.maximumFiles else {
        throw StoreError(
          .malformed,
          "\(root) has more than \(Artifact.maximumFiles) files; take out what is not needed"
        )
      }
    }
  }

  // MARK: Artifacts

  private static let machines = [Machine(os: "linux", arch: "x86_64"), Machine(os: "linux", arch: "aarch64")]

  private static func artifacts(
    _ manifest: PluginManifest,
    files: [String: String],
    hashes: [String: String],
    in path: String
  ) throws(StoreError) -> [JSONValue] {
    let special = machines.filter { machine in files.keys.contains { $0.hasPrefix("\(machine)/") } }
    let shared = files.keys.filter { name in !special.contains { name.hasPrefix("\($0)/") } }
    if special.isEmpty {
      let entry = try entry(manifest, among: shared, in: path)
      let machine = try machine(of: files[entry] ?? "", manifest)
      return [artifact(machine, entry: entry, files: shared, hashes)]
    }
    var artifacts: [JSONValue] = []
    for machine in special {
      let own = shared + files.keys.filter { $0.hasPrefix("\(machine)/") }
      let entry = try entry(manifest, among: own, in: path)
      let real = try Self.machine(of: files[entry] ?? "", manifest)
      guard real == machine else {
        throw StoreError(.platform, "\(path)/\(entry) is for \(real), but lies in the folder \(machine)")
      }
      artifacts.append(artifact(machine, entry: entry, files: own, hashes))
    }
    return artifacts
  }

  private static func entry(
    _ manifest: PluginManifest,
    among names: [String],
    in path: String
  ) throws(StoreError) -> String {
    let found = names.filter { $0 == manifest.executable || $0.hasSuffix("/\(manifest.executable)") }
      .min { ($0.utf8.count, $0) < ($1.utf8.count, $1) }
    guard let found else {
      throw StoreError(.notFound, "\(path) has no file \(manifest.executable), which the manifest names as its program")
    }
    return found
  }

  private static func artifact(
    _ machine: Machine,
    entry: String,
    files: [String],
    _ hashes: [String: String]
  ) -> JSONValue {
    let entries = files.map { ($0, JSONValue.string("sha256:" + (hashes[$0] ?? ""))) }
    return [
      "os": .string(machine.os), "arch": .string(machine.arch), "entry": .string(entry),
      "files": .object(Dictionary(entries) { first, _ in first }),
    ]
  }

  /// What a program says of itself in its first bytes.
  private static func machine(of path: String, _ manifest: PluginManifest) throws(StoreError) -> Machine {
    if manifest.runtime != nil { return Machine(os: "linux", arch: "any") }
    let opened = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { throw StoreError(.io, "The file \(path) can not be read: \(reason(errno))") }
    defer { close(opened) }
    var head = [UInt8](repeating: 0, count: 20)
    let count = unsafe pread(opened, &head, head.count, 0)
    guard count == head.count, head.starts(with: [0x7f, 0x45, 0x4c, 0x46]) else {
      throw StoreError(
        .platform,
        "\(path) is no program for Linux; a script needs an interpreter, which the manifest names in “runtime”"
      )
    }
    switch (head[18], head[19]) {
    case (62, 0): return Machine(os: "linux", arch: "x86_64")
    case (183, 0): return Machine(os: "linux", arch: "aarch64")
    default: throw StoreError(.platform, "\(path) is for a processor that no host runs on")
    }
  }
}
