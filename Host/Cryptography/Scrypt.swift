internal import COpenSSL

/// The password hash scrypt (RFC 7914). One call with the defaults takes 128 MiB and a noticeable part of a second:
/// callers bound how many run at once and keep it off the cooperative threads.
package enum Scrypt {
  /// The costs of one derivation.
  package struct Parameters: Sendable, Equatable {
    /// The work and memory factor; a power of two above 1.
    package let n: UInt64
    /// The block size.
    package let r: UInt64
    /// The number of independent passes.
    package let p: UInt64

    package init(n: UInt64, r: UInt64, p: UInt64) {
      self.n = n
      self.r = r
      self.p = p
    }

    /// The costs for stored passwords.
    package static let interactive = Parameters(n: 1 << 17, r: 8, p: 1)
  }

  /// Derives `count` bytes from `password`.
  ///
  /// - Throws: `invalidParameter` if the parameters need more than 512 MiB or are not allowed.
  package static func derive(
    password: Secret,
    salt: [UInt8],
    parameters: Parameters = .interactive,
    count: Int = 32
  ) throws(CryptographyError) -> Secret {
    guard count > 0 else { throw .invalidParameter("count") }
    return try unsafe Secret(count: count) { output throws(CryptographyError) in
      let status = unsafe password.withUnsafeBytes { password in
        // A null password makes the library check the parameters only, so an empty one still needs an address.
        var none: CChar = 0
        return unsafe withUnsafePointer(to: &none) { none in
          unsafe EVP_PBE_scrypt(
            password.assumingMemoryBound(to: CChar.self).baseAddress ?? none,
            password.count,
            salt,
            salt.count,
            parameters.n,
            parameters.r,
            parameters.p,
            512 << 20,
            output.assumingMemoryBound(to: UInt8.self).baseAddress,
            count
          )
        }
      }
      guard status == 1 else { throw .invalidParameter("scrypt parameters") }
    }
  }
}
