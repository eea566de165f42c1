package import Cryptography

/// Seals and opens blobs with a given key.
package enum Envelope {
  /// Seals `plaintext` for its place.
  ///
  /// - Parameter nonce: Fixed by tests only; a nonce must never be used twice.
  /// - Throws: `tooLarge` above 1 MiB; `cryptography` for a broken key or library.
  package static func seal(
    _ plaintext: Secret,
    context: SealContext,
    key: Secret,
    keyID: Int64,
    nonce: [UInt8] = RandomBytes.make(AESGCM.nonceByteCount)
  ) throws(VaultError) -> SealedBlob {
    guard plaintext.count <= SealedBlob.maximumPlaintext else { throw .tooLarge }
    guard let id = UInt32(exactly: keyID) else { throw .cryptography }
    let header = SealedBlob.header(kind: context.kind, keyID: id)
    let sealed: [UInt8]
    do {
      sealed = try AESGCM.seal(plaintext, key: key, nonce: nonce, aad: header + context.encoded)
    } catch {
      throw .cryptography
    }
    return try SealedBlob(header + nonce + sealed)
  }

  /// Opens `blob` if it was sealed with this key for this place.
  ///
  /// - Throws: `unreadable`, whatever is wrong.
  package static func open(_ blob: SealedBlob, context: SealContext, key: Secret) throws(VaultError) -> Secret {
    guard blob.kind == context.kind else { throw .unreadable }
    let nonceEnd = SealedBlob.headerByteCount + AESGCM.nonceByteCount
    do {
      return try AESGCM.open(
        Array(blob.bytes[nonceEnd...]),
        key: key,
        nonce: Array(blob.bytes[SealedBlob.headerByteCount..<nonceEnd]),
        aad: blob.bytes[..<SealedBlob.headerByteCount] + context.encoded
      )
    } catch {
      throw .unreadable
    }
  }

  /// The check value of a key: it tells whether a key is the right one and nothing about the key.
  package static func checkValue(of key: Secret) -> [UInt8] {
    Array(HMACSHA256.authenticate(Array("rostrum.kcv.v1".utf8), key: key).prefix(8))
  }
}
