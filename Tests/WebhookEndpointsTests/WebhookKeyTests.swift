import Cryptography
import Egress
import Postgres
import TestSupport
import Testing
import Vault
import WebhookEndpoints

import struct WebhookEndpoints.WebhookEndpoints

/// The secrets of webhooks when the key of their site changes.
@Suite(.database) struct WebhookKeyTests {
  @Test func bothSecretsGetTheNewKeyOfTheirSite() async throws {
    try await TestDatabase.current.withPool { pool in
      let vault = try await Vault(
        pool: pool,
        keyring: Keyring(Secret("1:\(Base64.encode([UInt8](repeating: 1, count: 32)))"))
      )
      let site: Int64 = try await pool.query("INSERT INTO sites (name) VALUES ('One') RETURNING id")[0].get(0)
      let webhooks = WebhookEndpoints(pool: pool, vault: vault, policy: AddressPolicy())
      let change = WebhookEndpoints.Change(url: "https://example.org/events")
      let (endpoint, _) = try await webhooks.create(change, site: site, user: nil)
      let (_, secret) = try await webhooks.rotate(endpoint.id, site: site)
      // One that was removed has nothing to seal.
      let other = WebhookEndpoints.Change(url: "https://example.org/gone")
      let (gone, _) = try await webhooks.create(other, site: site, user: nil)
      try await webhooks.remove(gone.id, site: site)

      let rotations = KeyRotations(vault: vault)
      let resealer = Resealer(
        vault: vault,
        rotations: rotations,
        columns: WebhookEndpoints.sealedColumns,
        settling: .zero
      )
      let begun = try await rotations.rotate(site: site)
      while try await resealer.round() > 0 {}
      let rotation = try await rotations.rotation(begun.id)
      #expect((rotation.resealed, rotation.quarantined) == (2, 0))
      #expect(try await webhooks.secret(of: endpoint.id, site: site) == secret)
      let keys = try await pool.query(
        "SELECT key_id, previous_key_id FROM event_endpoints WHERE id = \(endpoint.id)"
      )[0]
      #expect(try keys.get(0, as: Int64.self) == rotation.newKey)
      #expect(try keys.get(1, as: Int64.self) == rotation.newKey)
    }
  }
}
