package import Cryptography

/// The key-encryption keys of the operator's setting, which are never in the database.
package struct Keyring: Sendable {
  /// One key.
  package struct Entry: Sendable {
    /// 1 to 4,294,967,295.
    package let id: Int64
    /// 32 bytes.
    package let key: Secret
  }

  /// The keys in the order of the setting; the first one becomes primary in a new database.
  package let entries: [Entry]

  /// Reads the value of `OAUTH_ENCRYPTION_KEY`: 64 hexadecimal digits, which are key 1, or entries `id:base64` with
  /// commas between them.
  ///
  /// - Throws: `invalidKeySetting`, which says what is wrong and quotes nothing.
  package init(_ setting: Secret) throws(VaultError) {
    guard let text = setting.revealText() else { throw .invalidKeySetting("it is not text") }
    let trimmed = text.trimmingBlanks()
    guard !trimmed.isEmpty else { throw .invalidKeySetting("it is empty") }
    if !trimmed.contains(":") {
      guard trimmed.utf8.count == 64, var bytes = Hex.decode(String(trimmed)) else {
        throw .invalidKeySetting("expected 64 hexadecimal digits, or entries id:base64 with commas between them")
      }
      entries = [Entry(id: 1, key: Secret(wiping: &bytes))]
      return
    }
    var entries: [Entry] = []
    for (position, part) in trimmed.split(separator: ",", omittingEmptySubsequences: false).enumerated() {
      let entry = try Self.entry(part.trimmingBlanks(), place: position + 1)
      guard !entries.contains(where: { $0.id == entry.id }) else {
        throw .invalidKeySetting("entry \(position + 1) has the id of an earlier one")
      }
      entries.append(entry)
    }
    self.entries = entries
  }

  /// Returns the key with this id.
  package func key(_ id: Int64) -> Secret? {
    entries.first { $0.id == id }?.key
  }

  private static func entry(_ text: Substring, place: Int) throws(VaultError) -> Entry {
    guard let colon = text.firstIndex(of: ":") else {
      throw .invalidKeySetting("entry \(place) is not id:base64")
    }
    guard let id = UInt32(text[..<colon]), id > 0 else {
      throw .invalidKeySetting("the id of entry \(place) is not a number from 1 to 4294967295")
    }
    guard var bytes = Base64.decode(String(text[text.index(after: colon)...])), bytes.count == AESGCM.keyByteCount
    else {
      throw .invalidKeySetting("the key of entry \(place) is not 32 bytes in base64")
    }
    return Entry(id: Int64(id), key: Secret(wiping: &bytes))
  }
}

extension StringProtocol where SubSequence == Substring {
  /// Returns the text without blanks and line ends around it, as a key file tends to have.
  fileprivate func trimmingBlanks() -> Substring {
    let start = drop { $0.isWhitespace }
    guard let last = start.lastIndex(where: { !$0.isWhitespace }) else { return start.prefix(0) }
    return start[...last]
  }
}
