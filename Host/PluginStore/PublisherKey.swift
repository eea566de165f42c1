package import Cryptography
internal import Glibc
internal import PluginManifest

/// The private key that signs bundles, kept in a PEM file that only its owner may read.
package struct PublisherKey: Sendable {
  /// `key:ed25519:` and the public key in base64url.
  package let id: String
  private let seed: Secret

  package init(seed: Secret) throws(StoreError) {
    do throws(CryptographyError) {
      id = Self.id(of: try Ed25519.publicKey(of: seed))
    } catch {
      throw StoreError(.key, "The private key can not be used: \(error)")
    }
    self.seed = seed
  }

  /// Makes a new key.
  package static func make() throws(StoreError) -> PublisherKey {
    try PublisherKey(seed: Ed25519.makePrivateKey())
  }

  /// The 64 bytes that sign `bytes`.
  func sign(_ bytes: [UInt8]) throws(StoreError) -> [UInt8] {
    do throws(CryptographyError) {
      return try Ed25519.sign(bytes, with: seed)
    } catch {
      throw StoreError(.key, "The manifest can not be signed: \(error)")
    }
  }

  static func id(of publicKey: [UInt8]) -> String { PluginManifest.publisherPrefix + Base64.encodeURL(publicKey) }

  /// The public key that an id names; nil when it names none.
  static func publicKey(of id: String) -> [UInt8]? {
    guard id.hasPrefix(PluginManifest.publisherPrefix) else { return nil }
    let key = Base64.decodeURL(String(id.dropFirst(PluginManifest.publisherPrefix.count)))
    return key?.count == Ed25519.keyByteCount ? key : nil
  }

  // MARK: Files

  /// What stands before the key in its file: the frame of PKCS #8 for Ed25519.
  private static let frame: [UInt8] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
  ]
  private static let head = "-----BEGIN PRIVATE KEY-----"
  private static let foot = "-----END PRIVATE KEY-----"

  /// Reads a key file; nil when there is none. Blocking.
  package static func read(_ path: String) throws(StoreError) -> PublisherKey? {
    let opened = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else {
      if errno == ENOENT { return nil }
      throw StoreError(.key, "The key \(path) can not be read: \(reason(errno))")
    }
    defer { close(opened) }
    var status = stat()
    guard unsafe fstat(opened, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw StoreError(.key, "The key \(path) is no regular file")
    }
    guard status.st_mode & 0o077 == 0 else {
      throw StoreError(.key, "Other users may read the key \(path); run `chmod 600 \(path)` and think about a new key")
    }
    var bytes = [UInt8](repeating: 0, count: 4_096)
    let count = unsafe Glibc.read(opened, &bytes, bytes.count)
    let lines = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: "\n")
    guard lines.count == 3, lines[0] == head, lines[2] == foot, let plain = Base64.decode(String(lines[1])),
      plain.count == frame.count + Ed25519.keyByteCount, plain.starts(with: frame)
    else {
      throw StoreError(
        .key,
        "The key \(path) is no Ed25519 key; make one with `rostrum plugin sign --new-key`, or with "
          + "`openssl genpkey -algorithm ed25519`"
      )
    }
    return try PublisherKey(seed: Secret(plain.span.extracting(frame.count..<plain.count)))
  }

  /// Reads a key file, and makes it when there is none. Blocking.
  package static func readOrMake(_ path: String) throws(StoreError) -> PublisherKey {
    if let key = try read(path) { return key }
    let key = try make()
    do throws(StoreError) {
      try key.write(to: path)
    } catch {
      // Somebody else may have made it at the same moment; then that one counts.
      if let key = try read(path) { return key }
      throw error
    }
    return key
  }

  /// Writes a new file; one that is there already stays. Blocking.
  package func write(to path: String) throws(StoreError) {
    let temporary = "\(path).new-\(Hex.encode(RandomBytes.make(6)))"
    let opened = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard opened >= 0 else { throw StoreError(.key, "The key \(path) can not be made: \(reason(errno))") }
    defer {
      close(opened)
      _ = unsafe unlink(temporary)
    }
    let plain = Secret(Self.frame + seed.reveal())
    let bytes = Array("\(Self.head)\n\(Base64.encode(plain.reveal()))\n\(Self.foot)\n".utf8)
    // A link puts the whole file in its place, or fails when somebody was first.
    guard unsafe Glibc.write(opened, bytes, bytes.count) == bytes.count, fsync(opened) == 0,
      unsafe link(temporary, path) == 0
    else { throw StoreError(.key, "The key \(path) can not be written: \(reason(errno))") }
    Folders.sync(Folders.parent(of: path))
  }
}
