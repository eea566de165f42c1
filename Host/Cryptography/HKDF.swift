internal import COpenSSL

/// HKDF with SHA-256 (RFC 5869): extract and expand in one step.
package enum HKDF {
  /// Derives `count` bytes (1 to 8,160) from `key`.
  ///
  /// - Throws: `invalidParameter` for a count out of range or an empty key.
  package static func derive(
    key: Secret,
    salt: [UInt8] = [],
    info: [UInt8],
    count: Int
  ) throws(CryptographyError) -> Secret {
    guard (1...255 * SHA256.byteCount).contains(count) else { throw .invalidParameter("count") }
    guard !key.isEmpty else { throw .invalidParameter("key") }
    // RFC 5869: no salt means one digest length of zeroes.
    let salt = salt.isEmpty ? [UInt8](repeating: 0, count: SHA256.byteCount) : salt
    var extracted = HMACSHA256.authenticate(key, key: Secret(salt))
    let pseudorandom = Secret(wiping: &extracted)
    return try unsafe Secret(count: count) { output throws(CryptographyError) in
      var block: [UInt8] = []
      var offset = 0
      var counter: UInt8 = 0
      while offset < count {
        counter += 1
        block = HMACSHA256.authenticate(block + info + [counter], key: pseudorandom)
        let length = min(block.count, count - offset)
        unsafe UnsafeMutableRawBufferPointer(rebasing: output[offset...]).copyBytes(from: block[..<length])
        offset += length
      }
    }
  }
}
