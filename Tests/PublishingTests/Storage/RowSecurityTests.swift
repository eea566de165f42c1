import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// The API's role sees one site and nothing else.
@Suite(.database) struct RowSecurityTests {
  private func tables(_ pool: Pool) async throws -> [String] {
    try await pool.query(
      """
      SELECT c.relname::text FROM pg_class c
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'site_id' AND NOT a.attisdropped
      WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') ORDER BY 1
      """
    ).map { try $0.get(0) }
  }

  @Test func everyTableOfASiteIsSecured() async throws {
    try await TestDatabase.current.withPool { pool in
      let open: [String] = try await pool.query(
        """
        SELECT c.relname::text FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'site_id' AND NOT a.attisdropped
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
          AND (NOT c.relispartition OR has_table_privilege('rostrum_api', c.oid, 'SELECT,INSERT,UPDATE,DELETE'))
        ORDER BY 1
        """
      ).map { try $0.get(0) }
      #expect(open.isEmpty)
      #expect(try await tables(pool).count > 20)
    }
  }

  @Test func theCheckSeesATableWithoutSecurity() async throws {
    try await TestDatabase.current.withPool { pool in
      try await pool.execute("CREATE TABLE forgotten (site_id bigint)")
      let open = try await pool.query(
        "SELECT FROM pg_class WHERE relname = 'forgotten' AND relkind = 'r' AND NOT relrowsecurity"
      )
      #expect(open.count == 1)
      #expect(try await tables(pool).contains("forgotten"))
    }
  }

  @Test func viewsRunWithTheRightsOfTheCaller() async throws {
    try await TestDatabase.current.withPool { pool in
      let wrong: [String] = try await pool.query(
        """
        SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace
          AND c.relkind = 'v' AND NOT coalesce(c.reloptions::text LIKE '%security_invoker=true%', false)
        """
      ).map { try $0.get(0) }
      #expect(wrong.isEmpty)
    }
  }

  @Test func aSiteSeesNothingOfAnother() async throws {
    try await PublishingFixture.run(#"get me me; http upload up '{}'; http post post '{"text":"a"}'; ok 1"#) {
      fixture in
      let sent = try await fixture.dispatch("sent")
      try await fixture.drive()
      #expect(try await fixture.delivery(sent).state == .sent)
      _ = try await fixture.dispatch("waits", scheduledFor: Date().addingTimeInterval(3600))
      let other = try await PublishingFixture.makeSite(fixture.pool)
      var seen = 0
      for table in try await tables(fixture.pool) {
        let readable: Bool = try await fixture.pool.query(
          "SELECT has_column_privilege('rostrum_api', \(table)::regclass, 'site_id', 'SELECT')"
        )[0].get(0)
        guard readable else { continue }
        let sql: SQL = "SELECT count(*) FROM \(identifier: table) WHERE site_id <> \(other)"
        let foreign: Int = try await fixture.pool.query(sql, scope: .site(other))[0].get(0)
        #expect(foreign == 0, "\(table)")
        let own: Int = try await fixture.pool.query(
          "SELECT count(*) FROM \(identifier: table) WHERE site_id = \(fixture.site)",
          scope: .site(fixture.site)
        )[0].get(0)
        if own > 0 { seen += 1 }
      }
      // The test would prove nothing if there were nothing to see.
      #expect(seen > 10)
      for view in ["delivery_states", "distribution_logs", "job_states"] {
        let sql: SQL = "SELECT count(*) FROM \(identifier: view)"
        #expect(try await fixture.pool.query(sql, scope: .site(other))[0].get(0, as: Int.self) == 0)
      }
    }
  }

  @Test func aSiteChangesNothingOfAnother() async throws {
    try await PublishingFixture.run { fixture in
      let post = try await fixture.makePost()
      let other = try await PublishingFixture.makeSite(fixture.pool)
      let scope = Scope.site(other)
      #expect(
        try await fixture.pool.execute("UPDATE posts SET deleted_at = now() WHERE id = \(post)", scope: scope) == 0
      )
      #expect(
        try await fixture.pool.execute("UPDATE sites SET name = 'x' WHERE id = \(fixture.site)", scope: scope) == 0
      )
      await #expect(throws: PostgresError.self) {
        try await fixture.pool.execute("INSERT INTO posts (site_id) VALUES (\(fixture.site))", scope: scope)
      }
      await #expect(throws: PostgresError.self) {
        try await fixture.pool.execute("UPDATE deliveries SET ended_as = 'sent'", scope: scope)
      }
    }
  }

  @Test func credentialsAreOutOfReach() async throws {
    try await PublishingFixture.run { fixture in
      for sql in [
        "SELECT sealed_credentials FROM platform_connections", "SELECT * FROM platform_connections",
        "SELECT token_hash FROM api_tokens", "SELECT wrapped FROM vault_keys", "SELECT * FROM users",
      ] as [SQL] {
        await #expect(throws: PostgresError.self) { try await fixture.pool.query(sql, scope: .site(fixture.site)) }
      }
    }
  }

  @Test func withoutASiteThereIsNothing() async throws {
    try await PublishingFixture.run { fixture in
      _ = try await fixture.makePost()
      #expect(try await fixture.pool.query("SELECT id FROM posts", scope: .site(0)).isEmpty)
    }
  }
}
