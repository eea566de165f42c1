import Postgres
import TestSupport
import Testing

@Suite(.emptyDatabase) struct ScopeTests {
  /// Makes a table that the confined role sees one site of.
  private func makeSession() async throws -> Session {
    let session = Session(try TestDatabase.current.configuration)
    try await session.execute(
      script: """
        DO $$ BEGIN CREATE ROLE rostrum_api NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
        CREATE TABLE notes (site_id bigint, note text UNIQUE);
        ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
        CREATE POLICY site ON notes TO rostrum_api USING (site_id = current_setting('app.site_id')::bigint);
        GRANT SELECT, INSERT ON notes TO rostrum_api;
        INSERT INTO notes VALUES (1, 'one'), (2, 'two'), (2, 'three');
        """
    )
    return session
  }

  @Test func siteSeesItsOwnRows() async throws {
    let session = try await makeSession()
    #expect(try await session.query("SELECT * FROM notes", scope: .site(1)).count == 1)
    #expect(try await session.query("SELECT * FROM notes", scope: .site(2)).count == 2)
    #expect(try await session.query("SELECT * FROM notes").count == 3)
  }

  @Test func scopeEndsWithTheBatch() async throws {
    let session = try await makeSession()
    _ = try await session.query("SELECT 1", scope: .site(1))
    let row = try await session.query(
      "SELECT current_user::text <> 'rostrum_api', current_setting('app.site_id', true)"
    )[0]
    #expect(try row.get(0, as: Bool.self))
    #expect(try row.get(1, as: String?.self).map(\.isEmpty) ?? true)
  }

  @Test func scopeEndsAfterAnError() async throws {
    let session = try await makeSession()
    await #expect(throws: PostgresError.self) {
      try await session.batch(["SELECT 1", "SELECT 1 / 0"], scope: .site(1))
    }
    #expect(try await session.query("SELECT * FROM notes").count == 3)
  }

  @Test func foreignRowsCannotBeWritten() async throws {
    let session = try await makeSession()
    let error = await #expect(throws: PostgresError.self) {
      try await session.execute("INSERT INTO notes VALUES (2, 'x')", scope: .site(1))
    }
    #expect(error?.sqlState == "42501")
    let other = await #expect(throws: PostgresError.self) {
      try await session.execute("DELETE FROM notes", scope: .site(1))
    }
    #expect(other?.sqlState == "42501")
  }

  @Test func errorIndexesIgnoreTheScopesOwnStatement() async throws {
    let session = try await makeSession()
    let error = await #expect(throws: PostgresError.self) {
      try await session.batch(["SELECT 1", "SELECT * FROM nowhere"], scope: .site(1))
    }
    #expect(error?.statementIndex == 1)
  }

  @Test func transactionsKeepTheirScope() async throws {
    let session = try await makeSession()
    let counts = try await session.transaction(scope: .site(2)) { transaction in
      let first = try await transaction.query("SELECT * FROM notes").count
      try await transaction.execute("INSERT INTO notes VALUES (2, 'four')")
      return (first, try await transaction.query("SELECT * FROM notes").count)
    }
    #expect(counts == (2, 3))
    #expect(try await session.query("SELECT * FROM notes").count == 4)
  }
}
