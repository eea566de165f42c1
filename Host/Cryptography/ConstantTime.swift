internal import COpenSSL

/// Compares two byte strings in a time that depends on their lengths only.
package func constantTimeEquals(_ left: [UInt8], _ right: [UInt8]) -> Bool {
  unsafe left.withUnsafeBytes { a in
    unsafe right.withUnsafeBytes { b in unsafe constantTimeEquals(a, b) }
  }
}

/// Compares two buffers in a time that depends on their lengths only.
@unsafe package func constantTimeEquals(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
  guard left.count == right.count else { return false }
  guard left.count > 0 else { return true }
  return unsafe CRYPTO_memcmp(left.baseAddress, right.baseAddress, left.count) == 0
}
