package import AuditChain
package import Logging
package import Postgres
internal import Vault

/// What seals and checks the audit trail, for the host and for commands.
package struct HostAudit: Sendable {
  private let pool: Pool
  let keys: ChainKeys
  private let archive: HeadArchive

  init(_ vault: Vault, pool: Pool, folder: String) {
    self.pool = pool
    keys = ChainKeys(vault: vault)
    archive = HeadArchive(folder: folder)
  }

  /// For commands, which need the host's keys as the host does.
  package static func open(_ configuration: HostConfiguration, pool: Pool, logger: Logger) async throws -> HostAudit {
    let keyring = try await VaultKey.keyring(configuration, pool: pool, logger: logger)
    return HostAudit(try await Vault(pool: pool, keyring: keyring), pool: pool, folder: configuration.auditFolder)
  }

  func keeper(_ logger: Logger) -> AuditKeeper {
    AuditKeeper(
      sealer: AuditSealer(pool: pool, keys: keys),
      heads: HeadKeeper(pool: pool, keys: keys, archive: archive),
      logger: logger
    )
  }

  /// Looks through the whole trail.
  ///
  /// - Parameter progress: Told how many rows were seen, now and then.
  package func verify(progress: (Int64) -> Void = { _ in }) async throws -> AuditReport {
    let anchored = try await archive.read()
    return try await AuditVerifier(keys: keys).verify(pool, anchored: anchored, progress: progress)
  }

  /// Removes rows that are older, and leaves a signed checkpoint.
  func clean(olderThanDays days: Int) async throws {
    _ = try await AuditRetention(pool: pool, keys: keys).clean(olderThanDays: days)
  }
}
