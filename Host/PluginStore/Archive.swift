import PluginManifest

/// The outer form of a bundle: a `tar` file in one fixed form, so that equal content gives equal bytes.
///
/// Only regular files of one owner, without times, with names of at most 100 bytes. Whatever else a `tar` file can say
/// (links, devices, modes, extensions) is refused by comparing each header with the one this type would write.
enum Archive {
  static let blockSize = 512
  /// Most bytes of all files of a bundle together.
  static let maximumBytes: Int64 = 256 << 20
  /// Most bytes of the archive: its files, a header and a filled-up block for each, and the end.
  static let maximumArchiveBytes = maximumBytes + Int64(Artifact.maximumFiles + 4) * 1_024

  static let manifestName = "manifest.json"
  static let signatureName = "manifest.sig"

  /// The header of a file.
  static func header(path: String, size: Int64) -> [UInt8] {
    var block = [UInt8](repeating: 0, count: blockSize)
    put(path, at: 0, in: &block)
    put("0000444", at: 100, in: &block)
    put("0000000", at: 108, in: &block)
    put("0000000", at: 116, in: &block)
    put(octal(size, digits: 11), at: 124, in: &block)
    put("00000000000", at: 136, in: &block)
    put("        ", at: 148, in: &block)
    put("0", at: 156, in: &block)
    put("ustar", at: 257, in: &block)
    put("00", at: 263, in: &block)
    let sum = block.reduce(0) { $0 + Int64($1) }
    put(octal(sum, digits: 6), at: 148, in: &block)
    block[154] = 0
    return block
  }

  /// How many zero bytes follow a file of that size.
  static func padding(_ size: Int64) -> Int { Int((512 - size % 512) % 512) }

  /// What a block that is no end block says: the path and size of the next file.
  static func entry(_ block: [UInt8]) throws(StoreError) -> (path: String, size: Int64) {
    let path = text(block[0..<100])
    // Said in words where it is a known trick; the comparison below catches everything else.
    try checkKind(block[156], path)
    guard !path.hasPrefix("/") else { throw bad("names the absolute path \(quoted(path))") }
    guard !path.split(separator: "/", omittingEmptySubsequences: false).contains("..") else {
      throw bad("names \(quoted(path)), which leads out of its folder")
    }
    guard Artifact.isPath(path) else {
      throw bad("has a file with the name \(quoted(path)); allowed are \(Artifact.pathRule)")
    }
    let mode = text(block[100..<108])
    guard let bits = UInt32(mode, radix: 8) else { throw bad("has a broken header for \(path)") }
    guard bits & 0o7000 == 0 else { throw bad("gives \(path) the mode \(mode), a right to change the user") }
    guard let size = Int64(text(block[124..<136]), radix: 8), size >= 0 else {
      throw bad("has a broken header for \(path)")
    }
    guard size <= maximumBytes else {
      throw bad("has \(size) bytes in \(path); all files together may have \(maximumBytes)")
    }
    guard block == header(path: path, size: size) else {
      throw bad("has a header for \(path) that `rostrum plugin pack` does not write; pack it again")
    }
    return (path, size)
  }

  private static func checkKind(_ kind: UInt8, _ path: String) throws(StoreError) {
    switch kind {
    case UInt8(ascii: "0"): return
    case UInt8(ascii: "1"), UInt8(ascii: "2"): throw bad("holds the link \(quoted(path)); links are not allowed")
    case UInt8(ascii: "5"): throw bad("holds the folder \(quoted(path)) as an entry; only files are allowed")
    case UInt8(ascii: "3"), UInt8(ascii: "4"), UInt8(ascii: "6"):
      throw bad("holds the device or pipe \(quoted(path)); only files are allowed")
    default: throw bad("holds an entry \(quoted(path)) that is no plain file; pack it with `rostrum plugin pack`")
    }
  }

  static func bad(_ problem: String) -> StoreError { StoreError(.malformed, "The bundle \(problem)") }

  static func quoted(_ text: String) -> String {
    "“" + String(text.unicodeScalars.prefix(120).map { $0.value < 32 || $0.value == 127 ? "\u{FFFD}" : Character($0) })
      + "”"
  }

  private static func text(_ field: ArraySlice<UInt8>) -> String {
    String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
  }

  private static func put(_ text: String, at offset: Int, in block: inout [UInt8]) {
    for (index, byte) in text.utf8.enumerated() { block[offset + index] = byte }
  }

  private static func octal(_ number: Int64, digits: Int) -> String {
    let text = String(number, radix: 8)
    return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
  }
}
