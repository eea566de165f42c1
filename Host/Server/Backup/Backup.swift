package import Cryptography
internal import Dispatch
internal import FoundationEssentials
internal import Glibc
internal import JSONDocument
package import Logging
internal import Postgres

/// Writes a back-up of a host that may run meanwhile.
///
/// The database is dumped by `pg_dump`: one consistent snapshot, from a private or a foreign server, for any later version
/// of PostgreSQL, and without rights of replication. The files of media are copied after it, so that every file that the
/// dump names is there.
package struct Backup: Sendable {
  /// What was written.
  package struct Report: Sendable, Equatable {
    package let path: String
    package let files: Int
    package let holdsKey: Bool
  }

  private let configuration: HostConfiguration
  private let logger: Logger

  package init(_ configuration: HostConfiguration, logger: Logger) {
    self.configuration = configuration
    self.logger = logger
  }

  /// - Parameters:
  ///   - target: A folder that does not exist yet; it appears when it is complete.
  ///   - passphrase: Seals the key of the credentials into the back-up; nil leaves the key out.
  /// - Throws: ``StartError`` with what is wrong; then nothing is left behind.
  package func write(to target: String, passphrase: Secret?) async throws -> Report {
    let path = target.hasPrefix("/") ? target : FileManager.default.currentDirectoryPath + "/" + target
    guard !FileManager.default.fileExists(atPath: path) else {
      throw StartError("\(path) exists; name a folder that does not exist yet")
    }
    let sealedKey = try passphrase.map { try SealedKey.seal(try key(), with: $0).text() }
    let folder = BackupFolder(path: path + ".unfinished")
    if FileManager.default.fileExists(atPath: folder.path) { try FileManager.default.removeItem(atPath: folder.path) }
    try FileManager.default.createDirectory(
      atPath: folder.path,
      withIntermediateDirectories: true,
      attributes: [.posixPermissions: 0o700]
    )
    do {
      let report = try await write(folder, sealedKey: sealedKey, as: path)
      guard unsafe rename(folder.path, path) == 0 else {
        throw StartError("\(path) can not be made (error \(errno))")
      }
      return report
    } catch {
      orLog("Removing an unfinished back-up", logger) { try FileManager.default.removeItem(atPath: folder.path) }
      throw error
    }
  }

  private func write(_ folder: BackupFolder, sealedKey: String?, as path: String) async throws -> Report {
    let (installation, postgres) = try await HostDatabase.using(configuration, logger: logger) { database in
      let (id, version) = try await database.withSession(logger) { session in
        let rows = try await session.query("SELECT id FROM installation")
        guard let id: UUID = try rows.first?.get("id") else { throw StartError("The database is not set up yet") }
        return (id.uuidString.lowercased(), try await DatabaseTool.version(session))
      }
      let tool = try await DatabaseTool(configuration, database: database.direct, version: version)
      try await tool.run(
        "pg_dump",
        ["--format=custom", "--no-owner", "--no-password", "--file=\(folder.database)"]
      )
      return (id, version)
    }
    let (media, spool) = (configuration.media, configuration.spoolFile)
    let files = try await onDisk {
      // Outcomes that wait for the database are evidence of what is public.
      if FileManager.default.fileExists(atPath: spool) {
        try FileManager.default.copyItem(atPath: spool, toPath: folder.outcomes)
      }
      return try BackupFolder.copyMedia(from: media, to: folder.media)
    }
    try BackupFolder.write(configuration.settingsText, to: folder.settings)
    if let sealedKey { try BackupFolder.write(sealedKey, to: folder.key) }
    let document = BackupFolder.Document(
      version: Host.version,
      createdAt: RFC3339.format(Date()),
      installation: installation,
      postgres: postgres,
      files: files,
      holdsKey: sealedKey != nil
    )
    try BackupFolder.write(document.json.text(), to: folder.document)
    try await onDisk { BackupFolder.sync() }
    return Report(path: path, files: files, holdsKey: sealedKey != nil)
  }

  private func key() throws -> Secret {
    if let secret = configuration.encryptionKey { return secret }
    guard let data = FileManager.default.contents(atPath: configuration.keyFile) else {
      throw StartError("There is no key \(configuration.keyFile) to put into the back-up")
    }
    return Secret([UInt8](data))
  }
}

/// Runs blocking work on files on a queue of its own.
func onDisk<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    DispatchQueue(label: "rostrum.backup").async { continuation.resume(with: Result(catching: work)) }
  }
}
