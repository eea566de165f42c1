package import Logging
package import Postgres
internal import Vault

package import struct WebhookEndpoints.WebhookEndpoints

/// The webhooks of a host for commands, which need its key as the host does.
package enum HostWebhooks {
  package static func open(
    _ configuration: HostConfiguration,
    pool: Pool,
    logger: Logger
  ) async throws -> WebhookEndpoints {
    let keyring = try await VaultKey.keyring(configuration, pool: pool, logger: logger)
    let vault = try await Vault(pool: pool, keyring: keyring)
    return WebhookEndpoints(pool: pool, vault: vault, policy: configuration.addressPolicy)
  }
}
