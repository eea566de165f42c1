package import Cryptography
internal import FoundationEssentials
internal import JSONDocument
package import Logging
internal import Migrations
internal import Postgres
internal import Publishing

/// Brings a back-up into an empty home. The host then starts on hold: what it published after the back-up is missing.
package struct Restore: Sendable {
  /// What was restored.
  package struct Report: Sendable, Equatable {
    package let createdAt: String
    package let files: Int
    /// Whether the key of the credentials came along.
    package let hasKey: Bool
  }

  private let configuration: HostConfiguration
  private let logger: Logger

  /// What a home may hold and still count as empty.
  private static let harmless: Set<String> = ["lock"]

  package init(_ configuration: HostConfiguration, logger: Logger) {
    self.configuration = configuration
    self.logger = logger
  }

  /// - Parameter passphrase: Opens the key in the back-up; nil leaves it there.
  /// - Throws: ``StartError`` when the home, the folder of media or the database is not empty, or the back-up is not whole.
  package func read(from source: String, passphrase: Secret?) async throws -> Report {
    let path = source.hasPrefix("/") ? source : FileManager.default.currentDirectoryPath + "/" + source
    let folder = BackupFolder(path: path)
    let document = try folder.read()
    let key = try passphrase.map { try self.key(folder, with: $0) }
    try checkHome()
    try await HostDatabase.using(configuration, logger: logger) { database in
      try await restore(folder, into: database, document)
    }
    let (media, spool) = (configuration.media, configuration.spoolFile)
    let files = try await onDisk {
      if FileManager.default.fileExists(atPath: folder.outcomes) {
        try FileManager.default.copyItem(atPath: folder.outcomes, toPath: spool)
      }
      return try BackupFolder.copyMedia(from: folder.media, to: media)
    }
    guard files == document.files else {
      throw StartError("The back-up holds \(files) files of media instead of \(document.files)")
    }
    if let key { try BackupFolder.write(key.revealText() ?? "", to: configuration.keyFile) }
    try await onDisk { BackupFolder.sync() }
    return Report(createdAt: document.createdAt, files: files, hasKey: key != nil || configuration.encryptionKey != nil)
  }

  private func checkHome() throws {
    for place in Set([configuration.home, configuration.media]) where FileManager.default.fileExists(atPath: place) {
      let names = try FileManager.default.contentsOfDirectory(atPath: place).filter { !Self.harmless.contains($0) }
      if let name = names.min() {
        throw StartError("\(place) is not empty (\(name)); a back-up goes into an empty home only")
      }
    }
  }

  private func key(_ folder: BackupFolder, with passphrase: Secret) throws -> Secret {
    guard let data = FileManager.default.contents(atPath: folder.key) else {
      throw StartError("The back-up holds no key; put it into \(configuration.keyFile) from where you keep it")
    }
    return try SealedKey.open(try JSONValue.parse([UInt8](data)), with: passphrase)
  }

  private func restore(
    _ folder: BackupFolder,
    into database: HostDatabase,
    _ document: BackupFolder.Document
  ) async throws {
    let version = try await database.withSession(logger) { session in
      let rows = try await session.query(
        "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')"
      )
      guard try rows.first?.get(0, as: Int64.self) == 0 else {
        throw StartError("\(database.direct) holds tables; a back-up goes into an empty database only")
      }
      // Roles belong to the server and stand in no dump.
      try await session.execute(script: Self.role)
      return try await DatabaseTool.version(session)
    }
    guard version >= document.postgres else {
      throw StartError("The back-up is of PostgreSQL \(document.postgres), the server here is older: \(version)")
    }
    let tool = try await DatabaseTool(configuration, database: database.direct, version: version)
    try await tool.run(
      "pg_restore",
      [
        "--no-owner", "--no-password", "--exit-on-error", "--single-transaction",
        "--dbname=\(database.direct.toolEnvironment["PGDATABASE"] ?? "")", folder.database,
      ]
    )
    try await database.migrate(configuration.migrations, logger: logger)
    let pool = Pool(database.direct, size: 1, logger: logger)
    do {
      let rows = try await pool.query("SELECT max(marked_at) AS at FROM node_marks")
      let createdAt = RFC3339.parse(document.createdAt)
      try await HoldStore(pool: pool).begin(
        .copied,
        reason: "The database was restored from the back-up of \(document.createdAt). What hosts published later is "
          + "missing in it.",
        home: configuration.home,
        knownUntil: try rows.first?.get("at") ?? createdAt
      )
    } catch {
      await pool.close()
      throw error
    }
    await pool.close()
  }

  private static let role = """
    DO $$ BEGIN
      CREATE ROLE rostrum_api NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END $$;
    DO $$ BEGIN
      EXECUTE format('GRANT rostrum_api TO %I', current_user);
    END $$;
    """
}
