/// A sealed value as it is stored: header, nonce, ciphertext, tag.
///
/// Bytes 0–7 are `'S'`, format 1, algorithm 1 (AES-256-GCM), kind and the key id (32 bits, most significant first);
/// 8–19 the nonce; then the ciphertext and 16 bytes of tag.
package struct SealedBlob: Sendable, Hashable {
  /// The whole blob, for the `bytea` column.
  package let bytes: [UInt8]
  /// The key that opens it, for the `key_id` column: the site's data key, or for a data key the key-encryption key.
  package let keyID: Int64
  /// What the header says the value is.
  package let kind: SealKind

  static let headerByteCount = 8
  static let overhead = 36
  /// Far above any credential; keeps lengths inside what every layer below can take.
  static let maximumPlaintext = 1 << 20

  /// Reads a stored blob. `keyID` is the row's column, which must say the same as the header.
  ///
  /// - Throws: `unreadable` if the header is not one of this format.
  package init(stored bytes: [UInt8], keyID: Int64) throws(VaultError) {
    try self.init(bytes)
    guard self.keyID == keyID else { throw .unreadable }
  }

  init(_ bytes: [UInt8]) throws(VaultError) {
    guard bytes.count >= Self.overhead, bytes.count <= Self.overhead + Self.maximumPlaintext,
      bytes[..<3] == Self.preamble[...], let kind = SealKind(rawValue: bytes[3])
    else { throw .unreadable }
    self.bytes = bytes
    self.kind = kind
    keyID = Int64(UInt32(bigEndian: bytes[4..<8]))
  }

  static func header(kind: SealKind, keyID: UInt32) -> [UInt8] {
    preamble + [kind.rawValue] + keyID.bigEndianBytes
  }

  private static let preamble: [UInt8] = [UInt8(ascii: "S"), 1, 1]
}
