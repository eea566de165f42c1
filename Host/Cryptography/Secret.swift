internal import COpenSSL

/// Bytes that must not be seen: wiped when the last copy is released, never printed, not convertible to a log value.
///
/// Copies share one buffer. Reading goes through `withUnsafeBytes`; `reveal` and `revealText` make copies that are
/// **not** wiped, so they belong only where another API needs an array or a string.
package struct Secret: Sendable {
  private let storage: Storage

  /// Copies `bytes`; the caller's array stays as it is.
  package init(_ bytes: [UInt8]) {
    self.init(bytes.span)
  }

  /// Copies the UTF-8 bytes of `text`.
  package init(_ text: String) {
    self.init(Array(text.utf8))
  }

  /// Copies the bytes of `span`.
  package init(_ span: Span<UInt8>) {
    storage = Storage(count: span.count)
    unsafe span.withUnsafeBytes { source in unsafe storage.buffer.copyMemory(from: source) }
  }

  /// Copies `bytes` and overwrites the caller's array.
  package init(wiping bytes: inout [UInt8]) {
    self.init(bytes)
    unsafe bytes.withUnsafeMutableBytes { unsafe OPENSSL_cleanse($0.baseAddress, $0.count) }
    bytes = []
  }

  /// Makes a secret of `count` bytes that `fill` writes; the buffer starts as zeroes.
  @unsafe package init<Failure: Error>(
    count: Int,
    filling fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    storage = Storage(count: count)
    try unsafe fill(storage.buffer)
  }

  /// A secret of `count` bytes from the operating system's generator.
  package static func random(count: Int) -> Secret {
    unsafe Secret(count: count) { unsafe RandomBytes.fill($0) }
  }

  /// The number of bytes.
  package var count: Int { unsafe storage.buffer.count }

  /// Whether there are no bytes.
  package var isEmpty: Bool { count == 0 }

  /// Lends the bytes; the pointer must not leave `body`.
  @unsafe package func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // The pointer does not own the storage, so the storage must outlive the call even if `self` is not used later.
    defer { withExtendedLifetime(storage) {} }
    return try unsafe body(UnsafeRawBufferPointer(storage.buffer))
  }

  /// Returns a copy that nobody wipes.
  package func reveal() -> [UInt8] {
    unsafe withUnsafeBytes { unsafe Array($0) }
  }

  /// Returns a copy as text that nobody wipes, or nil if the bytes are not UTF-8.
  package func revealText() -> String? {
    unsafe withUnsafeBytes { unsafe String(validating: $0, as: UTF8.self) }
  }

  /// Owns one allocation. Written only before `Secret.init` returns, which makes sharing safe.
  @safe private final class Storage: @unchecked Sendable {
    let buffer: UnsafeMutableRawBufferPointer

    init(count: Int) {
      unsafe buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
      unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit {
      unsafe OPENSSL_cleanse(buffer.baseAddress, buffer.count)
      unsafe buffer.deallocate()
    }
  }
}

extension Secret: Equatable {
  /// Compares in a time that depends on the lengths only.
  package static func == (left: Secret, right: Secret) -> Bool {
    unsafe left.withUnsafeBytes { a in
      unsafe right.withUnsafeBytes { b in unsafe constantTimeEquals(a, b) }
    }
  }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  package var description: String { "[secret]" }
  package var debugDescription: String { "[secret]" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}
