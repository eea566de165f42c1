package import FoundationEssentials
package import Logging
package import Postgres

/// Brings the schema of a database up to the files of a directory.
///
/// Any number of programs may do so at once: one at a time holds the lock, the others find its work done.
package struct Migrator: Sendable {
  /// What is known of one migration.
  package struct Status: Hashable, Sendable {
    package let number: Int
    package let file: String
    /// When it was applied; nil while it is pending.
    package let appliedAt: Date?
    /// Whether the file differs from what was applied.
    package let isChanged: Bool
    /// Whether there is no file for what was applied.
    package let isMissing: Bool
  }

  private struct Applied {
    let number: Int
    let file: String
    let checksum: [UInt8]
    let appliedAt: Date
  }

  /// The key of the advisory lock: "rostrum" in ASCII.
  private static let lock: Int64 = 0x72_6F_73_74_72_75_6D

  package let migrations: [Migration]

  /// Reads the migrations of a directory.
  package init(directory: String) throws(MigrationError) {
    migrations = try Migration.load(from: directory)
  }

  /// Applies what is pending, each file in a transaction of its own, and returns the names of these files.
  ///
  /// - Throws: `MigrationError`, or `PostgresError` when the database cannot be reached.
  @discardableResult
  package func apply(_ session: Session, logger: Logger = .current) async throws -> [String] {
    var names: [String] = []
    while let name = try await applyNext(session) {
      names.append(name)
      logger.info("Applied a migration", ["file": .string(name)])
    }
    return names
  }

  /// Compares the files with what was applied, and changes nothing.
  package func status(_ session: Session) async throws -> [Status] {
    let exists = try await session.query("SELECT to_regclass('schema_migrations') IS NOT NULL")
    let applied: [Applied] =
      try exists.first?.get(0, as: Bool.self) == true
      ? Migrator.read(try await session.query(Migrator.list)) : []
    let files = migrations.map { migration in
      let match = applied.first { $0.number == migration.number }
      return Status(
        number: migration.number,
        file: migration.file,
        appliedAt: match?.appliedAt,
        isChanged: match.map { $0.checksum != migration.checksum } ?? false,
        isMissing: false
      )
    }
    let missing = applied.filter { $0.number > migrations.count }.map { applied in
      Status(
        number: applied.number,
        file: applied.file,
        appliedAt: applied.appliedAt,
        isChanged: false,
        isMissing: true
      )
    }
    return files + missing
  }

  /// Applies the first pending migration; returns nil when there is none.
  private func applyNext(_ session: Session) async throws -> String? {
    try await session.transaction { transaction in
      // A long migration is not a hanging statement.
      try await transaction.execute("SET LOCAL statement_timeout = 0")
      // Held until the end of this transaction, so a program that dies frees it.
      try await transaction.execute("SELECT pg_advisory_xact_lock(\(Migrator.lock))")
      try await transaction.execute(Migrator.table)
      let applied = try Migrator.read(try await transaction.query(Migrator.list))
      guard let next = try next(after: applied) else { return nil }
      try await run(next, in: transaction)
      return next.file
    }
  }

  private func run(_ migration: Migration, in transaction: Transaction) async throws {
    let number = try await Migrator.transactionNumber(transaction)
    do {
      try await transaction.execute(script: migration.script)
    } catch {
      throw Migrator.failure(of: migration, error)
    }
    guard try await Migrator.transactionNumber(transaction) == number else {
      throw MigrationError(.endedTransaction, "The migration \(migration.file) contains COMMIT or ROLLBACK")
    }
    try await transaction.execute(
      """
      INSERT INTO schema_migrations (number, file, checksum)
      VALUES (\(migration.number), \(migration.file), \(migration.checksum))
      """
    )
  }

  /// Checks what was applied against the files and returns the first file that is not applied.
  private func next(after applied: [Applied]) throws(MigrationError) -> Migration? {
    for (index, row) in applied.enumerated() {
      guard row.number == index + 1 else {
        throw MigrationError(.gap, "The database lacks migration \(index + 1) but has \(row.file)")
      }
      guard index < migrations.count else {
        throw MigrationError(
          .unknownMigration,
          "The database has the migration \(row.file), which this version does not know: use a newer version"
        )
      }
      guard row.checksum == migrations[index].checksum else {
        throw MigrationError(
          .changed,
          "The migration \(migrations[index].file) was changed after it had been applied: restore the file"
        )
      }
    }
    return applied.count < migrations.count ? migrations[applied.count] : nil
  }

  /// Names the file when the server refused it; other errors, such as a lost connection, stay what they are.
  private static func failure(of migration: Migration, _ error: PostgresError) -> any Error {
    guard case .server = error.code else { return error }
    return MigrationError(.failed, "The migration \(migration.file) failed and was rolled back: \(error)")
  }

  private static func transactionNumber(_ transaction: Transaction) async throws -> String {
    try await transaction.query("SELECT pg_current_xact_id()::text")[0].get(0)
  }

  private static func read(_ rows: [Row]) throws -> [Applied] {
    try rows.map { row in
      try Applied(number: row.get(0), file: row.get(1), checksum: row.get(2), appliedAt: row.get(3))
    }
  }

  private static let list: SQL = "SELECT number, file, checksum, applied_at FROM schema_migrations ORDER BY number"

  private static let table: SQL = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
      number int PRIMARY KEY,
      file text NOT NULL,
      checksum bytea NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT now()
    )
    """
}
