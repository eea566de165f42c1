internal import Glibc

/// Cuts a plugin's standard error into lines and keeps the last ones.
///
/// Lines are cut only for those who want them: a flood costs a copy of its bytes and no more.
struct ErrorStream {
  /// Bytes that are kept, ends of lines included.
  static let keptBytes = 65_536
  /// Longer lines are cut.
  static let maximumLineBytes = 4_096

  private var pending: [UInt8] = []
  private var kept: [UInt8] = []

  /// The last lines, oldest first, together at most `keptBytes`.
  var lastLines: [String] {
    var lines = kept.suffix(Self.keptBytes).split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    if lines.last?.isEmpty ?? false { lines.removeLast() }
    return lines.map { String(decoding: $0.prefix(Self.maximumLineBytes), as: UTF8.self) }
  }

  /// Takes the next bytes.
  ///
  /// - Parameter wanted: How many lines somebody wants to see.
  /// - Returns: The first lines that ended in them, and how many more there were.
  mutating func consume(_ bytes: ArraySlice<UInt8>, wanted: Int = .max) -> (lines: [String], more: Int) {
    keep(bytes)
    var lines: [String] = []
    var rest = bytes
    while lines.count < wanted, let end = Self.end(in: rest) {
      add(rest[..<end])
      lines.append(String(decoding: pending, as: UTF8.self))
      pending.removeAll(keepingCapacity: true)
      rest = rest[(end + 1)...]
    }
    var more = 0
    while let end = Self.end(in: rest) {
      more += 1
      pending.removeAll(keepingCapacity: true)
      rest = rest[(end + 1)...]
    }
    add(rest)
    return (lines, more)
  }

  /// Ends the stream.
  ///
  /// - Returns: The line that had no end.
  mutating func finish() -> String? {
    guard !pending.isEmpty else { return nil }
    defer { pending = [] }
    return String(decoding: pending, as: UTF8.self)
  }

  private mutating func keep(_ bytes: ArraySlice<UInt8>) {
    kept.append(contentsOf: bytes)
    // Seldom, so that each byte is moved once or twice and not with every line.
    if kept.count > 4 * Self.keptBytes { kept.removeFirst(kept.count - Self.keptBytes) }
  }

  private mutating func add(_ bytes: ArraySlice<UInt8>) {
    pending.append(contentsOf: bytes.prefix(Self.maximumLineBytes - pending.count))
  }

  private static func end(in bytes: ArraySlice<UInt8>) -> Int? {
    let offset: Int? = unsafe bytes.withUnsafeBytes { buffer in
      guard let base = buffer.baseAddress, let found = unsafe memchr(base, 0x0A, buffer.count) else { return nil }
      return unsafe UnsafeRawPointer(found) - base
    }
    return offset.map { bytes.startIndex + $0 }
  }
}
