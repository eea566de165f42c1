/// Lays the values of a statement out as the arrays that libpq wants, reusing its memory.
struct ParameterBuffer {
  /// The protocol counts parameters in 16 bits.
  private static let maximumParameters = 65_535
  /// The server refuses larger messages.
  private static let maximumBytes = 1 << 30

  private var values: [UInt8] = []
  private var lengths: [Int] = []
  private var types: [UInt32] = []

  /// Says why a statement cannot be sent, or returns nil.
  ///
  /// - Parameter isPrepared: Whether the server has accepted its text before.
  static func problem(with statement: SQL, isPrepared: Bool) -> String? {
    if statement.parameterCount > maximumParameters { return "A statement has more than 65535 parameters" }
    if statement.values.count >= maximumBytes { return "The parameters of a statement exceed 1 GiB" }
    if !isPrepared, statement.literals.contains(where: { $0.utf8.contains(0) }) {
      return "A statement's text contains a NUL byte"
    }
    return nil
  }

  mutating func fill(from statement: SQL) {
    values.removeAll(keepingCapacity: values.capacity <= 1 << 20)
    values.append(contentsOf: statement.values)
    // An empty value must still have an address, because no address means NULL.
    values.append(0)
    lengths = statement.lengths
    types = statement.types
  }

  func withPointers<Result>(
    _ body: (
      _ values: UnsafePointer<UnsafePointer<CChar>?>?,
      _ lengths: UnsafePointer<Int32>?,
      _ formats: UnsafePointer<Int32>?,
      _ types: UnsafePointer<UInt32>?
    ) -> Result
  ) -> Result {
    unsafe values.withUnsafeBytes { bytes in
      let count = lengths.count
      return unsafe withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: max(1, count)) { pointers in
        unsafe withUnsafeTemporaryAllocation(of: Int32.self, capacity: max(1, count)) { sizes in
          unsafe withUnsafeTemporaryAllocation(of: Int32.self, capacity: max(1, count)) { formats in
            var offset = 0
            for index in 0..<count {
              let length = lengths[index]
              let start = unsafe bytes.baseAddress.map { unsafe ($0 + offset).assumingMemoryBound(to: CChar.self) }
              unsafe pointers.initializeElement(at: index, to: length < 0 ? nil : start)
              unsafe sizes.initializeElement(at: index, to: Int32(clamping: max(0, length)))
              unsafe formats.initializeElement(at: index, to: 1)
              offset += max(0, length)
            }
            return unsafe types.withUnsafeBufferPointer { types in
              unsafe body(pointers.baseAddress, sizes.baseAddress, formats.baseAddress, types.baseAddress)
            }
          }
        }
      }
    }
  }
}
