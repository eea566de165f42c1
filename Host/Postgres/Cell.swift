/// The binary form of one value of an answer, or of one element of an array in it.
///
/// Every access is checked against the bounds; the answer lives as long as the cell.
@safe package struct Cell {
  private let owner: QueryResult
  package let type: PostgresType
  private let storage: UnsafeRawBufferPointer?

  init(owner: QueryResult, type: PostgresType, bytes: UnsafeRawBufferPointer?) {
    self.owner = owner
    self.type = type
    unsafe storage = bytes
  }

  package var isNull: Bool { unsafe storage == nil }

  package var count: Int { unsafe storage?.count ?? 0 }

  package func byte(at offset: Int) -> UInt8? {
    guard let storage = unsafe storage, offset >= 0, offset < storage.count else { return nil }
    return unsafe storage[offset]
  }

  /// Reads a big-endian integer.
  package func integer<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type, at offset: Int) -> Value? {
    guard let storage = unsafe storage, offset >= 0, offset <= storage.count,
      storage.count - offset >= MemoryLayout<Value>.size
    else { return nil }
    return Value(bigEndian: unsafe storage.loadUnaligned(fromByteOffset: offset, as: Value.self))
  }

  /// Reads an integer of any width.
  package func anyInteger() -> Int64? {
    switch type {
    case .int8: integer(Int64.self, at: 0)
    case .int4: integer(Int32.self, at: 0).map(Int64.init)
    case .int2: integer(Int16.self, at: 0).map(Int64.init)
    case .oid: integer(UInt32.self, at: 0).map(Int64.init)
    default: nil
    }
  }

  package func bytes(from offset: Int) -> [UInt8]? {
    guard let storage = unsafe storage, offset >= 0, offset <= storage.count else { return nil }
    return unsafe [UInt8](storage[offset...])
  }

  /// Reads text; the session's encoding is UTF-8, so the bytes are.
  package func string(from offset: Int) -> String? {
    guard let storage = unsafe storage, offset >= 0, offset <= storage.count else { return nil }
    return unsafe String(decoding: storage[offset...], as: UTF8.self)
  }

  func part(offset: Int, count: Int, as type: PostgresType) -> Cell? {
    guard let storage = unsafe storage, offset >= 0, count >= 0, offset <= storage.count,
      storage.count - offset >= count
    else { return nil }
    return unsafe Cell(
      owner: owner,
      type: type,
      bytes: UnsafeRawBufferPointer(rebasing: storage[offset..<offset + count])
    )
  }

  func nullPart(as type: PostgresType) -> Cell {
    unsafe Cell(owner: owner, type: type, bytes: nil)
  }
}
