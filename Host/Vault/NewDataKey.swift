internal import Cryptography
internal import Postgres

/// A data key of a site, or a key of the audit trail, that was just made; wrapped for its row.
struct NewDataKey {
  let id: Int64
  /// Nil for a key of the audit trail.
  let site: Int64?
  let key: Secret
  private let wrapped: SealedBlob

  /// - Throws: `keyMissing` when this host does not have the wrapping key.
  init(id: Int64, site: Int64?, wrappedBy keyID: Int64, keyring: Keyring) throws(VaultError) {
    guard let wrappingKey = keyring.key(keyID) else { throw .keyMissing(id: keyID) }
    self.id = id
    self.site = site
    key = Secret.random(count: AESGCM.keyByteCount)
    let context = site.map { SealContext.dataKey(id: id, site: $0) } ?? .auditKey(id: id)
    wrapped = try Envelope.seal(key, context: context, key: wrappingKey, keyID: keyID)
  }

  /// Stores the key as the primary one of its site, or of the trail; returns a row unless there is another, or the
  /// wrapping key is not primary any more. The lock keeps it primary until the row is there to be seen.
  var insertion: SQL {
    """
    INSERT INTO vault_keys (id, purpose, key_number, site_id, status, wrapped, wrapped_by, kcv, activated_at)
    OVERRIDING SYSTEM VALUE
    SELECT \(id), \(site == nil ? "audit" : "dek"), \(id), \(site), 'primary', \(wrapped.bytes), k.key_number,
      \(Envelope.checkValue(of: key)), now()
    FROM vault_keys k
    WHERE k.purpose = 'kek' AND k.key_number = \(wrapped.keyID) AND k.status = 'primary'
    FOR SHARE OF k
    ON CONFLICT DO NOTHING RETURNING id::bigint
    """
  }
}
