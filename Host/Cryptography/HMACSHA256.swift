internal import COpenSSL

/// HMAC with SHA-256 (RFC 2104).
package enum HMACSHA256 {
  /// Returns the 32-byte code of `message` under `key`; a key of any length up to 2 GiB is taken.
  package static func authenticate(_ message: [UInt8], key: Secret) -> [UInt8] {
    unsafe message.withUnsafeBytes { unsafe authenticate($0, key: key) }
  }

  /// Returns the 32-byte code of a message that must itself not be seen.
  package static func authenticate(_ message: Secret, key: Secret) -> [UInt8] {
    unsafe message.withUnsafeBytes { unsafe authenticate($0, key: key) }
  }

  @unsafe private static func authenticate(_ message: UnsafeRawBufferPointer, key: Secret) -> [UInt8] {
    unsafe [UInt8](unsafeUninitializedCapacity: SHA256.byteCount) { output, initialized in
      unsafe key.withUnsafeBytes { key in
        // A null key means "keep the former key" to the library, so an empty key still needs an address.
        var none: UInt8 = 0
        let result = unsafe withUnsafePointer(to: &none) { none in
          unsafe HMAC(
            EVP_sha256(),
            key.baseAddress ?? UnsafeRawPointer(none),
            Int32(key.count),
            message.assumingMemoryBound(to: UInt8.self).baseAddress,
            message.count,
            output.baseAddress,
            nil
          )
        }
        precondition(unsafe result != nil, "a library without HMAC-SHA-256")
      }
      initialized = SHA256.byteCount
    }
  }

  /// Tells whether `code` is the code of `message`, in constant time.
  package static func isValid(_ code: [UInt8], for message: [UInt8], key: Secret) -> Bool {
    constantTimeEquals(code, authenticate(message, key: key))
  }
}
