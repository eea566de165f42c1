package import Cryptography

/// The proof key of one sign-in (RFC 7636): whoever sends the code must know it too.
package struct ProofKey: Sendable {
  /// 43 characters of base64url, made of 32 random bytes.
  package let verifier: Secret

  /// Makes a new one.
  package init() {
    verifier = Secret(Base64.encodeURL(RandomBytes.make(32)))
  }

  /// Takes one that was kept.
  package init(verifier: Secret) {
    self.verifier = verifier
  }

  /// The challenge of method S256 in base64url.
  package var challenge: String { Base64.encodeURL(hash) }

  /// The challenge in lower-case hex.
  package var challengeInHex: String { Hex.encode(hash) }

  private var hash: [UInt8] { SHA256.digest(verifier.reveal()) }
}
