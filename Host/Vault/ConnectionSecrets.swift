package import Cryptography

/// All secrets of one connection by name, sealed together as one blob of kind `tokens`, so that they never mix.
///
/// The encoding is a version byte, the number of entries in 2 bytes, then for each in the order of the names' bytes:
/// the length of the name in 2 bytes, the name, the length of the value in 4 bytes, the value.
package struct ConnectionSecrets: Sendable, Equatable {
  /// The secrets by name.
  package var values: [String: Secret]

  package init(_ values: [String: Secret] = [:]) {
    self.values = values
  }

  /// The secret `name`.
  package subscript(name: String) -> Secret? {
    get { values[name] }
    set { values[name] = newValue }
  }

  /// Reads what `encoded` wrote.
  ///
  /// - Throws: `unreadable` for anything else.
  package init(decoding secret: Secret) throws(VaultError) {
    values = try unsafe secret.withUnsafeBytes { bytes throws(VaultError) in
      var reader = unsafe Reader(bytes: bytes)
      guard try reader.number(bytes: 1) == Self.version else { throw .unreadable }
      let count = try reader.number(bytes: 2)
      var values: [String: Secret] = [:]
      var last: [UInt8]?
      for _ in 0..<count {
        let nameBytes = try reader.secret(lengthBytes: 2).reveal()
        guard let name = String(validating: nameBytes, as: UTF8.self) else { throw .unreadable }
        if let last, !last.lexicographicallyPrecedes(nameBytes) { throw .unreadable }
        last = nameBytes
        values[name] = try reader.secret(lengthBytes: 4)
      }
      guard reader.isAtEnd, values.count == count else { throw .unreadable }
      return values
    }
  }

  /// The bytes to seal.
  ///
  /// - Throws: `tooLarge` for more than 65,535 entries, a name over 65,535 bytes or more than 1 MiB in all.
  package func encoded() throws(VaultError) -> Secret {
    let entries = values.map { (name: Array($0.key.utf8), value: $0.value) }
      .sorted { $0.name.lexicographicallyPrecedes($1.name) }
    guard entries.count <= Int(UInt16.max), entries.allSatisfy({ $0.name.count <= Int(UInt16.max) }) else {
      throw .tooLarge
    }
    var size = 3
    for entry in entries {
      size += 6 + entry.name.count + entry.value.count
      guard size <= SealedBlob.maximumPlaintext else { throw .tooLarge }
    }
    return unsafe Secret(count: size) { output in
      var offset = 0
      func append(_ bytes: [UInt8]) {
        unsafe UnsafeMutableRawBufferPointer(rebasing: output[offset...]).copyBytes(from: bytes)
        offset += bytes.count
      }
      append([UInt8(Self.version)] + UInt16(entries.count).bigEndianBytes)
      for entry in entries {
        append(UInt16(entry.name.count).bigEndianBytes + entry.name + UInt32(entry.value.count).bigEndianBytes)
        unsafe entry.value.withUnsafeBytes { value in
          unsafe UnsafeMutableRawBufferPointer(rebasing: output[offset...]).copyMemory(from: value)
        }
        offset += entry.value.count
      }
    }
  }

  private static let version = 1

  /// Reads lengths and bytes that may be anything.
  @safe private struct Reader {
    let bytes: UnsafeRawBufferPointer
    private var offset = 0

    @unsafe init(bytes: UnsafeRawBufferPointer) {
      unsafe self.bytes = bytes
    }

    var isAtEnd: Bool { unsafe offset == bytes.count }

    mutating func number(bytes count: Int) throws(VaultError) -> Int {
      let range = try take(count)
      return unsafe Int(bigEndian: bytes[range])
    }

    mutating func secret(lengthBytes: Int) throws(VaultError) -> Secret {
      let range = try take(number(bytes: lengthBytes))
      return unsafe Secret(count: range.count) { output in
        unsafe output.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[range]))
      }
    }

    private mutating func take(_ count: Int) throws(VaultError) -> Range<Int> {
      guard unsafe count <= bytes.count - offset else { throw .unreadable }
      defer { offset += count }
      return offset..<offset + count
    }
  }
}

extension ConnectionSecrets: CustomStringConvertible {
  package var description: String { "[\(values.count) secrets]" }
}
