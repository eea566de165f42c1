/// Cuts a plugin's standard error into lines and keeps the last ones.
struct ErrorStream {
  /// Bytes of lines that are kept.
  static let keptBytes = 65_536
  /// Longer lines are cut.
  static let maximumLineBytes = 4_096

  private var pending: [UInt8] = []
  private var kept: [String] = []
  private var size = 0

  /// The last lines, oldest first, together at most `keptBytes`.
  var lastLines: [String] { kept }

  /// Takes the next bytes.
  ///
  /// - Returns: The lines that ended in them.
  mutating func consume(_ bytes: ArraySlice<UInt8>) -> [String] {
    var lines: [String] = []
    var rest = bytes
    while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
      add(rest[..<end])
      lines.append(endLine())
      rest = rest[(end + 1)...]
    }
    add(rest)
    return lines
  }

  /// Ends the stream.
  ///
  /// - Returns: The line that had no end.
  mutating func finish() -> String? {
    pending.isEmpty ? nil : endLine()
  }

  private mutating func add(_ bytes: ArraySlice<UInt8>) {
    pending.append(contentsOf: bytes.prefix(Self.maximumLineBytes - pending.count))
  }

  private mutating func endLine() -> String {
    let line = String(decoding: pending, as: UTF8.self)
    pending = []
    kept.append(line)
    size += line.utf8.count
    while size > Self.keptBytes {
      size -= kept.removeFirst().utf8.count
    }
    return line
  }
}
