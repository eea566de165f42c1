import Cryptography
import Postgres
import TestSupport
import Testing

@testable import Vault

/// The key of the audit trail under the keys of the hosts, and the age of keys.
@Suite(.database) struct AuditKeyTests {
  private static func keyring(_ ids: [UInt8]) throws -> Keyring {
    let entries = ids.map { "\($0):\(Base64.encode([UInt8](repeating: $0, count: 32)))" }
    return try Keyring(Secret(entries.joined(separator: ",")))
  }

  private func with(_ body: (Pool, Vault, KeyRotations, Resealer) async throws -> Void) async throws {
    try await TestDatabase.current.withPool { pool in
      let vault = try await Vault(pool: pool, keyring: Self.keyring([1, 2]))
      let rotations = KeyRotations(vault: vault)
      try await body(pool, vault, rotations, Resealer(vault: vault, rotations: rotations, columns: [], settling: .zero))
    }
  }

  @Test func oneKeyForAllHostsIsMadeOnce() async throws {
    try await with { pool, vault, _, _ in
      let others = try await Vault(pool: pool, keyring: Self.keyring([1, 2]))
      let numbers = try await withThrowingTaskGroup(of: Int64.self) { group in
        for index in 0..<8 { group.addTask { try await (index % 2 == 0 ? vault : others).primaryAuditKey() } }
        return try await group.reduce(into: Set<Int64>()) { $0.insert($1) }
      }
      let number = try #require(numbers.first)
      #expect(numbers.count == 1)
      #expect(try await vault.auditKey(number).secret == others.auditKey(number).secret)
      await #expect(throws: VaultError.unreadable) { try await vault.auditKey(number + 1) }
    }
  }

  @Test func itFollowsTheKeyOfTheHosts() async throws {
    try await with { pool, vault, rotations, resealer in
      let number = try await vault.primaryAuditKey()
      let secret = try await vault.auditKey(number).secret
      _ = try await rotations.rotateHostKey()
      while try await resealer.round() > 0 {}
      #expect(try await vault.primaryAuditKey() == number)
      try await rotations.destroy(hostKey: 1)
      let later = try await Vault(pool: pool, keyring: Self.keyring([2]))
      #expect(try await later.auditKey(number).secret == secret)
    }
  }

  /// Where others know the key of the hosts, the trail goes on under another key; the old one still checks old rows.
  @Test func itChangesWhenOthersMayKnowIt() async throws {
    try await with { _, vault, rotations, resealer in
      let old = try await vault.primaryAuditKey()
      let secret = try await vault.auditKey(old).secret
      _ = try await rotations.rotateHostKey(KeyRotations.Request(isCompromised: true))
      while try await resealer.round() > 0 {}
      let new = try await vault.primaryAuditKey()
      #expect(new != old)
      #expect(try await vault.auditKey(old).secret == secret)
      #expect(try await vault.auditKey(new).secret != secret)
    }
  }

  /// A key can not be put in the place of another one.
  @Test func keysOfTheTrailAndOfSitesAreDifferentThings() async throws {
    try await with { pool, vault, _, _ in
      let number = try await vault.primaryAuditKey()
      let site: Int64 = try await pool.query("INSERT INTO sites (name) VALUES ('Site') RETURNING id")[0].get(0)
      _ = try await vault.sealer(site: site)
      try await pool.execute(
        """
        UPDATE vault_keys a SET wrapped = d.wrapped, kcv = d.kcv FROM vault_keys d
        WHERE a.id = \(number) AND d.purpose = 'dek'
        """
      )
      await #expect(throws: VaultError.unreadable) { try await vault.auditKey(number) }
    }
  }

  @Test func keysGrowOld() async throws {
    try await with { pool, vault, rotations, _ in
      let site: Int64 = try await pool.query("INSERT INTO sites (name) VALUES ('Site') RETURNING id")[0].get(0)
      _ = try await vault.sealer(site: site)
      _ = try await vault.primaryAuditKey()
      let young = try await rotations.status()
      #expect(young.hostKeys.map(\.isOld) == [false, false] && young.oldDataKeys == 0)
      try await pool.execute(
        "UPDATE vault_keys SET created_at = now() - interval '91 days', activated_at = now() - interval '90.5 days'"
      )
      let old = try await rotations.status()
      // The one that waits seals nothing.
      #expect(old.hostKeys.map(\.isOld) == [true, false])
      #expect(old.hostKeys.first?.ageDays == 90)
      #expect(old.oldDataKeys == 1)
    }
  }
}
