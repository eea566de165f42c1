import Cryptography
package import Vault

extension Vault {
  /// Seals the credentials of a connection as one blob, bound to its row and generation.
  func sealCredentials(
    _ secrets: [String: Secret],
    site: Int64,
    platform: String,
    connection: Int64,
    generation: Int64
  ) async throws -> SealedBlob {
    try await seal(
      ConnectionSecrets(secrets).encoded(),
      for: Self.credentials(site: site, platform: platform, connection: connection, generation: generation)
    )
  }

  /// Opens the credentials of a connection.
  func openCredentials(
    _ bytes: [UInt8],
    keyID: Int64,
    site: Int64,
    platform: String,
    connection: Int64,
    generation: Int64
  ) async throws -> [String: Secret] {
    let secret = try await open(
      stored: bytes,
      keyID: keyID,
      for: Self.credentials(site: site, platform: platform, connection: connection, generation: generation)
    )
    return try ConnectionSecrets(decoding: secret).values
  }

  /// The place of a connection's credentials.
  package static func credentials(site: Int64, platform: String, connection: Int64, generation: Int64) -> SealContext {
    SealContext(
      kind: .tokens,
      site: site,
      platform: platform,
      connection: connection,
      field: "credentials",
      generation: generation
    )
  }
}
