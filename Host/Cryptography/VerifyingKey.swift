internal import COpenSSL

/// A public key that checks signatures of JSON Web Signatures (RFC 7518), read from the members of a JSON Web Key.
@safe package struct VerifyingKey: Sendable, Equatable {
  package let algorithm: SigningKey.Algorithm
  /// The key in the form SubjectPublicKeyInfo. The library's own form is made for each check, which needs no owner.
  private let encoded: [UInt8]

  /// An RSA key of 2048 to 8192 bits.
  package init(rsaModulus modulus: [UInt8], exponent: [UInt8]) throws(CryptographyError) {
    let (n, e) = (modulus.drop { $0 == 0 }, exponent.drop { $0 == 0 })
    guard (256...1_024).contains(n.count), (1...8).contains(e.count), let last = e.last, last & 1 == 1, e != [1] else {
      throw .invalidParameter("RSA key")
    }
    let key = DER.sequence(DER.integer(Array(n)) + DER.integer(Array(e)))
    try self.init(.rs256, DER.publicKey(DER.rsaEncryption + [0x05, 0x00], key))
  }

  /// A key on the curve P-256 by its coordinates, 32 bytes each.
  package init(p256x x: [UInt8], y: [UInt8]) throws(CryptographyError) {
    guard x.count == 32, y.count == 32 else { throw .invalidParameter("P-256 key") }
    try self.init(.es256, DER.publicKey(DER.ecPublicKey + DER.prime256v1, [0x04] + x + y))
  }

  /// An Ed25519 key of 32 bytes.
  package init(ed25519 key: [UInt8]) throws(CryptographyError) {
    guard key.count == Ed25519.keyByteCount else { throw .invalidParameter("Ed25519 key") }
    try self.init(.edDSA, DER.publicKey(DER.ed25519, key))
  }

  private init(_ algorithm: SigningKey.Algorithm, _ encoded: [UInt8]) throws(CryptographyError) {
    self.algorithm = algorithm
    self.encoded = encoded
    // The library refuses what is no key, such as a point beside the curve.
    let bits = unsafe withKey { unsafe EVP_PKEY_get_bits($0) }
    guard let bits, bits > 0, algorithm != .rs256 || bits >= 2_048 else { throw .invalidParameter("public key") }
  }

  /// Whether `signature` is one of `message` by the owner of the key; false for malformed input too.
  package func isValid(_ signature: [UInt8], for message: [UInt8]) -> Bool {
    guard signature.count <= 2_048 else { return false }
    var form = signature
    if algorithm == .es256 {
      guard signature.count == 64 else { return false }
      form = DER.sequence(DER.integer(Array(signature[..<32])) + DER.integer(Array(signature[32...])))
    }
    let digest = algorithm == .edDSA ? nil : unsafe EVP_sha256()
    let isRight = unsafe withKey { key in
      guard let context = unsafe EVP_MD_CTX_new() else { return false }
      defer { unsafe EVP_MD_CTX_free(context) }
      guard unsafe EVP_DigestVerifyInit(context, nil, digest, nil, key) == 1 else { return false }
      return unsafe EVP_DigestVerify(context, form, form.count, message, message.count) == 1
    }
    return isRight ?? false
  }

  /// Lends the library's form of the key; nil when it takes the bytes for no key.
  @unsafe private func withKey<Value>(_ body: (OpaquePointer) -> Value) -> Value? {
    let made = unsafe encoded.withUnsafeBufferPointer { bytes in
      var cursor = bytes.baseAddress
      return unsafe d2i_PUBKEY(nil, &cursor, bytes.count)
    }
    guard let made = unsafe made else { return nil }
    defer { unsafe EVP_PKEY_free(made) }
    return unsafe body(made)
  }
}

/// The few forms of DER that public keys and signatures are written in.
private enum DER {
  static let rsaEncryption: [UInt8] = [0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01]
  static let ecPublicKey: [UInt8] = [0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01]
  static let prime256v1: [UInt8] = [0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07]
  static let ed25519: [UInt8] = [0x06, 0x03, 0x2B, 0x65, 0x70]

  static func sequence(_ content: [UInt8]) -> [UInt8] { [0x30] + length(content.count) + content }

  /// A number that is not negative, most significant byte first.
  static func integer(_ bytes: [UInt8]) -> [UInt8] {
    var digits = Array(bytes.drop { $0 == 0 })
    if digits.first.map({ $0 >= 0x80 }) ?? true { digits.insert(0, at: 0) }
    return [0x02] + length(digits.count) + digits
  }

  static func publicKey(_ algorithm: [UInt8], _ key: [UInt8]) -> [UInt8] {
    sequence(sequence(algorithm) + [0x03] + length(key.count + 1) + [0x00] + key)
  }

  private static func length(_ count: Int) -> [UInt8] {
    if count < 0x80 { return [UInt8(count)] }
    return count < 0x100 ? [0x81, UInt8(count)] : [0x82, UInt8(count >> 8), UInt8(count & 0xFF)]
  }
}
