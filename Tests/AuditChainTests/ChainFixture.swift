import Audit
import Cryptography
import Foundation
import Postgres
import TestSupport
import Testing
import Vault

@testable import AuditChain

/// A trail with some rows, and what looks at it.
struct ChainFixture {
  let pool: Pool
  let vault: Vault
  let keys: ChainKeys
  let folder: String
  let archive: HeadArchive
  let site: Int64
  let user: Int64

  static func run(_ body: (ChainFixture) async throws -> Void) async throws {
    let folder = NSTemporaryDirectory() + "rostrum-audit-\(UUID().uuidString)"
    try await TestDatabase.current.withPool { pool in
      let keyring = try Keyring(Secret(String(repeating: "ab", count: 32)))
      let vault = try await Vault(pool: pool, keyring: keyring)
      let fixture = ChainFixture(
        pool: pool,
        vault: vault,
        keys: ChainKeys(vault: vault),
        folder: folder,
        archive: HeadArchive(folder: folder),
        site: try await pool.query("INSERT INTO sites (name) VALUES ('Site') RETURNING id")[0].get(0),
        user: try await pool.query("INSERT INTO users (email, name) VALUES ('a@b.c', 'Ada') RETURNING id")[0].get(0)
      )
      try await body(fixture)
    }
    // What could not be removed lies in the folder for temporary files.
    try? FileManager.default.removeItem(atPath: folder)
  }

  func sealer(headEvery rows: Int64 = 1_000, batch: Int = 2_000) -> AuditSealer {
    var policy = AuditSealer.HeadPolicy()
    policy.rows = rows
    return AuditSealer(pool: pool, keys: keys, policy: policy, batch: batch)
  }

  /// Waits until no transaction of any other test holds rows back.
  func settle() async throws {
    let held: SQL = "SELECT count(*) FROM audit_logs a WHERE a.seq IS NULL AND NOT \(fragment: AuditSealer.isSettled)"
    while try await number(held) > 0 { await Task.yield() }
  }

  /// Seals until every row is: a transaction of any other test holds rows back.
  func seal(headEvery rows: Int64 = 1_000, batch: Int = 2_000) async throws {
    let sealer = sealer(headEvery: rows, batch: batch)
    repeat {
      try await sealer.round()
      await Task.yield()
    } while try await number("SELECT count(*) FROM audit_logs WHERE seq IS NULL") > 0
    // A head that is due on its own.
    try await sealer.round()
  }

  /// Writes rows of all shapes.
  func write(_ count: Int, from first: Int = 1) async throws {
    for start in stride(from: first, to: first + count, by: 500) {
      try await pool.batch(
        (start..<min(start + 500, first + count)).map { index in
          AuditEntry(
            index.isMultiple(of: 3) ? .credentialUse : .postUpdate,
            "post:\(index)",
            site: index.isMultiple(of: 4) ? nil : site,
            user: index.isMultiple(of: 2) ? user : nil,
            details: index.isMultiple(of: 5) ? nil : "jsonb_build_object('n', \(Int64(index))::bigint, 'ü', 1.50)",
            address: index.isMultiple(of: 7) ? nil : "192.0.2.1",
            userAgent: index.isMultiple(of: 6) ? "" : "test"
          ).insertion
        }
      )
    }
  }

  func keeper() -> HeadKeeper { HeadKeeper(pool: pool, keys: keys, archive: archive) }

  func report() async throws -> AuditReport {
    try await AuditVerifier(keys: keys).verify(pool, anchored: try await archive.read())
  }

  func number(_ statement: SQL) async throws -> Int64 { try await pool.query(statement)[0].get(0) }
}
