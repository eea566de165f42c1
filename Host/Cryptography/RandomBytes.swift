internal import Glibc

/// Random bytes from the operating system's generator.
package enum RandomBytes {
  /// Returns `count` random bytes; cannot fail.
  package static func make(_ count: Int) -> [UInt8] {
    unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      unsafe fill(UnsafeMutableRawBufferPointer(buffer))
      initialized = count
    }
  }

  /// Overwrites `buffer` with random bytes.
  @unsafe package static func fill(_ buffer: UnsafeMutableRawBufferPointer) {
    guard let address = buffer.baseAddress else { return }
    unsafe arc4random_buf(address, buffer.count)
  }
}
