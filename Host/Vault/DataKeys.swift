internal import Cryptography
internal import Postgres
internal import Synchronization

/// Finds, makes and keeps the data keys of the sites.
///
/// A key is read again after `lifetime`, so that a key disabled by another host stops working soon everywhere.
final class DataKeys: Sendable {
  /// A data key in the open.
  struct DataKey: Sendable {
    let id: Int64
    let site: Int64
    let key: Secret
  }

  private enum Lookup: Hashable {
    case id(Int64)
    case primary(site: Int64)
  }

  private struct State {
    var cache: [Lookup: (key: DataKey, until: ContinuousClock.Instant)] = [:]
    var running: [Lookup: Task<Result<DataKey, VaultError>, Never>] = [:]
  }

  private let state = Mutex(State())
  private let pool: Pool
  private let keyring: Keyring
  private let lifetime: Duration
  private static let maximumCached = 4_096
  /// How often a new key is wrapped again because the key-encryption key changed at the same moment.
  private static let wrappings = 3

  init(pool: Pool, keyring: Keyring, lifetime: Duration) {
    self.pool = pool
    self.keyring = keyring
    self.lifetime = lifetime
  }

  /// Returns the key with which new values of the site are sealed, and makes it at the first call for a site.
  func primary(site: Int64) async throws(VaultError) -> DataKey {
    try await find(.primary(site: site))
  }

  /// Returns the key with this id.
  ///
  /// - Throws: `unreadable` if there is none that may be used.
  func key(_ id: Int64) async throws(VaultError) -> DataKey {
    try await find(.id(id))
  }

  /// One caller asks the database, the others wait for its answer.
  private func find(_ lookup: Lookup) async throws(VaultError) -> DataKey {
    enum Found {
      case cached(DataKey)
      case running(Task<Result<DataKey, VaultError>, Never>)
    }
    let found: Found = state.withLock { state in
      if let entry = state.cache[lookup], entry.until > .now { return .cached(entry.key) }
      if let task = state.running[lookup] { return .running(task) }
      // Owned by every caller that waits for it; a task of its own, because one caller's end must not end the others.
      let task = Task { await self.load(lookup) }
      state.running[lookup] = task
      return .running(task)
    }
    switch found {
    case .cached(let key): return key
    case .running(let task): return try await task.value.get()
    }
  }

  private func load(_ lookup: Lookup) async -> Result<DataKey, VaultError> {
    let result: Result<DataKey, VaultError>
    do throws(VaultError) {
      switch lookup {
      case .id(let id): result = .success(try await read(id: id))
      case .primary(let site): result = .success(try await readOrMakePrimary(site: site))
      }
    } catch {
      result = .failure(error)
    }
    let until = ContinuousClock.now + lifetime
    state.withLock { state in
      state.running[lookup] = nil
      state.cache[lookup] = nil
      guard case .success(let key) = result else { return }
      if state.cache.count >= Self.maximumCached { state.cache.removeAll() }
      state.cache[lookup] = (key, until)
      state.cache[.id(key.id)] = (key, until)
    }
    return result
  }

  private func read(id: Int64) async throws(VaultError) -> DataKey {
    let rows = try await query(
      """
      SELECT id::bigint, site_id, wrapped, kcv FROM vault_keys
      WHERE id = \(id) AND purpose = 'dek' AND status IN ('primary', 'decrypt_only')
      """
    )
    guard let row = rows.first else { throw .unreadable }
    return try unwrap(row)
  }

  private func readOrMakePrimary(site: Int64) async throws(VaultError) -> DataKey {
    for _ in 0..<Self.wrappings {
      if let key = try await readPrimary(site: site) { return key }
      // The wrapped key is bound to its id, so the id is taken first.
      let rows = try await query(
        """
        SELECT nextval(pg_get_serial_sequence('vault_keys', 'id')), key_number FROM vault_keys
        WHERE purpose = 'kek' AND status = 'primary'
        """
      )
      guard let row = rows.first else { throw .unreadable }
      let new = try NewDataKey(id: column(row, 0), site: site, wrappedBy: column(row, 1), keyring: keyring)
      let made = try await query(new.insertion)
      if !made.isEmpty { return DataKey(id: new.id, site: site, key: new.key) }
      // Another host was faster; its row is committed, since the conflict waits for that.
    }
    throw .unreadable
  }

  private func readPrimary(site: Int64) async throws(VaultError) -> DataKey? {
    let rows = try await query(
      """
      SELECT id::bigint, site_id, wrapped, kcv FROM vault_keys
      WHERE purpose = 'dek' AND site_id = \(site) AND status = 'primary'
      """
    )
    guard let row = rows.first else { return nil }
    return try unwrap(row)
  }

  private func unwrap(_ row: Row) throws(VaultError) -> DataKey {
    try Self.unwrap(row, keyring)
  }

  /// Opens a key from the columns `id, site_id, wrapped, kcv`.
  static func unwrap(_ row: Row, _ keyring: Keyring) throws(VaultError) -> DataKey {
    let id: Int64 = try column(row, 0)
    let site: Int64 = try column(row, 1)
    let blob = try SealedBlob(column(row, 2))
    guard let wrappingKey = keyring.key(blob.keyID) else { throw .unreadable }
    let key = try Envelope.open(blob, context: .dataKey(id: id, site: site), key: wrappingKey)
    let checkValue: [UInt8] = try column(row, 3)
    guard constantTimeEquals(checkValue, Envelope.checkValue(of: key)) else { throw .unreadable }
    return DataKey(id: id, site: site, key: key)
  }

  private func query(_ statement: SQL) async throws(VaultError) -> [Row] {
    do {
      return try await pool.query(statement)
    } catch {
      throw .database(error)
    }
  }

  private func column<Value: PostgresDecodable>(_ row: Row, _ index: Int) throws(VaultError) -> Value {
    try Self.column(row, index)
  }

  private static func column<Value: PostgresDecodable>(_ row: Row, _ index: Int) throws(VaultError) -> Value {
    do {
      return try row.get(index, as: Value.self)
    } catch {
      throw .database(error)
    }
  }
}
