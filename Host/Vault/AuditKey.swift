package import Cryptography
internal import Postgres

/// A key of the audit trail, in the open. It seals no values: codes and signatures of the trail are made under it.
package struct AuditKey: Sendable {
  /// Its number in `vault_keys`.
  package let id: Int64
  /// 32 random bytes.
  package let secret: Secret
}

extension Vault {
  /// How often a new key is wrapped again because the key-encryption key changed at the same moment.
  private static let wrappings = 3

  /// The number of the key under which the trail goes on; the key is made at the first call of all hosts.
  package func primaryAuditKey() async throws(VaultError) -> Int64 {
    for _ in 0..<Self.wrappings {
      let present = try await rows("SELECT id::bigint FROM vault_keys WHERE purpose = 'audit' AND status = 'primary'")
      if let row = present.first { return try number(row, 0) }
      // The wrapped key is bound to its id, so the id is taken first.
      let taken = try await rows(
        """
        SELECT nextval(pg_get_serial_sequence('vault_keys', 'id')), key_number FROM vault_keys
        WHERE purpose = 'kek' AND status = 'primary'
        """
      )
      guard let row = taken.first else { throw .unreadable }
      let new = try NewDataKey(id: number(row, 0), site: nil, wrappedBy: number(row, 1), keyring: keyring)
      let made = try await rows(new.insertion)
      if !made.isEmpty { return new.id }
      // Another host was faster; its row is committed, since the conflict waits for that.
    }
    throw .unreadable
  }

  /// Opens a key of the trail, in use or not.
  ///
  /// - Throws: `unreadable` if there is none of this number, or it does not open.
  package func auditKey(_ id: Int64) async throws(VaultError) -> AuditKey {
    let found = try await rows(
      "SELECT wrapped, kcv FROM vault_keys WHERE id = \(id) AND purpose = 'audit' AND status <> 'destroyed'"
    )
    guard let row = found.first else { throw .unreadable }
    let (wrapped, checkValue): ([UInt8], [UInt8])
    do {
      (wrapped, checkValue) = (try row.get(0), try row.get(1))
    } catch {
      throw .database(error)
    }
    let blob = try SealedBlob(wrapped)
    guard let wrappingKey = keyring.key(blob.keyID) else { throw .unreadable }
    let secret = try Envelope.open(blob, context: .auditKey(id: id), key: wrappingKey)
    guard constantTimeEquals(checkValue, Envelope.checkValue(of: secret)) else { throw .unreadable }
    return AuditKey(id: id, secret: secret)
  }

  private func rows(_ statement: SQL) async throws(VaultError) -> [Row] {
    do {
      return try await pool.query(statement)
    } catch {
      throw .database(error)
    }
  }

  private func number(_ row: Row, _ column: Int) throws(VaultError) -> Int64 {
    do {
      return try row.get(column, as: Int64.self)
    } catch {
      throw .database(error)
    }
  }
}
