internal import COpenSSL

/// Signatures by Ed25519 (RFC 8032).
package enum Ed25519 {
  /// The length of a private and of a public key in bytes.
  package static let keyByteCount = 32
  /// The length of a signature in bytes.
  package static let signatureByteCount = 64

  /// Makes a private key from the operating system's generator.
  package static func makePrivateKey() -> Secret {
    Secret.random(count: keyByteCount)
  }

  /// Returns the public key of a private one.
  package static func publicKey(of privateKey: Secret) throws(CryptographyError) -> [UInt8] {
    let key = try Key(privateKey: privateKey)
    return try key.publicBytes()
  }

  /// Returns the 64-byte signature of `message`; the same message and key always give the same one.
  package static func sign(_ message: [UInt8], with privateKey: Secret) throws(CryptographyError) -> [UInt8] {
    let key = try Key(privateKey: privateKey)
    return try key.sign(message)
  }

  /// Tells whether `signature` is one of `message` by the owner of the public key; false for malformed input too.
  package static func isValid(_ signature: [UInt8], for message: [UInt8], publicKey: [UInt8]) -> Bool {
    guard signature.count == signatureByteCount, publicKey.count == keyByteCount else { return false }
    do throws(CryptographyError) {
      return try Key(publicKey: publicKey).isValid(signature, for: message)
    } catch {
      // Bytes that are no point of the curve are no key, so nothing is signed by it.
      return false
    }
  }

  /// One key of the library; one owner.
  @safe private struct Key: ~Copyable {
    private let handle: OpaquePointer

    init(privateKey: Secret) throws(CryptographyError) {
      guard privateKey.count == Ed25519.keyByteCount else { throw .invalidParameter("privateKey") }
      let made = unsafe privateKey.withUnsafeBytes { bytes in
        unsafe EVP_PKEY_new_raw_private_key(
          EVP_PKEY_ED25519,
          nil,
          bytes.assumingMemoryBound(to: UInt8.self).baseAddress,
          bytes.count
        )
      }
      guard let made = unsafe made else { throw .libraryFailure("Ed25519") }
      unsafe handle = made
    }

    init(publicKey: [UInt8]) throws(CryptographyError) {
      guard let made = unsafe EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, publicKey, publicKey.count) else {
        throw .invalidParameter("publicKey")
      }
      unsafe handle = made
    }

    deinit {
      unsafe EVP_PKEY_free(handle)
    }

    func publicBytes() throws(CryptographyError) -> [UInt8] {
      var bytes = [UInt8](repeating: 0, count: Ed25519.keyByteCount)
      var count = bytes.count
      guard unsafe EVP_PKEY_get_raw_public_key(handle, &bytes, &count) == 1, count == bytes.count else {
        throw .libraryFailure("Ed25519")
      }
      return bytes
    }

    func sign(_ message: [UInt8]) throws(CryptographyError) -> [UInt8] {
      guard let context = unsafe EVP_MD_CTX_new() else { throw .libraryFailure("Ed25519") }
      defer { unsafe EVP_MD_CTX_free(context) }
      var signature = [UInt8](repeating: 0, count: Ed25519.signatureByteCount)
      var count = signature.count
      guard unsafe EVP_DigestSignInit(context, nil, nil, nil, handle) == 1,
        unsafe EVP_DigestSign(context, &signature, &count, message, message.count) == 1, count == signature.count
      else { throw .libraryFailure("Ed25519") }
      return signature
    }

    func isValid(_ signature: [UInt8], for message: [UInt8]) throws(CryptographyError) -> Bool {
      guard let context = unsafe EVP_MD_CTX_new() else { throw .libraryFailure("Ed25519") }
      defer { unsafe EVP_MD_CTX_free(context) }
      guard unsafe EVP_DigestVerifyInit(context, nil, nil, nil, handle) == 1 else { throw .libraryFailure("Ed25519") }
      return unsafe EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
    }
  }
}
