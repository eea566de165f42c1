internal import Audit
internal import Cryptography
internal import FoundationEssentials
internal import Postgres

/// Carries changes of keys out while everything goes on: seals what an old key has sealed with the new one, a few rows
/// at a time.
///
/// Every host runs one, and a command may. What is left is what the rows themselves say, so a resealer can end at any
/// instant and any other goes on; the lock on the rotation's row lets one work at a time.
package struct Resealer: Sendable {
  /// What became of one step.
  enum Step: Equatable {
    /// Rows got the new key, or were put into quarantine.
    case moved
    /// Rows are left that somebody else holds, or nothing is left but it is too early to believe it.
    case waiting
    /// Another resealer is at it, or the rotation has ended.
    case busy
    case ended
  }

  private let vault: Vault
  private let rotations: KeyRotations
  private let columns: [SealedColumn]
  private let settling: Duration
  private static let batch = 200

  /// - Parameters:
  ///   - columns: Every column of sealed values.
  ///   - settling: How far the two looks lie apart that must find nothing; nil: longer than any host goes on with an old
  ///     key.
  package init(vault: Vault, rotations: KeyRotations, columns: [SealedColumn], settling: Duration? = nil) {
    self.vault = vault
    self.rotations = rotations
    self.columns = columns
    self.settling = settling ?? vault.keyLifetime * 2
  }

  /// Works on all open rotations until nothing can be done right now.
  ///
  /// - Parameter shouldStop: Asked between the batches.
  /// - Returns: How many rotations are still open.
  @discardableResult
  package func round(until shouldStop: @Sendable () -> Bool = { false }) async throws -> Int {
    let open = try await vault.pool.query("SELECT id FROM vault_rotations WHERE ended_at IS NULL ORDER BY id")
    var left = open.count
    for row in open {
      let id = try row.get(0, as: Int64.self)
      var step = Step.moved
      while step == .moved, !shouldStop() { step = try await self.step(id) }
      if step == .ended { left -= 1 }
    }
    return left
  }

  /// One transaction of work on a rotation.
  func step(_ id: Int64) async throws -> Step {
    let (step, compromised) = try await vault.pool.transaction { tx in try await work(on: id, in: tx) }
    for site in compromised {
      do {
        _ = try await rotations.rotate(site: site, KeyRotations.Request(isCompromised: true))
      } catch let refusal as VaultRefusal where refusal.kind == .conflict {
        // It is changed for another reason; its turn comes when that has ended.
      }
    }
    return step
  }

  private func work(on id: Int64, in tx: Transaction) async throws -> (Step, compromised: [Int64]) {
    let rows = try await tx.query(
      """
      SELECT \(fragment: KeyRotation.columns), r.clear_since IS NOT NULL
        AND r.clear_since <= clock_timestamp() - \(settling.seconds) * interval '1 s' AS is_settled
      FROM vault_rotations r WHERE r.id = \(id) AND r.ended_at IS NULL FOR UPDATE OF r SKIP LOCKED
      """
    )
    guard let row = rows.first else { return (.busy, []) }
    let rotation = try KeyRotation(row)
    let keys = try await keys(of: rotation, in: tx)
    let columns = rotation.site == nil ? [SealedColumn.dataKeys] : columns
    for column in columns {
      if try await reseal(column, rotation, keys, in: tx) { return (.moved, []) }
    }
    for column in columns {
      let rest = column.left(under: "\(rotation.oldKey)")
      let left = try await tx.query("SELECT \(fragment: rest) LIMIT 1")
      if !left.isEmpty {
        try await tx.execute("UPDATE vault_rotations SET clear_since = NULL WHERE id = \(id)")
        return (.waiting, [])
      }
    }
    if rotation.site == nil, rotation.isCompromised {
      // Whoever has the old key may have opened every data key of that time.
      let sites = try await tx.query(
        """
        SELECT site_id FROM vault_keys
        WHERE purpose = 'dek' AND status = 'primary' AND created_at < \(rotation.createdAt) ORDER BY site_id LIMIT 100
        """
      ).map { row throws(PostgresError) in try row.get(0, as: Int64.self) }
      if !sites.isEmpty { return (.waiting, sites) }
      // The trail goes on under a new key, and what comes under it covers what came before.
      try await tx.execute(
        """
        UPDATE vault_keys SET status = 'decrypt_only', retired_at = now(), is_compromised = true
        WHERE purpose = 'audit' AND status = 'primary' AND created_at < \(rotation.createdAt)
        """
      )
    }
    guard try row.get("is_settled", as: Bool.self) else {
      try await tx.execute(
        "UPDATE vault_rotations SET clear_since = coalesce(clear_since, clock_timestamp()) WHERE id = \(id)"
      )
      return (.waiting, [])
    }
    try await end(rotation, in: tx)
    return (.ended, [])
  }

  // MARK: Rows

  /// Seals some rows of a column anew; returns whether there were any.
  private func reseal(
    _ column: SealedColumn,
    _ rotation: KeyRotation,
    _ keys: (old: Secret, new: Secret),
    in tx: Transaction
  ) async throws -> Bool {
    let rows = try await tx.query(column.take(under: rotation.oldKey, limit: Self.batch))
    if rows.isEmpty { return false }
    var moved: [(tid: String, old: [UInt8], new: [UInt8])] = []
    var broken: [String] = []
    for row in rows {
      let sealed: [UInt8] = try row.get("sealed")
      do {
        let context = try column.context(row)
        let blob = try SealedBlob(stored: sealed, keyID: rotation.oldKey)
        let secret = try Envelope.open(blob, context: context, key: keys.old)
        let new = try Envelope.seal(secret, context: context, key: keys.new, keyID: rotation.newKey)
        moved.append((try row.get("tid"), sealed, new.bytes))
      } catch VaultError.unreadable {
        broken.append(try row.get("row_key"))
      }
    }
    var count = 0
    if !moved.isEmpty {
      count = try await tx.execute(column.store(moved, from: rotation.oldKey, to: rotation.newKey))
    }
    try await tx.batch([
      """
      INSERT INTO vault_quarantine (place, row_key, key_number, rotation_id)
      SELECT \(column.name), k, \(rotation.oldKey), \(rotation.id) FROM unnest(\(broken)) AS k ON CONFLICT DO NOTHING
      """,
      """
      UPDATE vault_rotations SET resealed = resealed + \(Int64(count)), clear_since = NULL WHERE id = \(rotation.id)
      """,
    ])
    return true
  }

  private func keys(of rotation: KeyRotation, in tx: Transaction) async throws -> (old: Secret, new: Secret) {
    if rotation.site == nil { return (try hostKey(rotation.oldKey), try hostKey(rotation.newKey)) }
    let rows = try await tx.query(
      """
      SELECT id::bigint, site_id, wrapped, kcv FROM vault_keys
      WHERE purpose = 'dek' AND key_number IN (\(rotation.oldKey), \(rotation.newKey)) AND status <> 'destroyed'
      """
    ).map { try DataKeys.unwrap($0, vault.keyring) }
    guard let old = rows.first(where: { $0.id == rotation.oldKey }),
      let new = rows.first(where: { $0.id == rotation.newKey })
    else { throw VaultError.unreadable }
    return (old.key, new.key)
  }

  private func hostKey(_ id: Int64) throws -> Secret {
    guard let key = vault.keyring.key(id) else { throw VaultError.keyMissing(id: id) }
    return key
  }

  // MARK: Ends

  private func end(_ rotation: KeyRotation, in tx: Transaction) async throws {
    try await tx.batch([
      """
      UPDATE vault_keys SET status = 'disabled' WHERE purpose = \(rotation.site == nil ? "kek" : "dek")
        AND key_number = \(rotation.oldKey) AND status = 'decrypt_only'
      """,
      "UPDATE vault_rotations SET ended_at = now() WHERE id = \(rotation.id)",
      AuditEntry.insertions(
        .vaultRotated,
        site: "site_id",
        subject: "'key:' || old_key",
        details: """
          jsonb_build_object('newKey', new_key, 'resealed', resealed, 'quarantined', \(rotation.quarantined)::bigint)
          """,
        from: "vault_rotations WHERE id = \(rotation.id)"
      ),
    ])
  }

  /// Goes on with rotations that have ended where values came later, sealed with the old key: those that were on their
  /// way for a long time, such as outcomes that waited on the disk of a host without a database. Where others may know
  /// the old key, such values stay closed. Forgets what is in quarantine no more.
  package func reopen() async throws {
    try await vault.pool.batch((columns + [SealedColumn.dataKeys]).map(\.release))
    var keys: Set<Int64> = []
    for column in columns {
      let rows = try await vault.pool.query(
        """
        SELECT k.key_number FROM vault_keys k
        WHERE k.purpose = 'dek' AND k.status = 'disabled' AND NOT k.is_compromised
          AND EXISTS (SELECT \(fragment: column.left(under: "k.key_number")))
        """
      )
      for row in rows { keys.insert(try row.get(0)) }
    }
    for key in keys.sorted() {
      do {
        _ = try await vault.pool.transaction { tx in try await tx.batch(Self.reopening(key)) }
      } catch let error as PostgresError where error.isUniqueViolation {
        // The site's key is being changed again; there is another look after that.
      }
    }
  }

  private static func reopening(_ key: Int64) -> [SQL] {
    [
      """
      UPDATE vault_rotations r SET ended_at = NULL, clear_since = NULL, new_key = k.key_number
      FROM vault_keys k
      WHERE r.id = (SELECT max(id) FROM vault_rotations WHERE purpose = 'dek' AND old_key = \(key))
        AND k.purpose = 'dek' AND k.site_id = r.site_id AND k.status = 'primary'
      """,
      "UPDATE vault_keys SET status = 'decrypt_only' WHERE purpose = 'dek' AND key_number = \(key)",
    ]
  }
}

extension Duration {
  fileprivate var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) / 1e18
  }
}
