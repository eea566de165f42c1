internal import COpenSSL

/// A private key from a PEM file (PKCS #8 or the older forms of one algorithm); one owner.
@safe package struct SigningKey: ~Copyable {
  package enum Algorithm: String, Sendable, CaseIterable {
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits or more.
    case rs256 = "RS256"
    /// ECDSA on P-256 with SHA-256; signatures are r and s, 32 bytes each.
    case es256 = "ES256"
    /// Ed25519.
    case edDSA = "EdDSA"
  }

  /// What the key can sign with.
  package let algorithm: Algorithm
  private let handle: OpaquePointer

  /// Reads a key without a password.
  ///
  /// - Throws: `invalidParameter` for anything else than a key of one of the algorithms.
  package init(pem: Secret) throws(CryptographyError) {
    guard let der = Self.der(pem) else { throw .invalidParameter("pem") }
    let made = unsafe der.withUnsafeBytes { bytes in
      var cursor = unsafe bytes.assumingMemoryBound(to: UInt8.self).baseAddress
      return unsafe d2i_AutoPrivateKey(nil, &cursor, bytes.count)
    }
    guard let made = unsafe made else { throw .invalidParameter("pem") }
    guard let algorithm = unsafe Self.algorithm(of: made) else {
      unsafe EVP_PKEY_free(made)
      throw .invalidParameter("pem")
    }
    self.algorithm = algorithm
    unsafe handle = made
  }

  deinit {
    unsafe EVP_PKEY_free(handle)
  }

  /// Returns the signature of `message` in the form that JSON Web Signatures use (RFC 7518).
  package func sign(_ message: [UInt8]) throws(CryptographyError) -> [UInt8] {
    guard let context = unsafe EVP_MD_CTX_new() else { throw .libraryFailure("signing") }
    defer { unsafe EVP_MD_CTX_free(context) }
    let digest = algorithm == .edDSA ? nil : unsafe EVP_sha256()
    var count = 0
    guard unsafe EVP_DigestSignInit(context, nil, digest, nil, handle) == 1,
      unsafe EVP_DigestSign(context, nil, &count, message, message.count) == 1, count > 0
    else { throw .libraryFailure("signing") }
    var signature = [UInt8](repeating: 0, count: count)
    guard unsafe EVP_DigestSign(context, &signature, &count, message, message.count) == 1 else {
      throw .libraryFailure("signing")
    }
    signature.removeLast(signature.count - count)
    guard algorithm == .es256 else { return signature }
    guard let plain = Self.plain(signature) else { throw .libraryFailure("signing") }
    return plain
  }

  /// The two coordinates of the public key of an ES256 key, 32 bytes each; nil for other keys.
  package func publicCoordinates() -> (x: [UInt8], y: [UInt8])? {
    guard algorithm == .es256 else { return nil }
    var point = [UInt8](repeating: 0, count: 65)
    var count = 0
    guard unsafe EVP_PKEY_get_octet_string_param(handle, OSSL_PKEY_PARAM_PUB_KEY, &point, point.count, &count) == 1,
      count == 65, point[0] == 4
    else { return nil }
    return (Array(point[1..<33]), Array(point[33...]))
  }

  // MARK: Forms

  private static func algorithm(of key: OpaquePointer) -> Algorithm? {
    switch unsafe EVP_PKEY_get_base_id(key) {
    case EVP_PKEY_RSA: return unsafe EVP_PKEY_get_bits(key) >= 2_048 ? .rs256 : nil
    case EVP_PKEY_ED25519: return .edDSA
    case EVP_PKEY_EC:
      var name = [CChar](repeating: 0, count: 32)
      var count = 0
      guard unsafe EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, &name, name.count, &count) == 1
      else {
        return nil
      }
      return String(decoding: name.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self) == "prime256v1"
        ? .es256 : nil
    default: return nil
    }
  }

  /// The bytes between the PEM lines; lines may also be joined by `\n` as two characters, as in JSON key files.
  private static func der(_ pem: Secret) -> Secret? {
    guard let text = pem.revealText() else { return nil }
    let lines = text.replacing("\\n", with: "\n").split(whereSeparator: \.isNewline)
      .map { $0.filter { !$0.isWhitespace || $0 == " " } }
    guard let first = lines.firstIndex(where: { $0.hasPrefix("-----BEGIN ") && $0.contains("PRIVATE KEY") }),
      let last = lines[first...].firstIndex(where: { $0.hasPrefix("-----END ") }), !lines[first].contains("ENCRYPTED"),
      var bytes = Base64.decode(lines[(first + 1)..<last].joined().filter { $0 != " " }), !bytes.isEmpty
    else { return nil }
    return Secret(wiping: &bytes)
  }

  /// Turns the DER sequence of two integers into 64 bytes.
  private static func plain(_ signature: [UInt8]) -> [UInt8]? {
    guard signature.count >= 8, signature[0] == 0x30, Int(signature[1]) == signature.count - 2 else { return nil }
    var output: [UInt8] = []
    var offset = 2
    for _ in 0..<2 {
      guard offset + 2 <= signature.count, signature[offset] == 0x02 else { return nil }
      let end = offset + 2 + Int(signature[offset + 1])
      guard end <= signature.count else { return nil }
      let number = signature[(offset + 2)..<end].drop { $0 == 0 }
      guard number.count <= 32 else { return nil }
      output += [UInt8](repeating: 0, count: 32 - number.count) + number
      offset = end
    }
    return offset == signature.count ? output : nil
  }
}
