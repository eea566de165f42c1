internal import COpenSSL

/// An incremental SHA-256; one owner, no copies.
@safe package struct SHA256: ~Copyable, @unchecked Sendable {
  // Sendable: the context has exactly one owner, so moving the value moves the only access to it.
  private let context: OpaquePointer

  /// The length of a digest in bytes.
  package static let byteCount = 32

  package init() {
    guard let context = unsafe EVP_MD_CTX_new(), unsafe EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
      preconditionFailure("no memory for a SHA-256 context, or a library without SHA-256")
    }
    unsafe self.context = context
  }

  deinit {
    unsafe EVP_MD_CTX_free(context)
  }

  /// Adds bytes.
  package mutating func update(_ bytes: Span<UInt8>) {
    unsafe bytes.withUnsafeBytes { buffer in
      let status = unsafe EVP_DigestUpdate(context, buffer.baseAddress, buffer.count)
      precondition(status == 1, "a live SHA-256 context takes any bytes")
    }
  }

  /// Adds bytes.
  package mutating func update(_ bytes: [UInt8]) {
    update(bytes.span)
  }

  /// Returns the digest of everything added so far; more may be added afterwards.
  package func digest() -> [UInt8] {
    guard let copy = unsafe EVP_MD_CTX_new() else { preconditionFailure("no memory for a SHA-256 context") }
    defer { unsafe EVP_MD_CTX_free(copy) }
    return unsafe [UInt8](unsafeUninitializedCapacity: Self.byteCount) { buffer, initialized in
      let status =
        unsafe EVP_MD_CTX_copy_ex(copy, context) == 1 && EVP_DigestFinal_ex(copy, buffer.baseAddress, nil) == 1
      precondition(status, "a live SHA-256 context can be finished")
      initialized = Self.byteCount
    }
  }

  /// Returns the digest of `bytes`.
  package static func digest(_ bytes: [UInt8]) -> [UInt8] {
    digest(bytes.span)
  }

  /// Returns the digest of the UTF-8 bytes of `text`.
  package static func digest(_ text: String) -> [UInt8] {
    digest(Array(text.utf8))
  }

  /// Returns the digest of `bytes`.
  package static func digest(_ bytes: Span<UInt8>) -> [UInt8] {
    unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, initialized in
      unsafe bytes.withUnsafeBytes { input in
        let status = unsafe EVP_Digest(input.baseAddress, input.count, buffer.baseAddress, nil, EVP_sha256(), nil)
        precondition(status == 1, "a library without SHA-256")
      }
      initialized = byteCount
    }
  }
}
