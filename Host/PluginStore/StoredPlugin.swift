internal import Cryptography
internal import Glibc
package import PluginManifest
package import Processes

/// A plugin whose bundle lies unpacked on this host, ready to be verified and started.
package struct StoredPlugin: Sendable {
  package let manifest: PluginManifest
  /// `sha256:` and the digest of the signed manifest, which binds every file.
  package let digest: String
  /// Absolute path of the read-only folder with the bundle's files.
  package let directory: String
  /// The program for this machine.
  package let artifact: Artifact
  /// Whether it came with the host itself; all others need a jail.
  package let isFirstParty: Bool
  private let digests: FileDigests

  package init(
    manifest: PluginManifest,
    digest: String,
    directory: String,
    artifact: Artifact,
    isFirstParty: Bool,
    digests: FileDigests
  ) {
    self.manifest = manifest
    self.digest = digest
    self.directory = directory
    self.artifact = artifact
    self.isFirstParty = isFirstParty
    self.digests = digests
  }

  /// SHA-256 in hexadecimal digits of every file for this machine, by path inside `directory`.
  package var files: [String: String] { artifact.files }

  /// Path of the program inside `directory`.
  package var entry: String { artifact.entry }

  /// Opens the program, or the script of an interpreter, and checks it and every other file of the plugin.
  ///
  /// Execute the returned descriptor, not a path: then what was checked is what runs. Blocking; a file that did not
  /// change since the last check costs one `fstat`.
  ///
  /// - Throws: ``StoreError`` naming the file, the digest that was expected and the one that was found.
  package func openVerified() throws(StoreError) -> OwnedDescriptor {
    for path in artifact.files.keys.sorted() where path != artifact.entry {
      _ = try open(path)
    }
    return try open(artifact.entry)
  }

  /// Opens one file of the plugin after checking it. Blocking.
  package func open(_ path: String) throws(StoreError) -> OwnedDescriptor {
    guard let expected = artifact.files[path] else {
      throw StoreError(.notFound, "\(manifest.id) has no file \(path)")
    }
    let full = "\(directory)/\(path)"
    let opened = unsafe Glibc.open(full, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard opened >= 0 else {
      let code = errno
      throw StoreError(
        .tampered,
        "The file \(full) of \(manifest.id) \(manifest.version) can not be opened: \(reason(code)); "
          + "expected sha256:\(expected). Run `rostrum plugin verify \(manifest.id) --repair`"
      )
    }
    let descriptor = OwnedDescriptor(adopting: opened)
    let found = Hex.encode(try digests.digest(of: opened, named: full))
    guard found == expected else {
      throw StoreError(
        .tampered,
        "The file \(full) of \(manifest.id) \(manifest.version) was changed after it was installed: "
          + "expected sha256:\(expected), found sha256:\(found). Run `rostrum plugin verify \(manifest.id) --repair`"
      )
    }
    return descriptor
  }
}
