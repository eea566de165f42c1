import Audit
import Foundation
import Postgres
import TestSupport
import Testing
import Vault

@testable import AuditChain

@Suite(.database) struct AuditSealerTests {
  @Test func anEmptyTrailIsIntact() async throws {
    try await ChainFixture.run { fixture in
      try await fixture.seal()
      let report = try await fixture.report()
      #expect(report.isIntact && report.rows == 0 && report.heads == 0)
    }
  }

  @Test func rowsGetNumbersWithoutGapsAndHeadsAreKept() async throws {
    try await ChainFixture.run { fixture in
      try await fixture.write(250)
      try await fixture.seal(headEvery: 100, batch: 60)
      #expect(try await fixture.number("SELECT count(*) FROM audit_logs WHERE seq IS NULL") == 0)
      #expect(try await fixture.number("SELECT max(seq) FROM audit_logs") == 250)
      // The first rows at once, then after at least a hundred more.
      let heads = try await fixture.pool.query("SELECT seq FROM audit_heads ORDER BY seq").map {
        try $0.get(0, as: Int64.self)
      }
      #expect(heads == [60, 180])
      #expect(try await fixture.keeper().round() == 0)
      let report = try await fixture.report()
      #expect(report.problems == [])
      #expect((report.rows, report.last, report.heads, report.anchored, report.unsealed) == (250, 250, 2, 2, 0))

      try await fixture.write(5, from: 251)
      #expect(try await fixture.report().unsealed == 5)
      try await fixture.seal(headEvery: 100)
      #expect(try await fixture.report().last == 255)
      #expect(try await fixture.report().problems == [])
    }
  }

  /// A row that is written early and comes late is sealed behind nothing that began after it.
  @Test func rowsWaitForOlderTransactions() async throws {
    try await ChainFixture.run { fixture in
      let session = Session(try TestDatabase.current.configuration)
      try await session.connect()
      try await session.execute(script: "BEGIN")
      try await session.execute(script: "INSERT INTO audit_logs (action, subject) VALUES ('site.create', 'early')")
      try await fixture.write(3)
      try await fixture.sealer().round()
      #expect(try await fixture.number("SELECT count(*) FROM audit_logs WHERE seq IS NOT NULL") == 0)
      try await session.execute(script: "COMMIT")
      await session.close()
      try await fixture.seal()
      #expect(try await fixture.number("SELECT seq FROM audit_logs WHERE subject = 'early'") == 1)
      #expect(try await fixture.report().last == 4)
    }
  }

  /// After a restore into another server, transactions count from the beginning.
  @Test func rowsOfAnotherServerAreSealed() async throws {
    try await ChainFixture.run { fixture in
      try await fixture.pool.execute(
        "INSERT INTO audit_logs (action, subject, xid) VALUES ('site.create', 'other', '9000000000'::xid8)"
      )
      try await fixture.write(2)
      try await fixture.seal()
      #expect(try await fixture.report().last == 3)
      #expect(try await fixture.report().isIntact)
    }
  }

  @Test func severalHostsMakeOneChain() async throws {
    try await ChainFixture.run { fixture in
      try await fixture.write(600)
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<3 {
          group.addTask {
            let sealer = fixture.sealer(headEvery: 50, batch: 20)
            await #expect(throws: Never.self) { try await sealer.round() }
          }
        }
      }
      try await fixture.seal()
      let report = try await fixture.report()
      #expect(report.problems == [])
      #expect(report.last == 600)
    }
  }

  /// Old rows stay checkable when the key of the hosts changes, and when the key of the trail does.
  @Test func keysChange() async throws {
    try await ChainFixture.run { fixture in
      try await fixture.write(5)
      try await fixture.seal()
      try await fixture.pool.execute(
        "UPDATE vault_keys SET status = 'decrypt_only' WHERE purpose = 'audit' AND status = 'primary'"
      )
      try await fixture.write(5, from: 6)
      try await fixture.seal()
      #expect(try await fixture.number("SELECT count(DISTINCT mac_key) FROM audit_logs") == 2)
      let report = try await AuditVerifier(keys: ChainKeys(vault: fixture.vault)).verify(
        fixture.pool,
        anchored: HeadArchive.Content()
      )
      #expect(report.problems == [] && report.last == 10)
      let contexts = [SealContext.auditKey(id: 1), .dataKey(id: 1, site: 1)]
      #expect(contexts[0] != contexts[1])
    }
  }

  @Test func removedRowsLeaveACheckpoint() async throws {
    try await ChainFixture.run { fixture in
      try await fixture.write(30)
      try await fixture.pool.execute(
        """
        INSERT INTO audit_logs (action, subject, created_at)
        SELECT 'site.create', 'new', now() FROM generate_series(1, 5)
        """
      )
      try await fixture.pool.transaction { tx in
        // Before they are sealed rows can still be dated by a superuser.
        try await tx.execute("SET LOCAL session_replication_role = replica")
        try await tx.execute("UPDATE audit_logs SET created_at = now() - interval '400 days' WHERE subject <> 'new'")
      }
      try await fixture.seal()
      _ = try await fixture.keeper().round()
      let retention = AuditRetention(pool: fixture.pool, keys: fixture.keys, piece: 12)
      #expect(try await retention.clean(olderThanDays: 365) == 30)
      #expect(try await retention.clean(olderThanDays: 365) == 0)
      try await fixture.seal()
      let report = try await fixture.report()
      #expect(report.problems == [])
      #expect((report.checkpoint, report.rows, report.last) == (30, 6, 36))
      #expect(try await fixture.number("SELECT count(*) FROM audit_logs WHERE action = 'audit.prune'") == 1)

      // Without the signed checkpoint the same would be a hole.
      try await fixture.pool.transaction { tx in
        try await tx.execute("SET LOCAL session_replication_role = replica")
        try await tx.execute("DELETE FROM audit_heads WHERE is_checkpoint")
      }
      #expect(try await fixture.report().problems.first?.kind == .missing)
      #expect(try await fixture.report().problems.first?.seq == 1)
    }
  }

  @Test func nothingIsRemovedFromABrokenTrail() async throws {
    try await ChainFixture.run { fixture in
      try await fixture.write(10)
      try await fixture.seal()
      try await fixture.pool.transaction { tx in
        try await tx.execute("SET LOCAL session_replication_role = replica")
        try await tx.execute("UPDATE audit_logs SET created_at = now() - interval '400 days'")
      }
      await #expect(throws: AuditError.self) {
        try await AuditRetention(pool: fixture.pool, keys: fixture.keys).clean(olderThanDays: 365)
      }
      #expect(try await fixture.number("SELECT count(*) FROM audit_logs") == 10)
    }
  }

  @Test func tornAndDamagedLinesOfHeads() async throws {
    try await ChainFixture.run { fixture in
      try await fixture.write(3)
      try await fixture.seal(headEvery: 1)
      _ = try await fixture.keeper().round()
      let path = fixture.folder + "/heads.jsonl"
      let whole = try String(contentsOfFile: path, encoding: .utf8)
      // A crash cut a line off; the next head takes its place.
      try (whole + #"{"v":1,"ki"#).write(toFile: path, atomically: false, encoding: .utf8)
      #expect(try await fixture.report().problems == [])
      try await fixture.write(2, from: 4)
      try await fixture.seal(headEvery: 1)
      _ = try await fixture.keeper().round()
      let report = try await fixture.report()
      #expect(report.problems == [] && report.anchored == 2)
      // A whole line that is no head was changed by somebody.
      try ("{}\n" + whole).write(toFile: path, atomically: false, encoding: .utf8)
      #expect(try await fixture.report().problems.map(\.kind) == [.head])
    }
  }

  /// A host that knows of rows which the database lacks says so.
  @Test func aDatabaseThatLostRowsIsNoticed() async throws {
    try await ChainFixture.run { fixture in
      try await fixture.write(8)
      try await fixture.seal()
      let keeper = fixture.keeper()
      #expect(try await keeper.round() == 0)
      try await fixture.pool.transaction { tx in
        try await tx.execute("SET LOCAL session_replication_role = replica")
        try await tx.execute("DELETE FROM audit_logs WHERE seq > 5")
        try await tx.execute("UPDATE audit_state s SET seq = 5, hash = a.hash FROM audit_logs a WHERE a.seq = 5")
        try await tx.execute("DELETE FROM audit_heads")
      }
      #expect(try await keeper.round() == 3)
      #expect(try await fixture.keeper().round() == 3)
      let problem = try #require(try await fixture.report().problems.first)
      #expect((problem.seq, problem.kind) == (6, .truncated))
    }
  }
}
