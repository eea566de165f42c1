package import FoundationEssentials
package import Postgres

/// Begins changes of keys; `Resealer` carries them out.
package struct KeyRotations: Sendable {
  /// Who asks.
  package struct Request: Sendable {
    package var isCompromised: Bool
    package var user: Int64?
    /// The last statements of the transaction, such as an audit row.
    package var also: [SQL]

    package init(isCompromised: Bool = false, user: Int64? = nil, also: [SQL] = []) {
      self.isCompromised = isCompromised
      self.user = user
      self.also = also
    }
  }

  private let vault: Vault
  var pool: Pool { vault.pool }
  private let whenCompromised: @Sendable (Int64) -> [SQL]

  /// A host that was not seen for so long does not hold a change of the key-encryption key back.
  private static let silence = 30

  /// - Parameter whenCompromised: What else to do in the transaction that begins to change the key of a site because
  ///   others may know it, such as asking for new credentials.
  package init(vault: Vault, whenCompromised: @escaping @Sendable (Int64) -> [SQL] = { _ in [] }) {
    self.vault = vault
    self.whenCompromised = whenCompromised
  }

  /// Gives a site a new data key. From now on everything is sealed with it; the old one opens until nothing needs it.
  package func rotate(site: Int64, _ request: Request = Request()) async throws -> KeyRotation {
    do {
      return try await vault.pool.transaction { tx in
        try await begin(site: site, request, in: tx)
      }
    } catch let error as PostgresError where error.isUniqueViolation && error.table == "vault_rotations" {
      throw Self.busy
    }
  }

  /// Makes another key of the setting the key-encryption key.
  ///
  /// - Parameter key: Its id; nil: the newest one that waits.
  package func rotateHostKey(to key: Int64? = nil, _ request: Request = Request()) async throws -> KeyRotation {
    do {
      return try await vault.pool.transaction { tx in
        let keys = try await tx.query(
          "SELECT key_number, status FROM vault_keys WHERE purpose = 'kek' ORDER BY id DESC FOR UPDATE"
        ).map { row in (number: try row.get(0, as: Int64.self), status: try row.get(1, as: String.self)) }
        let chosen = keys.first { key == nil ? $0.status == "pending" : $0.number == key }
        guard let chosen, let old = keys.first(where: { $0.status == "primary" }) else {
          throw VaultRefusal(
            key == nil ? .conflict : .notFound,
            "no_such_key",
            "There is no \(key.map { "key \($0)" } ?? "new key"); add one to OAUTH_ENCRYPTION_KEY of every host as "
              + "id:base64, behind the present one, and start the hosts again"
          )
        }
        guard chosen.status == "pending" else {
          throw VaultRefusal(.conflict, "key_in_use", "The key \(chosen.number) is \(chosen.status) already")
        }
        try await requireEverywhere(chosen.number, in: tx)
        try await tx.execute(Self.retire(old.number, purpose: "kek", isCompromised: request.isCompromised))
        try await tx.execute(
          """
          UPDATE vault_keys SET status = 'primary', activated_at = now()
          WHERE purpose = 'kek' AND key_number = \(chosen.number)
          """
        )
        return try await insert(nil, old.number, chosen.number, request, in: tx)
      }
    } catch let error as PostgresError where error.isUniqueViolation && error.table == "vault_rotations" {
      throw Self.busy
    }
  }

  /// Ends a key-encryption key for good: nothing that it sealed can be opened again, in back-ups neither. Afterwards it
  /// may be taken out of the setting.
  package func destroy(hostKey key: Int64, also: [SQL] = []) async throws {
    try await vault.pool.transaction { tx in
      let rows = try await tx.query(
        "SELECT status FROM vault_keys WHERE purpose = 'kek' AND key_number = \(key) FOR UPDATE"
      )
      guard let status = try rows.first?.get(0, as: String.self) else {
        throw VaultRefusal.noSuchKey("\(key)")
      }
      if status == "destroyed" { return }
      let wrapped = try await tx.query(
        "SELECT FROM vault_keys WHERE wrapped_by = \(key) AND status <> 'destroyed' LIMIT 1"
      )
      guard status == "disabled", wrapped.isEmpty else {
        throw VaultRefusal(
          .conflict,
          "key_in_use",
          wrapped.isEmpty
            ? "The key \(key) is \(status); only one that a finished rotation has disabled can be destroyed"
            : "The key \(key) still seals data keys that did not open when it was changed"
        )
      }
      try await tx.execute(
        "UPDATE vault_keys SET status = 'destroyed' WHERE purpose = 'kek' AND key_number = \(key)"
      )
      try await tx.batch(also)
    }
  }

  /// Notes which keys this host has, for changes of the key-encryption key.
  ///
  /// - Parameter instance: Of this process alone.
  package func report(_ instance: UUID, home: String) async throws(PostgresError) {
    try await vault.pool.batch([
      """
      INSERT INTO vault_hosts (instance, home, keys)
      VALUES (\(instance), \(home), \(vault.keyring.entries.map(\.id)))
      ON CONFLICT (instance) DO UPDATE SET seen_at = now()
      """, "DELETE FROM vault_hosts WHERE seen_at < now() - interval '1 day'",
    ])
  }

  /// Notes that a host ends; one that is killed is forgotten by its silence.
  package func withdraw(_ instance: UUID) async throws(PostgresError) {
    try await vault.pool.execute("DELETE FROM vault_hosts WHERE instance = \(instance)")
  }

  /// The rotations that are on their way, and the newest of the others.
  package func list(limit: Int = 20) async throws(PostgresError) -> [KeyRotation] {
    try await vault.pool.query(
      """
      SELECT \(fragment: KeyRotation.columns) FROM vault_rotations r
      ORDER BY r.ended_at IS NOT NULL, r.id DESC LIMIT \(Int64(limit))
      """
    ).map { row throws(PostgresError) in try KeyRotation(row) }
  }

  package func rotation(_ id: Int64) async throws -> KeyRotation {
    let rows = try await vault.pool.query(
      "SELECT \(fragment: KeyRotation.columns) FROM vault_rotations r WHERE r.id = \(id)"
    )
    guard let row = rows.first else { throw VaultRefusal(.notFound, "no_such_rotation", "There is no rotation \(id)") }
    return try KeyRotation(row)
  }

  // MARK: Steps

  private func begin(site: Int64, _ request: Request, in tx: Transaction) async throws -> KeyRotation {
    // In the order in which a change of the key-encryption key takes its locks.
    let wrapping = try await tx.query(
      """
      SELECT nextval(pg_get_serial_sequence('vault_keys', 'id')), key_number FROM vault_keys
      WHERE purpose = 'kek' AND status = 'primary' FOR SHARE
      """
    )
    let present = try await tx.query(
      """
      SELECT key_number FROM vault_keys WHERE purpose = 'dek' AND site_id = \(site) AND status = 'primary' FOR UPDATE
      """
    )
    guard let old = try present.first?.get(0, as: Int64.self), let wrapping = wrapping.first else {
      throw VaultRefusal(.notFound, "nothing_sealed", "The site \(site) has no key, for nothing of it is sealed yet")
    }
    let new = try NewDataKey(
      id: wrapping.get(0),
      site: site,
      wrappedBy: wrapping.get(1),
      keyring: vault.keyring
    )
    try await tx.execute(Self.retire(old, purpose: "dek", isCompromised: request.isCompromised))
    try await tx.execute(new.insertion)
    if request.isCompromised { try await tx.batch(whenCompromised(site)) }
    return try await insert(site, old, new.id, request, in: tx)
  }

  private func insert(
    _ site: Int64?,
    _ old: Int64,
    _ new: Int64,
    _ request: Request,
    in tx: Transaction
  ) async throws -> KeyRotation {
    let id: Int64 = try await tx.query(
      """
      INSERT INTO vault_rotations (purpose, site_id, old_key, new_key, is_compromised, requested_by)
      VALUES (\(site == nil ? "kek" : "dek"), \(site), \(old), \(new), \(request.isCompromised), \(request.user))
      RETURNING id
      """
    )[0].get(0)
    try await tx.batch(request.also)
    let rows = try await tx.query(
      "SELECT \(fragment: KeyRotation.columns) FROM vault_rotations r WHERE r.id = \(id)"
    )
    return try KeyRotation(rows[0])
  }

  /// A host that meets a data key under a key that it does not have can not open it, so all must have it first.
  private func requireEverywhere(_ key: Int64, in tx: Transaction) async throws {
    guard vault.keyring.key(key) != nil else { throw VaultError.keyMissing(id: key) }
    let lacking = try await tx.query(
      """
      SELECT home FROM vault_hosts
      WHERE seen_at > now() - \(Double(Self.silence)) * interval '1 s' AND NOT keys @> ARRAY[\(key)]
      ORDER BY home LIMIT 5
      """
    ).map { row throws(PostgresError) in try row.get(0, as: String.self) }
    guard lacking.isEmpty else {
      throw VaultRefusal(
        .conflict,
        "key_not_everywhere",
        "The key \(key) is not in OAUTH_ENCRYPTION_KEY of every host yet; it is missing at \(lacking.joined(separator: ", "))"
      )
    }
  }

  private static func retire(_ key: Int64, purpose: String, isCompromised: Bool) -> SQL {
    """
    UPDATE vault_keys SET status = 'decrypt_only', retired_at = now(), is_compromised = \(isCompromised)
    WHERE purpose = \(purpose) AND key_number = \(key)
    """
  }

  private static let busy = VaultRefusal(
    .conflict,
    "rotation_running",
    "This key is being changed already; see `rostrum vault status`"
  )
}
