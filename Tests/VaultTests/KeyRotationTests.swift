import Cryptography
import FoundationEssentials
import Postgres
import Synchronization
import TestSupport
import Testing

@testable import Vault

/// Changes of keys against a real database, over a table of the test's own.
@Suite(.database) struct KeyRotationTests {
  private static func setting(_ keys: [Int]) -> Secret {
    Secret(
      keys.map { "\($0):\(Base64.encode([UInt8](repeating: UInt8($0), count: 32)))" }.joined(separator: ",")
    )
  }

  private static let column = SealedColumn(
    table: "things",
    column: "sealed",
    keyColumn: "key_id",
    row: "t.id::text",
    place: "t.id, t.site_id, t.generation",
    context: { row in
      context(try row.get("id"), site: try row.get("site_id"), generation: try row.get("generation"))
    }
  )

  private static func context(_ id: Int64, site: Int64, generation: Int64) -> SealContext {
    SealContext(kind: .tokens, site: site, platform: "p", connection: id, field: "f", generation: generation)
  }

  /// What the thing's sealed text must be.
  private static func text(_ id: Int64, _ generation: Int64) -> Secret { Secret("token \(id) of \(generation)") }

  /// Tells tasks that the test is over.
  private final class Flag: Sendable {
    private let value = Atomic(false)
    var isRaised: Bool { value.load(ordering: .relaxed) }
    func raise() { value.store(true, ordering: .relaxed) }
  }

  /// A site with sealed things.
  private struct Things: Sendable {
    let pool: Pool
    let vault: Vault
    let site: Int64

    init(_ pool: Pool, _ vault: Vault, count: Int) async throws {
      self.pool = pool
      self.vault = vault
      try await pool.execute(
        """
        CREATE TABLE IF NOT EXISTS things (id bigint, site_id bigint, sealed bytea, key_id bigint, generation bigint,
          PRIMARY KEY (site_id, id))
        """
      )
      try await pool.execute("CREATE INDEX IF NOT EXISTS things_key ON things (key_id)")
      site = try await pool.query("INSERT INTO sites (name) VALUES ('Test') RETURNING id")[0].get(0)
      for start in stride(from: 0, to: count, by: 1_000) {
        let ids = (start..<min(start + 1_000, count)).map { Int64($0) }
        var blobs: [SealedBlob] = []
        for id in ids { blobs.append(try await vault.seal(text(id, 1), for: context(id, site: site, generation: 1))) }
        try await pool.execute(
          """
          INSERT INTO things SELECT id, \(site), sealed, key_id, 1
          FROM unnest(\(ids), \(blobs.map(\.bytes)), \(blobs.map(\.keyID))) AS n(id, sealed, key_id)
          """
        )
      }
    }

    /// Reads a thing as a host does; returns whether it holds what it should.
    func isRight(_ id: Int64, by vault: Vault) async throws -> Bool {
      let row = try await pool.query(
        "SELECT sealed, key_id, generation FROM things WHERE site_id = \(site) AND id = \(id)"
      )[0]
      let generation: Int64 = try row.get("generation")
      let secret = try await vault.open(
        stored: row.get("sealed"),
        keyID: row.get("key_id"),
        for: context(id, site: site, generation: generation)
      )
      return secret == text(id, generation)
    }

    /// Writes a thing as a host does.
    func renew(_ id: Int64, by vault: Vault) async throws {
      let generation: Int64 = try await pool.query(
        "SELECT generation FROM things WHERE site_id = \(site) AND id = \(id)"
      )[0].get(0)
      let blob = try await vault.seal(
        text(id, generation + 1),
        for: context(id, site: site, generation: generation + 1)
      )
      try await pool.execute(
        """
        UPDATE things SET sealed = \(blob.bytes), key_id = \(blob.keyID), generation = \(generation + 1)
        WHERE site_id = \(site) AND id = \(id) AND generation = \(generation)
        """
      )
    }

    func left(_ key: Int64) async throws -> Int64 {
      try await pool.query("SELECT count(*) FROM things WHERE key_id = \(key)")[0].get(0)
    }
  }

  private func withVault(
    _ keys: [Int] = [1],
    lifetime: Duration = .zero,
    size: Int = 4,
    _ body: (Pool, Vault, KeyRotations) async throws -> Void
  ) async throws {
    try await TestDatabase.current.withPool(size: size) { pool in
      let vault = try await Vault(pool: pool, keyring: Keyring(Self.setting(keys)), keyLifetime: lifetime)
      try await body(pool, vault, KeyRotations(vault: vault))
    }
  }

  private func resealer(_ vault: Vault, _ rotations: KeyRotations) -> Resealer {
    Resealer(vault: vault, rotations: rotations, columns: [Self.column])
  }

  private func status(_ pool: Pool, _ key: Int64, _ purpose: String = "dek") async throws -> String {
    try await pool.query("SELECT status FROM vault_keys WHERE key_number = \(key) AND purpose = \(purpose)")[0].get(0)
  }

  /// Works until the rotation has ended.
  private func finish(
    _ rotation: KeyRotation,
    _ resealer: Resealer,
    _ rotations: KeyRotations
  ) async throws
    -> KeyRotation
  {
    while try await rotations.rotation(rotation.id).endedAt == nil { try await resealer.round() }
    return try await rotations.rotation(rotation.id)
  }

  @Test func aSitesKeyChangesWhileHostsReadAndWrite() async throws {
    let count = ProcessInfo.processInfo.environment["ROSTRUM_LONG"] == nil ? 2_000 : 100_000
    try await withVault(lifetime: .seconds(1), size: 8) { pool, vault, rotations in
      let things = try await Things(pool, vault, count: count)
      let other = try await Vault(pool: pool, keyring: Keyring(Self.setting([1])), keyLifetime: .seconds(1))
      let isDone = Flag()
      let failed = try await withThrowingTaskGroup(of: Int.self) { group in
        for host in [vault, other] {
          group.addTask {
            var wrong = 0
            while !isDone.isRaised {
              let id = Int64.random(in: 0..<Int64(count))
              if try await !things.isRight(id, by: host) { wrong += 1 }
            }
            return wrong
          }
          group.addTask {
            while !isDone.isRaised {
              try await things.renew(Int64.random(in: 0..<Int64(count)), by: host)
            }
            return 0
          }
        }
        let rotation = try await rotations.rotate(site: things.site)
        // Two at once, and one that ends after each batch.
        let resealer = resealer(vault, rotations)
        group.addTask {
          while try await rotations.rotation(rotation.id).endedAt == nil { try await resealer.round() }
          return 0
        }
        while try await rotations.rotation(rotation.id).endedAt == nil { _ = try await resealer.step(rotation.id) }
        isDone.raise()
        #expect(try await things.left(rotation.oldKey) == 0)
        #expect(try await status(pool, rotation.oldKey) == "disabled")
        #expect(try await rotations.rotation(rotation.id).quarantined == 0)
        return try await group.reduce(0, +)
      }
      #expect(failed == 0)
      for id in 0..<Int64(min(count, 2_000)) { #expect(try await things.isRight(id, by: other)) }
    }
  }

  @Test func whatDoesNotOpenIsReportedAndLeft() async throws {
    try await withVault { pool, vault, rotations in
      let things = try await Things(pool, vault, count: 450)
      // Two that are swapped, one that is cut, one that was wiped.
      try await pool.execute(
        """
        UPDATE things t SET sealed = o.sealed FROM things o
        WHERE (t.id = 3 AND o.id = 4) OR (t.id = 4 AND o.id = 3)
        """
      )
      try await pool.execute("UPDATE things SET sealed = substr(sealed, 1, 20) WHERE id = 5")
      try await pool.execute("UPDATE things SET sealed = '' WHERE id = 6")
      let begun = try await rotations.rotate(site: things.site)
      let rotation = try await finish(begun, resealer(vault, rotations), rotations)
      #expect(rotation.resealed == 446)
      #expect(rotation.quarantined == 3)
      let status = try await rotations.status()
      #expect(Set(status.quarantine.map(\.row)) == ["3", "4", "5"])
      #expect(status.quarantine.allSatisfy { $0.place == "things.sealed" && $0.key == rotation.oldKey })
      #expect(try await things.left(rotation.oldKey) == 4)
      // A new value is what helps.
      try await things.renew(3, by: vault)
      try await resealer(vault, rotations).reopen()
      let left = try await rotations.status().quarantine.map(\.row)
      #expect(Set(left) == ["4", "5"])
    }
  }

  @Test func whatComesLateIsSealedAnew() async throws {
    try await withVault { pool, vault, rotations in
      let things = try await Things(pool, vault, count: 3)
      let late = try await vault.sealer(site: things.site)
      let resealer = resealer(vault, rotations)
      let first = try await finish(rotations.rotate(site: things.site), resealer, rotations)
      let second = try await finish(rotations.rotate(site: things.site), resealer, rotations)
      let blob = try late.seal(Self.text(9, 1), for: Self.context(9, site: things.site, generation: 1))
      #expect(blob.keyID == first.oldKey)
      try await pool.execute("INSERT INTO things VALUES (9, \(things.site), \(blob.bytes), \(blob.keyID), 1)")
      await #expect(throws: VaultError.unreadable) { try await things.isRight(9, by: vault) }
      try await resealer.reopen()
      let isRight = try await things.isRight(9, by: vault)
      #expect(isRight)
      _ = try await finish(first, resealer, rotations)
      #expect(try await things.left(second.newKey) == 4)
      #expect(try await status(pool, first.oldKey) == "disabled")
    }
  }

  @Test func whatComesLateUnderAKeyThatOthersKnowStaysClosed() async throws {
    try await withVault { pool, vault, rotations in
      let things = try await Things(pool, vault, count: 3)
      let late = try await vault.sealer(site: things.site)
      let resealer = resealer(vault, rotations)
      let begun = try await rotations.rotate(site: things.site, KeyRotations.Request(isCompromised: true))
      let rotation = try await finish(begun, resealer, rotations)
      let blob = try late.seal(Self.text(9, 1), for: Self.context(9, site: things.site, generation: 1))
      try await pool.execute("INSERT INTO things VALUES (9, \(things.site), \(blob.bytes), \(blob.keyID), 1)")
      try await resealer.reopen()
      #expect(try await rotations.rotation(rotation.id).endedAt != nil)
      await #expect(throws: VaultError.unreadable) { try await things.isRight(9, by: vault) }
    }
  }

  @Test func theKeyOfTheHostsChanges() async throws {
    try await withVault([1, 2]) { pool, vault, rotations in
      let things = try await Things(pool, vault, count: 3)
      let others = try await Things(pool, vault, count: 3)
      let rotation = try await finish(rotations.rotateHostKey(), resealer(vault, rotations), rotations)
      #expect((rotation.oldKey, rotation.newKey, rotation.resealed) == (1, 2, 2))
      #expect(try await status(pool, 1, "kek") == "disabled")
      #expect(try await status(pool, 2, "kek") == "primary")
      // A host that ran all along wraps new keys with the new key.
      let newest = try await Things(pool, vault, count: 1)
      let wrappers = try await pool.query("SELECT DISTINCT wrapped_by FROM vault_keys WHERE purpose = 'dek'")
      #expect(try wrappers.map { try $0.get(0, as: Int64.self) } == [2])
      // The old key must stay until it is destroyed.
      await #expect(throws: VaultError.keyMissing(id: 1)) {
        try await Vault(pool: pool, keyring: Keyring(Self.setting([2])))
      }
      await #expect(throws: VaultRefusal.self) { try await rotations.destroy(hostKey: 2) }
      try await rotations.destroy(hostKey: 1)
      let later = try await Vault(pool: pool, keyring: Keyring(Self.setting([2])))
      for things in [things, others, newest] { #expect(try await things.isRight(0, by: later)) }
    }
  }

  @Test func aKeyThatAHostLacksIsNotUsed() async throws {
    try await withVault([1, 2]) { pool, vault, rotations in
      let old = try await Vault(pool: pool, keyring: Keyring(Self.setting([1])))
      try await KeyRotations(vault: old).report(UUID(), home: "/old")
      try await rotations.report(UUID(), home: "/new")
      let refusal = await #expect(throws: VaultRefusal.self) { try await rotations.rotateHostKey() }
      #expect(refusal?.code == "key_not_everywhere")
      #expect(refusal?.message.contains("/old") == true)
      #expect(try await status(pool, 1, "kek") == "primary")
      // A host that is gone holds nothing back.
      try await pool.execute("UPDATE vault_hosts SET seen_at = now() - interval '31 s' WHERE home = '/old'")
      #expect(try await rotations.rotateHostKey(to: 2).newKey == 2)
    }
  }

  @Test func aHostKeyThatOthersKnowTakesTheSitesKeysWithIt() async throws {
    try await withVault([1, 2]) { pool, vault, _ in
      let asked = Mutex<[Int64]>([])
      let rotations = KeyRotations(vault: vault) { site in
        asked.withLock { $0.append(site) }
        return []
      }
      let sites = [try await Things(pool, vault, count: 3), try await Things(pool, vault, count: 3)]
      let before = try await pool.query("SELECT id FROM vault_keys WHERE purpose = 'dek' ORDER BY id")
      let begun = try await rotations.rotateHostKey(to: nil, KeyRotations.Request(isCompromised: true))
      let resealer = resealer(vault, rotations)
      _ = try await finish(begun, resealer, rotations)
      while try await resealer.round() > 0 {}
      #expect(asked.withLock { $0.sorted() } == sites.map(\.site).sorted())
      for row in before {
        let key = Int64(try row.get(0, as: Int32.self))
        #expect(try await status(pool, key) == "disabled")
        for things in sites { #expect(try await things.left(key) == 0) }
      }
      for things in sites { #expect(try await things.isRight(1, by: vault)) }
    }
  }

  @Test func whatCanNotBeChangedIsRefused() async throws {
    try await withVault { pool, vault, rotations in
      func code(_ body: () async throws -> Void) async -> String? {
        await #expect(throws: VaultRefusal.self) { try await body() }?.code
      }
      let things = try await Things(pool, vault, count: 1)
      let empty: Int64 = try await pool.query("INSERT INTO sites (name) VALUES ('Empty') RETURNING id")[0].get(0)
      #expect(await code { _ = try await rotations.rotate(site: empty) } == "nothing_sealed")
      #expect(await code { _ = try await rotations.rotateHostKey() } == "no_such_key")
      #expect(await code { _ = try await rotations.rotateHostKey(to: 7) } == "no_such_key")
      #expect(await code { _ = try await rotations.rotateHostKey(to: 1) } == "key_in_use")
      #expect(await code { try await rotations.destroy(hostKey: 1) } == "key_in_use")
      #expect(await code { try await rotations.destroy(hostKey: 7) } == "no_such_key")
      _ = try await rotations.rotate(site: things.site)
      #expect(await code { _ = try await rotations.rotate(site: things.site) } == "rotation_running")
    }
  }
}
