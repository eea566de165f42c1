import Cryptography
import FoundationEssentials
import Logging
import Postgres
import Publishing
import Vault

/// Measures how long a delivery waits for the credentials of its account.
struct VaultBench {
  let database: Configuration

  /// In milliseconds.
  struct Report {
    /// Opened before, and found in memory.
    let warm50: Double
    let warm99: Double
    /// Read from the database and opened.
    let cold50: Double
    let cold99: Double
  }

  /// Reads the credentials of one account `count` times each way.
  func read(count: Int) async throws -> Report {
    let pool = Pool(database, size: 2)
    let vault = try await Vault(pool: pool, keyring: Keyring(Secret(Hex.encode([UInt8](repeating: 7, count: 32)))))
    let connection = try await account(pool, vault)
    let cache = AccountCache(pool: pool, vault: vault)
    let row = try await pool.query("SELECT updated_at FROM platform_connections WHERE id = \(connection)")[0]
    let updatedAt = try row.get("updated_at", as: Date.self)
    var warm: [Double] = []
    var cold: [Double] = []
    let clock = ContinuousClock()
    for _ in 0..<count {
      cold.append(try await clock.measure { _ = try await cache.load(connection) }.inSeconds * 1_000)
      warm.append(
        try await clock.measure {
          _ = try await cache.account(connection: connection, generation: 1, updatedAt: updatedAt)
        }.inSeconds * 1_000
      )
    }
    await pool.close()
    let (inMemory, opened) = (Spread(warm), Spread(cold))
    return Report(
      warm50: inMemory.percentile(0.5),
      warm99: inMemory.percentile(0.99),
      cold50: opened.percentile(0.5),
      cold99: opened.percentile(0.99)
    )
  }

  /// An account of a new site.
  private func account(_ pool: Pool, _ vault: Vault) async throws -> Int64 {
    let site: Int64 = try await pool.query("INSERT INTO sites (name) VALUES ('Bench') RETURNING id")[0].get(0)
    let id: Int64 = try await pool.query(
      "SELECT nextval(pg_get_serial_sequence('platform_connections', 'id'))"
    )[0].get(0)
    let secrets = ConnectionSecrets(["token": Secret(Hex.encode(RandomBytes.make(64)))])
    let sealed = try await vault.seal(
      secrets.encoded(),
      for: Vault.credentials(site: site, platform: "bench", connection: id, generation: 1)
    )
    try await pool.execute(
      """
      INSERT INTO platform_connections (id, site_id, platform, account_id, account_name, sealed_credentials, key_id,
        lane_id)
      VALUES (\(id), \(site), 'bench', \("account \(id)"), 'Account', \(sealed.bytes), \(sealed.keyID), \(id))
      """
    )
    return id
  }
}
