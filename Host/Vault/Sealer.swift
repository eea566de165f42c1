package import Cryptography

/// A site's data key in hand: seals without asking the database, so that what has arrived can be kept even while the
/// database is away.
package struct Sealer: Sendable {
  private let site: Int64
  private let key: Secret
  private let keyID: Int64

  init(site: Int64, key: Secret, keyID: Int64) {
    self.site = site
    self.key = key
    self.keyID = keyID
  }

  /// Seals `secret` for its place, which must be one of the sealer's site.
  package func seal(_ secret: Secret, for context: SealContext) throws(VaultError) -> SealedBlob {
    guard context.site == site else { throw .unreadable }
    return try Envelope.seal(secret, context: context, key: key, keyID: keyID)
  }
}
