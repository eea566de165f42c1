package import Cryptography
package import Postgres

/// Seals secrets for their rows and opens them again. See `SealedBlob` for the format.
///
/// A key-encryption key of the operator's setting wraps one data key per site; the data key seals the values.
package final class Vault: Sendable {
  private let dataKeys: DataKeys
  let pool: Pool
  let keyring: Keyring
  /// How long any host may go on sealing with a key that is not primary any more.
  let keyLifetime: Duration

  /// Checks every key of the setting against the database and registers new ones: the first key of a new database
  /// becomes primary, later ones wait as pending.
  ///
  /// - Parameter keyLifetime: How long a data key is used before its row is read again.
  /// - Throws: `keyMissing` or `keyWrong` with the id, upon which the host must not start.
  package init(pool: Pool, keyring: Keyring, keyLifetime: Duration = .seconds(5)) async throws(VaultError) {
    try await KeyRegistration.run(pool: pool, keyring: keyring)
    dataKeys = DataKeys(pool: pool, keyring: keyring, lifetime: keyLifetime)
    self.pool = pool
    self.keyring = keyring
    self.keyLifetime = keyLifetime
  }

  /// Seals `secret` for its place. Store the blob's `bytes` and `keyID` in the row that the context names.
  ///
  /// The site must exist; its data key is made at the first call.
  package func seal(_ secret: Secret, for context: SealContext) async throws(VaultError) -> SealedBlob {
    let dataKey = try await dataKeys.primary(site: context.site)
    return try Envelope.seal(secret, context: context, key: dataKey.key, keyID: dataKey.id)
  }

  /// Takes the site's data key in hand, for sealing something that is still to come.
  package func sealer(site: Int64) async throws(VaultError) -> Sealer {
    let dataKey = try await dataKeys.primary(site: site)
    return Sealer(site: site, key: dataKey.key, keyID: dataKey.id)
  }

  /// Opens a blob that was sealed for this very place.
  ///
  /// - Throws: `unreadable` for any other blob; `database` if the key cannot be read now.
  package func open(_ blob: SealedBlob, for context: SealContext) async throws(VaultError) -> Secret {
    // Keys are opened by their own paths only.
    guard blob.kind == context.kind, !blob.kind.isKey else { throw .unreadable }
    let dataKey = try await dataKeys.key(blob.keyID)
    guard dataKey.site == context.site else { throw .unreadable }
    return try Envelope.open(blob, context: context, key: dataKey.key)
  }

  /// Opens a stored pair of columns, see `open(_:for:)`.
  package func open(stored bytes: [UInt8], keyID: Int64, for context: SealContext) async throws(VaultError) -> Secret {
    try await open(SealedBlob(stored: bytes, keyID: keyID), for: context)
  }
}
