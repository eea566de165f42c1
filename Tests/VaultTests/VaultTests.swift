import Cryptography
import Postgres
import TestSupport
import Testing
import Vault

/// The vault against a real database.
@Suite(.database) struct VaultTests {
  static let setting = Secret("1:\(Base64.encode([UInt8](repeating: 1, count: 32)))")
  static let otherSetting = Secret("1:\(Base64.encode([UInt8](repeating: 2, count: 32)))")

  private func makeContext(site: Int64) -> SealContext {
    SealContext(
      kind: .tokens,
      site: site,
      platform: "x",
      connection: 42,
      field: "credentials",
      generation: 1
    )
  }

  private func makeSite(_ pool: Pool) async throws -> Int64 {
    let rows = try await pool.query("INSERT INTO sites (name) VALUES ('Test') RETURNING id")
    return try #require(rows.first).get("id", as: Int64.self)
  }

  private func count(_ pool: Pool, _ condition: SQL) async throws -> Int64 {
    let rows = try await pool.query("SELECT count(*) FROM vault_keys WHERE \(fragment: condition)")
    return try #require(rows.first).get(0, as: Int64.self)
  }

  @Test func sealsAndOpensAcrossRestarts() async throws {
    try await TestDatabase.current.withPool { pool in
      let site = try await makeSite(pool)
      let context = makeContext(site: site)
      let blob = try await Vault(pool: pool, keyring: Keyring(Self.setting)).seal(
        Secret("token"),
        for: context
      )
      let vault = try await Vault(pool: pool, keyring: Keyring(Self.setting))
      #expect(
        try await vault.open(stored: blob.bytes, keyID: blob.keyID, for: context) == Secret("token")
      )
      #expect(try await vault.seal(Secret("token"), for: context).bytes != blob.bytes)
      #expect(
        try await count(pool, "purpose = 'kek' AND status = 'primary' AND key_number = 1") == 1
      )
      #expect(try await count(pool, "purpose = 'dek' AND key_number = id AND wrapped_by = 1") == 1)
    }
  }

  @Test func rowsCannotBeSwapped() async throws {
    try await TestDatabase.current.withPool { pool in
      let site = try await makeSite(pool)
      let otherSite = try await makeSite(pool)
      let vault = try await Vault(pool: pool, keyring: Keyring(Self.setting))
      let context = makeContext(site: site)
      let blob = try await vault.seal(Secret("token"), for: context)
      _ = try await vault.seal(Secret("other"), for: makeContext(site: otherSite))
      let changes: [(inout SealContext) -> Void] = [
        { $0.site = otherSite }, { $0.platform = "y" }, { $0.connection = 43 }, { $0.field = "f" },
        { $0.generation = 2 }, { $0.kind = .clientSecret },
        { $0 = .dataKey(id: blob.keyID, site: site) },
      ]
      for change in changes {
        var other = context
        change(&other)
        let place = other
        await #expect(throws: VaultError.unreadable) { try await vault.open(blob, for: place) }
      }
      #expect(try await vault.open(blob, for: context) == Secret("token"))
    }
  }

  @Test func dataKeysCannotMoveBetweenSites() async throws {
    try await TestDatabase.current.withPool { pool in
      let site = try await makeSite(pool)
      let otherSite = try await makeSite(pool)
      let vault = try await Vault(pool: pool, keyring: Keyring(Self.setting))
      let context = makeContext(site: site)
      let blob = try await vault.seal(Secret("token"), for: context)
      try await pool.execute(
        "UPDATE vault_keys SET site_id = \(otherSite) WHERE id = \(Int32(blob.keyID))"
      )
      let later = try await Vault(pool: pool, keyring: Keyring(Self.setting))
      await #expect(throws: VaultError.unreadable) { try await later.open(blob, for: context) }
      await #expect(throws: VaultError.unreadable) {
        try await later.open(blob, for: makeContext(site: otherSite))
      }
      await #expect(throws: VaultError.unreadable) {
        try await later.seal(Secret("token"), for: makeContext(site: otherSite))
      }
    }
  }

  @Test(arguments: ["disabled", "destroyed", "pending"])
  func keysOutOfUseOpenNothing(status: String) async throws {
    try await TestDatabase.current.withPool { pool in
      let site = try await makeSite(pool)
      let vault = try await Vault(pool: pool, keyring: Keyring(Self.setting), keyLifetime: .zero)
      let context = makeContext(site: site)
      let blob = try await vault.seal(Secret("token"), for: context)
      #expect(try await vault.open(blob, for: context) == Secret("token"))
      try await pool.execute("UPDATE vault_keys SET status = \(status) WHERE purpose = 'dek'")
      await #expect(throws: VaultError.unreadable) { try await vault.open(blob, for: context) }
      // A new value gets a new key, and an old value stays readable with a key that only opens.
      #expect(try await vault.seal(Secret("new"), for: context).keyID != blob.keyID)
      try await pool.execute(
        "UPDATE vault_keys SET status = 'decrypt_only' WHERE purpose = 'dek' AND status <> 'primary'"
      )
      #expect(try await vault.open(blob, for: context) == Secret("token"))
    }
  }

  @Test func manyHostsMakeOneKeyForASite() async throws {
    try await TestDatabase.current.withPool { pool in
      let site = try await makeSite(pool)
      let context = makeContext(site: site)
      var vaults: [Vault] = []
      for _ in 0..<4 { vaults.append(try await Vault(pool: pool, keyring: Keyring(Self.setting))) }
      let blobs = try await withThrowingTaskGroup(of: SealedBlob.self) { group in
        for index in 0..<40 {
          let vault = vaults[index % vaults.count]
          group.addTask { try await vault.seal(Secret("\(index)"), for: context) }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(Set(blobs.map(\.keyID)).count == 1)
      #expect(try await count(pool, "purpose = 'dek'") == 1)
      for blob in blobs { _ = try await vaults[0].open(blob, for: context) }
    }
  }

  @Test func manyHostsStartAtOnce() async throws {
    try await TestDatabase.current.withPool { pool in
      let started = try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<4 {
          group.addTask { _ = try await Vault(pool: pool, keyring: Keyring(Self.setting)) }
        }
        return try await group.reduce(0) { count, _ in count + 1 }
      }
      #expect(started == 4)
      #expect(try await count(pool, "purpose = 'kek'") == 1)
    }
  }

  @Test func theWrongKeyStopsTheStart() async throws {
    try await TestDatabase.current.withPool { pool in
      _ = try await Vault(pool: pool, keyring: Keyring(Self.setting))
      await #expect(throws: VaultError.keyWrong(id: 1)) {
        try await Vault(pool: pool, keyring: Keyring(Self.otherSetting))
      }
      let missing = Secret("2:\(Base64.encode([UInt8](repeating: 2, count: 32)))")
      await #expect(throws: VaultError.keyMissing(id: 1)) {
        try await Vault(pool: pool, keyring: Keyring(missing))
      }
      // The failed starts have left nothing behind.
      #expect(try await count(pool, "true") == 1)
      _ = try await Vault(pool: pool, keyring: Keyring(Self.setting))
    }
  }

  @Test func anAddedKeyWaits() async throws {
    try await TestDatabase.current.withPool { pool in
      let site = try await makeSite(pool)
      let context = makeContext(site: site)
      let blob = try await Vault(pool: pool, keyring: Keyring(Self.setting)).seal(
        Secret("token"),
        for: context
      )
      let both =
        "2:\(Base64.encode([UInt8](repeating: 2, count: 32))),\(Self.setting.revealText() ?? "")"
      let vault = try await Vault(pool: pool, keyring: Keyring(Secret(both)))
      #expect(try await vault.open(blob, for: context) == Secret("token"))
      #expect(
        try await count(pool, "purpose = 'kek' AND key_number = 2 AND status = 'pending'") == 1
      )
      // Nothing is sealed with it yet, so it may be taken back.
      _ = try await Vault(pool: pool, keyring: Keyring(Self.setting))
    }
  }

  @Test func theDatabaseHoldsNoKey() async throws {
    try await TestDatabase.current.withPool { pool in
      let site = try await makeSite(pool)
      let vault = try await Vault(pool: pool, keyring: Keyring(Self.setting))
      let blob = try await vault.seal(Secret("sentinel-value"), for: makeContext(site: site))
      let rows = try await pool.query("SELECT coalesce(wrapped, ''), kcv FROM vault_keys")
      let stored =
        try rows.flatMap { try $0.get(0, as: [UInt8].self) + $0.get(1, as: [UInt8].self) }
        + blob.bytes
      #expect(stored.firstRange(of: Array("sentinel-value".utf8)) == nil)
      #expect(stored.firstRange(of: [UInt8](repeating: 1, count: 32)) == nil)
    }
  }

  @Test func aLostDatabaseIsNotAnUnreadableBlob() async throws {
    try await TestDatabase.current.withPool { pool in
      let site = try await makeSite(pool)
      let vault = try await Vault(pool: pool, keyring: Keyring(Self.setting), keyLifetime: .zero)
      let blob = try await vault.seal(Secret("token"), for: makeContext(site: site))
      await pool.close()
      let error = await #expect(throws: VaultError.self) {
        try await vault.open(blob, for: makeContext(site: site))
      }
      guard case .database = error else {
        Issue.record("another error: \(String(describing: error))")
        return
      }
    }
  }
}
