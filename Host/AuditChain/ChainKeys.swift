package import Cryptography
internal import Synchronization
package import Vault

/// The two keys that come from one key of the audit trail.
package struct ChainKey: Sendable {
  /// The number of the key in `vault_keys`.
  package let id: Int64
  private let codes: Secret
  private let signing: Secret
  /// With it anybody checks the heads.
  package let publicKey: [UInt8]

  package init(_ key: AuditKey) throws(CryptographyError) {
    try self.init(id: key.id, secret: key.secret)
  }

  package init(id: Int64, secret: Secret) throws(CryptographyError) {
    self.id = id
    codes = try HKDF.derive(key: secret, info: Array("rostrum.audit.mac.v1".utf8), count: 32)
    signing = try HKDF.derive(key: secret, info: Array("rostrum.audit.head.v1".utf8), count: Ed25519.keyByteCount)
    publicKey = try Ed25519.publicKey(of: signing)
  }

  /// The code of a row's hash: nobody makes one without the key.
  package func code(of hash: [UInt8]) -> [UInt8] {
    HMACSHA256.authenticate(hash, key: codes)
  }

  func isCode(_ code: [UInt8], of hash: [UInt8]) -> Bool {
    HMACSHA256.isValid(code, for: hash, key: codes)
  }

  func sign(_ message: [UInt8]) throws(CryptographyError) -> [UInt8] {
    try Ed25519.sign(message, with: signing)
  }
}

/// Opens keys of the trail, each once.
package final class ChainKeys: Sendable {
  private let vault: Vault
  private let opened = Mutex<[Int64: ChainKey]>([:])

  package init(vault: Vault) {
    self.vault = vault
  }

  /// The key under which the trail goes on now.
  package func primary() async throws -> ChainKey {
    try await key(vault.primaryAuditKey())
  }

  /// - Throws: `VaultError.unreadable` if there is no such key or it does not open.
  package func key(_ id: Int64) async throws -> ChainKey {
    if let key = opened.withLock({ $0[id] }) { return key }
    let key = try ChainKey(await vault.auditKey(id))
    opened.withLock { $0[id] = key }
    return key
  }
}
