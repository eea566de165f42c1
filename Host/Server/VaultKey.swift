internal import Cryptography
internal import FoundationEssentials
internal import Glibc
internal import Logging
internal import Postgres
internal import Processes
internal import Vault

/// The key that seals credentials: the operator's setting, or a file in the home.
enum VaultKey {
  /// Returns the key; makes one at the first start only.
  ///
  /// - Throws: ``StartError`` when data is sealed and the key is gone, because a new key would open none of it.
  static func keyring(_ configuration: HostConfiguration, pool: Pool, logger: Logger) async throws -> Keyring {
    if let secret = configuration.encryptionKey { return try Keyring(secret) }
    let path = configuration.keyFile
    if let keyring = try read(path) { return keyring }
    guard try await !hasKeys(pool) else {
      throw StartError(
        "The database holds sealed credentials, but their key is missing: put \(path) back from your backup, "
          + "or set OAUTH_ENCRYPTION_KEY"
      )
    }
    try write(Hex.encode(RandomBytes.make(AESGCM.keyByteCount)), to: path)
    logger.notice(
      "Made the key that seals credentials; keep a copy, without it they can not be opened",
      ["file": "\(path)"]
    )
    guard let keyring = try read(path) else { throw StartError("The key \(path) can not be read after it was made") }
    return keyring
  }

  /// Whether the database knows a key already.
  static func hasKeys(_ pool: Pool) async throws -> Bool {
    let rows = try await pool.query("SELECT EXISTS (SELECT FROM vault_keys)")
    return try rows.first?.get(0, as: Bool.self) ?? false
  }

  /// Reads the key file; nil when there is none.
  static func read(_ path: String) throws -> Keyring? {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else {
      if errno == ENOENT { return nil }
      throw StartError("The key \(path) can not be read (error \(errno))")
    }
    guard status.st_mode & 0o077 == 0 else {
      throw StartError("Other users may read the key \(path); run `chmod 600 \(path)` and think about a new key")
    }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw StartError("The key \(path) can not be read")
    }
    do {
      return try Keyring(Secret(Array(data)))
    } catch {
      throw StartError("The key in \(path) can not be used: it is not 64 hexadecimal digits or id:base64 entries")
    }
  }

  private static func write(_ text: String, to path: String) throws {
    let opened = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard opened >= 0 else { throw StartError("The key \(path) can not be made (error \(errno))") }
    let descriptor = OwnedDescriptor(adopting: opened)
    let bytes = Array((text + "\n").utf8)
    guard descriptor.write(bytes) == bytes.count, fsync(opened) == 0 else {
      let code = errno
      // Half a key must not stay; if it does, the next start says that it can not be used.
      _ = unsafe unlink(path)
      throw StartError("The key \(path) can not be written (error \(code))")
    }
    descriptor.close()
    syncFolder(of: path)
  }

  /// Makes the file's name durable; a file system that can not do it for folders does it by itself.
  private static func syncFolder(of path: String) {
    guard let slash = path.lastIndex(of: "/") else { return }
    let opened = unsafe open(String(path[..<slash]), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0 else { return }
    let descriptor = OwnedDescriptor(adopting: opened)
    _ = fsync(opened)
    descriptor.close()
  }
}
