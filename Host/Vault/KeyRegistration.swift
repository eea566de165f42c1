internal import Cryptography
internal import Postgres

/// Compares the key setting with the database at start.
enum KeyRegistration {
  /// Checks all keys and registers new ones.
  ///
  /// Nothing but the first key of an empty database is written before the check, so that a start with a wrong
  /// setting leaves no trace.
  static func run(pool: Pool, keyring: Keyring) async throws(VaultError) {
    do {
      if let first = keyring.entries.first { try await registerFirst(first, pool: pool) }
      try await checkAll(pool: pool, keyring: keyring)
      for entry in keyring.entries { try await register(entry, pool: pool) }
    } catch let error as PostgresError {
      throw .database(error)
    } catch let error as VaultError {
      throw error
    } catch {
      throw .unreadable
    }
  }

  private static func checkAll(pool: Pool, keyring: Keyring) async throws {
    var hasPrimary = false
    let rows = try await pool.query(
      "SELECT key_number, status, kcv FROM vault_keys WHERE purpose = 'kek' AND status <> 'destroyed' ORDER BY id"
    )
    for row in rows {
      let id = try row.get("key_number", as: Int64.self)
      let status = try row.get("status", as: String.self)
      guard let key = keyring.key(id) else {
        // Nothing is sealed with a pending key, so the operator may take it back.
        if status == "pending" { continue }
        throw VaultError.keyMissing(id: id)
      }
      guard constantTimeEquals(try row.get("kcv", as: [UInt8].self), Envelope.checkValue(of: key)) else {
        throw VaultError.keyWrong(id: id)
      }
      if status == "primary" { hasPrimary = true }
    }
    guard hasPrimary else { throw VaultError.invalidKeySetting("the database names no primary key") }
  }

  /// Makes the key primary in a database without any key; of two hosts that start at once, one does it.
  private static func registerFirst(_ entry: Keyring.Entry, pool: Pool) async throws {
    try await pool.execute(
      """
      INSERT INTO vault_keys (purpose, key_number, status, kcv, activated_at)
      SELECT 'kek', \(entry.id), 'primary', \(Envelope.checkValue(of: entry.key)), now()
      WHERE NOT EXISTS (SELECT FROM vault_keys WHERE purpose = 'kek')
      ON CONFLICT DO NOTHING
      """
    )
  }

  private static func register(_ entry: Keyring.Entry, pool: Pool) async throws {
    try await pool.execute(
      """
      INSERT INTO vault_keys (purpose, key_number, status, kcv)
      VALUES ('kek', \(entry.id), 'pending', \(Envelope.checkValue(of: entry.key)))
      ON CONFLICT DO NOTHING
      """
    )
  }
}
