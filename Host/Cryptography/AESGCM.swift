internal import COpenSSL

/// AES-256 in Galois/Counter mode (NIST SP 800-38D) with 12-byte nonces and 16-byte tags.
package enum AESGCM {
  /// The length of a key in bytes.
  package static let keyByteCount = 32
  /// The length of a nonce in bytes. A nonce must never be used twice under one key.
  package static let nonceByteCount = 12
  /// The length of the tag in bytes.
  package static let tagByteCount = 16

  /// Encrypts `plaintext` and returns the ciphertext with the tag behind it.
  ///
  /// - Throws: `invalidParameter` for a wrong key or nonce length or an input of 2 GiB or more.
  package static func seal(
    _ plaintext: Secret,
    key: Secret,
    nonce: [UInt8],
    aad: [UInt8]
  ) throws(CryptographyError) -> [UInt8] {
    let context = try Context(key: key, nonce: nonce, aad: aad, encrypting: true)
    var output = [UInt8](repeating: 0, count: plaintext.count + tagByteCount)
    var span = output.mutableSpan
    try unsafe span.withUnsafeMutableBytes { output throws(CryptographyError) in
      try unsafe plaintext.withUnsafeBytes { input throws(CryptographyError) in
        try unsafe context.update(input, into: output)
      }
      try unsafe context.finishSealing(tag: UnsafeMutableRawBufferPointer(rebasing: output[plaintext.count...]))
    }
    return output
  }

  /// Decrypts `sealed` (ciphertext with the tag behind it) if the tag is right for key, nonce and associated data.
  ///
  /// - Throws: `authenticationFailed` if it is not; `invalidParameter` as in `seal`.
  package static func open(
    _ sealed: [UInt8],
    key: Secret,
    nonce: [UInt8],
    aad: [UInt8]
  ) throws(CryptographyError) -> Secret {
    guard sealed.count >= tagByteCount else { throw .authenticationFailed }
    let context = try Context(key: key, nonce: nonce, aad: aad, encrypting: false)
    let length = sealed.count - tagByteCount
    return try unsafe sealed.span.withUnsafeBytes { sealed throws(CryptographyError) in
      try unsafe Secret(count: length) { output throws(CryptographyError) in
        try unsafe context.update(UnsafeRawBufferPointer(rebasing: sealed[..<length]), into: output)
        try unsafe context.finishOpening(tag: UnsafeRawBufferPointer(rebasing: sealed[length...]))
      }
    }
  }

  /// Owns one cipher context for one message.
  @safe private struct Context: ~Copyable {
    private let handle: OpaquePointer

    init(key: Secret, nonce: [UInt8], aad: [UInt8], encrypting: Bool) throws(CryptographyError) {
      guard key.count == keyByteCount else { throw .invalidParameter("key") }
      guard nonce.count == nonceByteCount else { throw .invalidParameter("nonce") }
      guard let aadCount = Int32(exactly: aad.count) else { throw .invalidParameter("aad") }
      guard let handle = unsafe EVP_CIPHER_CTX_new() else { throw .libraryFailure("AES-GCM") }
      var length: Int32 = 0
      let started = unsafe key.withUnsafeBytes { key in
        unsafe EVP_CipherInit_ex(
          handle,
          EVP_aes_256_gcm(),
          nil,
          key.assumingMemoryBound(to: UInt8.self).baseAddress,
          nonce,
          encrypting ? 1 : 0
        )
      }
      guard started == 1, unsafe aad.isEmpty || EVP_CipherUpdate(handle, nil, &length, aad, aadCount) == 1 else {
        unsafe EVP_CIPHER_CTX_free(handle)
        throw .libraryFailure("AES-GCM")
      }
      unsafe self.handle = handle
    }

    deinit {
      unsafe EVP_CIPHER_CTX_free(handle)
    }

    @unsafe func update(
      _ input: UnsafeRawBufferPointer,
      into output: UnsafeMutableRawBufferPointer
    ) throws(CryptographyError) {
      guard input.count > 0 else { return }
      guard let count = Int32(exactly: input.count) else { throw .invalidParameter("message") }
      var length: Int32 = 0
      let status = unsafe EVP_CipherUpdate(
        handle,
        output.assumingMemoryBound(to: UInt8.self).baseAddress,
        &length,
        input.assumingMemoryBound(to: UInt8.self).baseAddress,
        count
      )
      guard status == 1, length == count else { throw .libraryFailure("AES-GCM") }
    }

    @unsafe func finishSealing(tag: UnsafeMutableRawBufferPointer) throws(CryptographyError) {
      guard unsafe finish(), unsafe EVP_CIPHER_CTX_ctrl(handle, EVP_CTRL_AEAD_GET_TAG, 16, tag.baseAddress) == 1 else {
        throw .libraryFailure("AES-GCM")
      }
    }

    @unsafe func finishOpening(tag: UnsafeRawBufferPointer) throws(CryptographyError) {
      let pointer = unsafe UnsafeMutableRawPointer(mutating: tag.baseAddress)
      guard unsafe EVP_CIPHER_CTX_ctrl(handle, EVP_CTRL_AEAD_SET_TAG, 16, pointer) == 1 else {
        throw .libraryFailure("AES-GCM")
      }
      guard unsafe finish() else { throw .authenticationFailed }
    }

    /// Ends the message; GCM writes nothing here, but the library wants room for a block.
    @unsafe private func finish() -> Bool {
      var length: Int32 = 0
      var block = [UInt8](repeating: 0, count: 16)
      return unsafe EVP_CipherFinal_ex(handle, &block, &length) == 1
    }
  }
}
