internal import Cryptography
internal import Glibc
internal import PluginManifest

/// The folder in which a host keeps unpacked bundles, each under the digest of its signed manifest. Blocking.
///
/// A bundle is unpacked under a temporary name, synced, made read-only and renamed, so that a name always means a whole
/// bundle. What is missing or was damaged is unpacked again; the database has the originals.
package struct StoreFolder: Sendable {
  /// Absolute path.
  package let root: String
  /// The digests of files that were looked at before.
  package let digests: FileDigests

  private var store: String { root + "/store" }
  private var incoming: String { root + "/incoming" }
  private var memory: String { root + "/digests" }

  /// Makes the folder when it is missing.
  package init(_ root: String) throws(StoreError) {
    self.root = root
    try Folders.make(root)
    try Folders.make(root + "/store")
    try Folders.make(root + "/incoming", mode: 0o700)
    digests = FileDigests(DigestMemory.read(root + "/digests"))
  }

  /// Keeps what is known of files for the next start of the host.
  package func remember() throws(StoreError) { try DigestMemory.write(digests.all, to: memory) }

  /// Removes what a dead process left behind.
  ///
  /// - Parameter age: Seconds since the last change after which nobody can be at work on it any more.
  package func removeLeftovers(olderThan age: Int = 3_600) throws(StoreError) {
    let left =
      try Folders.names(in: incoming).map { "\(incoming)/\($0)" }
      + Folders.names(in: store).filter { $0.hasPrefix(".") }.map { "\(store)/\($0)" }
    for path in left where Folders.age(of: path) >= age { try Folders.remove(path) }
  }

  /// Removes a whole folder of this kind, whose parts are read-only.
  package static func erase(_ root: String) throws(StoreError) { try Folders.remove(root) }

  /// A new file for a bundle that is coming in.
  package func receive() throws(StoreError) -> IncomingBundle { try IncomingBundle(folder: incoming) }

  // MARK: Bundles

  private static func name(_ digest: String) -> String { digest.replacing(":", with: "-") }

  /// Where a bundle lies, or would.
  package func path(of digest: String) -> String { "\(store)/\(Self.name(digest))" }

  package func has(_ digest: String) -> Bool { Folders.isFolder(path(of: digest)) }

  /// Unpacks a bundle after checking everything in it.
  ///
  /// - Parameters:
  ///   - expected: The digest it must have; nil for any.
  ///   - replacing: Whether an unpacked bundle of the same digest makes way.
  @discardableResult
  package func unpack(
    _ bundle: String,
    expecting expected: String? = nil,
    replacing: Bool = false
  ) throws(StoreError) -> SignedManifest {
    let temporary = "\(store)/.new-\(Hex.encode(RandomBytes.make(8)))"
    guard unsafe mkdir(temporary, 0o700) == 0 else {
      throw StoreError(.io, "\(temporary) can not be made: \(reason(errno))")
    }
    do throws(StoreError) {
      let unpacking = Unpacking(folder: temporary)
      let manifest = try Bundle.read(bundle, into: unpacking)
      guard expected == nil || manifest.digest == expected else {
        throw StoreError(.tampered, "The bundle is \(manifest.digest), expected was \(expected ?? "")")
      }
      try unpacking.seal()
      try move(temporary, to: path(of: manifest.digest), replacing: replacing)
      return manifest
    } catch {
      // What stays behind is removed at the next start.
      try? Folders.remove(temporary)
      throw error
    }
  }

  private func move(_ temporary: String, to path: String, replacing: Bool) throws(StoreError) {
    if replacing, Folders.exists(path) {
      let old = "\(store)/.old-\(Hex.encode(RandomBytes.make(8)))"
      guard unsafe rename(path, old) == 0 else { throw StoreError(.io, "\(path) can not be moved: \(reason(errno))") }
      try Folders.remove(old)
    }
    guard unsafe rename(temporary, path) == 0 else {
      // Somebody else unpacked the same bundle in the meantime.
      guard errno == EEXIST || errno == ENOTEMPTY else {
        throw StoreError(.io, "\(path) can not be made: \(reason(errno))")
      }
      try Folders.remove(temporary)
      return
    }
    Folders.sync(store)
  }

  /// An unpacked bundle, after checking its manifest; its files are checked whenever one of them is used.
  package func plugin(_ digest: String, isFirstParty: Bool) throws(StoreError) -> StoredPlugin {
    let path = path(of: digest)
    guard has(digest) else { throw StoreError(.notFound, "The bundle \(digest) is not on this host") }
    let manifest = try signedManifest(digest)
    guard let artifact = manifest.artifact() else {
      let machines = manifest.manifest.artifacts.map { "\($0.os)-\($0.arch)" }.joined(separator: ", ")
      throw StoreError(
        .platform,
        "\(manifest.manifest.id) \(manifest.manifest.version) has no program for this machine (\(Machine.current)), "
          + "only for \(machines)"
      )
    }
    return StoredPlugin(
      manifest: manifest.manifest,
      digest: digest,
      directory: path,
      artifact: artifact,
      isFirstParty: isFirstParty,
      digests: digests
    )
  }

  /// The manifest of an unpacked bundle, checked against the digest and the signature.
  package func signedManifest(_ digest: String) throws(StoreError) -> SignedManifest {
    let path = path(of: digest)
    let manifest = try SignedManifest(
      bytes: try Self.read("\(path)/\(Archive.manifestName)", limit: PluginManifest.maximumBytes),
      signature: try Self.read("\(path)/\(Archive.signatureName)", limit: 512)
    )
    guard manifest.digest == digest else {
      throw StoreError(
        .tampered,
        "The file \(path)/\(Archive.manifestName) was changed after it was installed: expected \(digest), "
          + "found \(manifest.digest)"
      )
    }
    return manifest
  }

  /// Reads every file of an unpacked bundle anew and answers with what is wrong.
  package func problems(_ digest: String) -> [String] {
    do throws(StoreError) {
      let manifest = try signedManifest(digest)
      let fresh = FileDigests()
      var problems: [String] = []
      for artifact in manifest.manifest.artifacts {
        let plugin = StoredPlugin(
          manifest: manifest.manifest,
          digest: digest,
          directory: path(of: digest),
          artifact: artifact,
          isFirstParty: false,
          digests: fresh
        )
        for file in artifact.files.keys.sorted() {
          do throws(StoreError) {
            _ = try plugin.open(file)
          } catch {
            problems.append(error.message)
          }
        }
      }
      return problems
    } catch {
      return [error.message]
    }
  }

  /// Removes every bundle that is not to be kept; answers with the digests of those it removed.
  @discardableResult
  package func collect(keeping kept: Set<String>) throws(StoreError) -> [String] {
    let names = Set(kept.map(Self.name))
    var removed: [String] = []
    for name in try Folders.names(in: store) where name.hasPrefix("sha256-") && !names.contains(name) {
      // The name goes first, so that a half removed bundle has none.
      let old = "\(store)/.old-\(Hex.encode(RandomBytes.make(8)))"
      guard unsafe rename("\(store)/\(name)", old) == 0 else {
        throw StoreError(.io, "\(store)/\(name) can not be moved: \(reason(errno))")
      }
      try Folders.remove(old)
      removed.append(name.replacing("sha256-", with: "sha256:"))
    }
    return removed
  }

  private static func read(_ path: String, limit: Int) throws(StoreError) -> [UInt8] {
    let opened = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard opened >= 0 else { throw StoreError(.tampered, "The file \(path) can not be opened: \(reason(errno))") }
    defer { close(opened) }
    var bytes = [UInt8](repeating: 0, count: limit + 1)
    let count = unsafe pread(opened, &bytes, bytes.count, 0)
    guard count >= 0, count <= limit else { throw StoreError(.tampered, "The file \(path) can not be read") }
    return Array(bytes[..<count])
  }
}
