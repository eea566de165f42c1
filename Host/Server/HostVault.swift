internal import Connecting
internal import Identity
package import Logging
internal import OAuth
package import Postgres
package import Publishing
package import Vault

import struct WebhookEndpoints.WebhookEndpoints

/// What changes keys and revokes credentials, for the host and for commands.
package struct HostVault: Sendable {
  package let rotations: KeyRotations
  package let resealer: Resealer
  package let revocations: Revocations

  /// Every column of sealed values that any module has.
  package static let sealedColumns =
    SealedColumns.all + WebhookEndpoints.sealedColumns + TokenIssuerStore.sealedColumns + PlatformApps.sealedColumns
    + PlatformSignIns.sealedColumns

  init(_ vault: Vault, pool: Pool) {
    rotations = KeyRotations(vault: vault, whenCompromised: Revocations.renewal)
    resealer = Resealer(vault: vault, rotations: rotations, columns: Self.sealedColumns)
    revocations = Revocations(pool: pool)
  }

  /// For commands, which need the host's keys as the host does.
  package static func open(_ configuration: HostConfiguration, pool: Pool, logger: Logger) async throws -> HostVault {
    let keyring = try await VaultKey.keyring(configuration, pool: pool, logger: logger)
    return HostVault(try await Vault(pool: pool, keyring: keyring), pool: pool)
  }

  /// Everything that `rostrum vault status` and the API show.
  package func status() async throws -> (keys: VaultStatus, revocations: [Revocation]) {
    (try await rotations.status(), try await revocations.list())
  }
}
