import FoundationEssentials
import Migrations
import Postgres
import TestSupport
import Testing

@Suite(.emptyDatabase) struct MigratorTests {
  private let folder: TemporaryFolder
  private let configuration: Configuration

  init() throws {
    folder = try TemporaryFolder()
    configuration = try TestDatabase.current.configuration
    try folder.write("CREATE TABLE a (id int);\nINSERT INTO a VALUES (1);", to: "0001_create_a.sql")
    try folder.write("CREATE TABLE b (id int);", to: "0002_create_b.sql")
  }

  private func apply() async throws -> [String] {
    let session = Session(configuration)
    do {
      let names = try await Migrator(directory: folder.path).apply(session)
      await session.close()
      return names
    } catch {
      await session.close()
      throw error
    }
  }

  private func expectError(_ code: MigrationError.Code, naming text: String) async {
    let error = await #expect(throws: MigrationError.self) { try await apply() }
    #expect(error?.code == code)
    #expect(error?.description.contains(text) == true)
  }

  @Test func appliesInOrderAndOnce() async throws {
    #expect(try await apply() == ["0001_create_a.sql", "0002_create_b.sql"])
    #expect(try await apply().isEmpty)
    try folder.write("INSERT INTO a SELECT 2;", to: "0003_fill_a.sql")
    #expect(try await apply() == ["0003_fill_a.sql"])
    let count: Int = try await Session(configuration).query("SELECT count(*) FROM a")[0][0]
    #expect(count == 2)
  }

  @Test func refusesAChangedFile() async throws {
    _ = try await apply()
    try folder.write("CREATE TABLE a (id bigint);", to: "0001_create_a.sql")
    await expectError(.changed, naming: "0001_create_a.sql")
  }

  @Test func refusesAGap() async throws {
    try folder.write("SELECT 1;", to: "0004_later.sql")
    await expectError(.gap, naming: "0004_later.sql")
  }

  @Test func refusesADatabaseThatIsNewer() async throws {
    _ = try await apply()
    try folder.remove("0002_create_b.sql")
    await expectError(.unknownMigration, naming: "0002_create_b.sql")
  }

  @Test(arguments: ["1_x.sql", "0003-x.sql", "0003_.sql", "0003_CreateX.sql", "x.sql"])
  func refusesOtherNames(name: String) async throws {
    try folder.write("SELECT 1;", to: name)
    await expectError(.badName, naming: name)
  }

  @Test func refusesTwoFilesWithOneNumber() async throws {
    try folder.write("SELECT 1;", to: "0002_other.sql")
    await expectError(.badName, naming: "0002_other.sql")
  }

  @Test func failingFileIsRolledBackAndNamed() async throws {
    try folder.write("CREATE TABLE c (id int); SELECT 1 / 0;", to: "0003_break.sql")
    await expectError(.failed, naming: "0003_break.sql")
    let session = Session(configuration)
    #expect(
      try await session.query("SELECT to_regclass('c') IS NULL AND to_regclass('b') IS NOT NULL")[0].get(
        0,
        as: Bool.self
      )
    )
    #expect(try await session.query("SELECT * FROM schema_migrations").count == 2)
  }

  @Test func refusesAFileThatCommits() async throws {
    try folder.write("CREATE TABLE c (id int); COMMIT; BEGIN; SELECT 1;", to: "0003_commit.sql")
    await expectError(.endedTransaction, naming: "0003_commit.sql")
    try folder.write("CREATE TABLE d (id int); COMMIT;", to: "0003_commit.sql")
    await expectError(.endedTransaction, naming: "0003_commit.sql")
  }

  @Test func manyMigratorsAtOnceApplyEachFileOnce() async throws {
    let applied = try await withThrowingTaskGroup(of: [String].self) { group in
      for _ in 0..<6 {
        group.addTask { try await apply() }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    #expect(applied.sorted() == ["0001_create_a.sql", "0002_create_b.sql"])
  }

  @Test func statusTellsPendingChangedAndMissing() async throws {
    let session = Session(configuration)
    let before = try await Migrator(directory: folder.path).status(session)
    #expect(before.map(\.file) == ["0001_create_a.sql", "0002_create_b.sql"])
    #expect(before.allSatisfy { $0.appliedAt == nil && !$0.isChanged && !$0.isMissing })
    _ = try await apply()
    try folder.write("CREATE TABLE a (id bigint);", to: "0001_create_a.sql")
    try folder.remove("0002_create_b.sql")
    let after = try await Migrator(directory: folder.path).status(session)
    #expect(after.map(\.isChanged) == [true, false])
    #expect(after.map(\.isMissing) == [false, true])
    #expect(after.allSatisfy { $0.appliedAt != nil })
  }
}

@Suite(.database) struct SchemaTests {
  @Test func testDatabasesHaveEveryMigration() async throws {
    let session = Session(try TestDatabase.current.configuration)
    let status = try await Migrator(directory: TestDatabase.migrationsFolder).status(session)
    #expect(!status.isEmpty)
    #expect(status.allSatisfy { $0.appliedAt != nil && !$0.isChanged })
  }

  @Test func everySiteScopedTableHasRowLevelSecurity() async throws {
    let session = Session(try TestDatabase.current.configuration)
    let open = try await session.query(
      """
      SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
      WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
        AND a.attname = 'site_id' AND NOT a.attisdropped AND NOT c.relrowsecurity
      """
    )
    let names: [String] = try open.map { try $0[0] }
    #expect(names.isEmpty, "These tables have a site_id and no row-level security")
  }
}
