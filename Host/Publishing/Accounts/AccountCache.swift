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
  let pool: Pool
  let vault: Vault
  let revocations: RevocationBoard

  package init(pool: Pool, vault: Vault) {
    self.pool = pool
    self.vault = vault
    revocations = RevocationBoard(pool: pool)
  }

  /// The account of a connection.
  ///
  /// - Throws: ``AccountError`` when the connection is gone or its credentials are revoked, a vault error when they do not
  ///   open.
  package func account(connection: Int64, generation: Int64, updatedAt: Date) async throws -> Account {
    let known = entries.withLock { $0[connection] }
    let isKnown = known?.generation == generation && known?.updatedAt == updatedAt
    guard isKnown, let account = known?.account else { return try await load(connection) }
    if try await revocations.isRevoked(account) { throw AccountError.revoked }
    return account
  }

  /// Reads and opens the account as it is now.
  ///
  /// - Parameter takesRevoked: Whether an account whose credentials are revoked comes without any, so that it can get
  ///   new ones.
  package func load(_ connection: Int64, takesRevoked: Bool = false) async throws -> Account {
    let rows = try await pool.query(
      """
      SELECT site_id, platform, lane_id, account_id, account_name, account_handle, account_url, endpoint,
        origin, capabilities::text AS capabilities, sealed_credentials, key_id, generation, updated_at, credential_epoch,
        expires_at, renew_at
      FROM platform_connections WHERE id = \(connection) AND deleted_at IS NULL
      """
    )
    guard let row = rows.first else { throw AccountError.missing }
    let siteID: Int64 = try row.get("site_id")
    let platform: String = try row.get("platform")
    let generation: Int64 = try row.get("generation")
    let draft = Account(
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
      secrets: [:],
      credentialEpoch: try row.get("credential_epoch")
    )
    guard try await !revocations.isRevoked(draft) else {
      if takesRevoked { return draft }
      throw AccountError.revoked
    }
    let account = draft.with(
      secrets: try await vault.openCredentials(
        try row.get("sealed_credentials"),
        keyID: try row.get("key_id"),
        site: siteID,
        platform: platform,
        connection: connection,
        generation: generation
      ),
      epoch: draft.credentialEpoch,
      validity: Account.Validity(
        generation: generation,
        expiresAt: try row.get("expires_at"),
        renewAt: try row.get("renew_at")
      )
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
  case revoked

  package var description: String {
    switch self {
    case .missing: "The account is no longer connected"
    case .revoked: "The credentials of the account were revoked; connect it again"
    }
  }
}
