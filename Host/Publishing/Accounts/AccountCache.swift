import Cryptography
package import FoundationEssentials
import JSONText
package import Postgres
import Synchronization
package import Vault

/// Opened accounts in memory, so that a delivery does not open a sealed blob each time.
///
/// An entry is used only while generation and change time of the connection row are the ones that the claim saw, so a
/// new token or a renamed account is never missed.
package final class AccountCache: Sendable {
  private struct Entry {
    var generation: Int64
    var updatedAt: Date
    var account: Account
  }

  private static let capacity = 20_000
  private let entries = Mutex<[Int64: Entry]>([:])
  private let pool: Pool
  let vault: Vault

  package init(pool: Pool, vault: Vault) {
    self.pool = pool
    self.vault = vault
  }

  /// The account of a connection.
  ///
  /// - Throws: ``AccountError/missing`` when the connection is gone, a vault error when its credentials do not open.
  package func account(connection: Int64, generation: Int64, updatedAt: Date) async throws -> Account {
    let known = entries.withLock { $0[connection] }
    if let known, known.generation == generation, known.updatedAt == updatedAt { return known.account }
    return try await load(connection)
  }

  /// Reads and opens the account as it is now.
  package func load(_ connection: Int64) async throws -> Account {
    let rows = try await pool.query(
      """
      SELECT site_id, platform, lane_id, account_id, account_name, account_handle, account_url, endpoint,
        origin, capabilities::text AS capabilities, sealed_credentials, key_id, generation, updated_at
      FROM platform_connections WHERE id = \(connection) AND deleted_at IS NULL
      """
    )
    guard let row = rows.first else { throw AccountError.missing }
    let siteID: Int64 = try row.get("site_id")
    let platform: String = try row.get("platform")
    let generation: Int64 = try row.get("generation")
    let secrets = try await vault.openCredentials(
      try row.get("sealed_credentials"),
      keyID: try row.get("key_id"),
      site: siteID,
      platform: platform,
      connection: connection,
      generation: generation
    )
    let account = Account(
      connectionID: connection,
      siteID: siteID,
      platform: platform,
      laneID: try row.get("lane_id"),
      accountID: try row.get("account_id"),
      name: try row.get("account_name"),
      handle: try row.get("account_handle"),
      url: try row.get("account_url"),
      endpoint: try row.get("endpoint"),
      origin: try row.get("origin"),
      capabilities: try row.get("capabilities", as: String?.self).map { try RawJSON(text: $0) },
      secrets: secrets
    )
    let entry = Entry(generation: generation, updatedAt: try row.get("updated_at"), account: account)
    entries.withLock { entries in
      if entries.count >= Self.capacity { entries.removeAll(keepingCapacity: true) }
      entries[connection] = entry
    }
    return account
  }

  /// Forgets an account, for example after it was disconnected.
  package func forget(_ connection: Int64) {
    entries.withLock { _ = $0.removeValue(forKey: connection) }
  }
}

package enum AccountError: Error, CustomStringConvertible {
  case missing

  package var description: String { "The account is no longer connected" }
}
