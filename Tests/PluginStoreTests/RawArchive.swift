/// Writes `tar` files as an attacker would: every field of a header at will.
struct RawArchive {
  private(set) var bytes: [UInt8] = []

  struct Header {
    var path: String
    var size: Int
    var mode = "0000444"
    var kind: Character = "0"
    var time = "00000000000"
    var link = ""
    var prefix = ""
  }

  mutating func add(_ path: String, _ content: [UInt8], _ change: (inout Header) -> Void = { _ in }) {
    var header = Header(path: path, size: content.count)
    change(&header)
    bytes += Self.block(header)
    bytes += content
    bytes += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
  }

  mutating func append(_ raw: [UInt8]) { bytes += raw }

  mutating func end() { bytes += [UInt8](repeating: 0, count: 1_024) }

  private static func block(_ header: Header) -> [UInt8] {
    var block = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, _ offset: Int) {
      for (index, byte) in text.utf8.enumerated() { block[offset + index] = byte }
    }
    put(header.path, 0)
    put(header.mode, 100)
    put("0000000", 108)
    put("0000000", 116)
    put(octal(header.size, 11), 124)
    put(header.time, 136)
    put("        ", 148)
    put(String(header.kind), 156)
    put(header.link, 157)
    put("ustar", 257)
    put("00", 263)
    put(header.prefix, 345)
    let sum = block.reduce(0) { $0 + Int($1) }
    put(octal(sum, 6), 148)
    block[154] = 0
    return block
  }

  private static func octal(_ number: Int, _ digits: Int) -> String {
    let text = String(number, radix: 8)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }

  /// The files of an archive, by path.
  static func files(_ bytes: [UInt8]) -> [(path: String, content: [UInt8])] {
    var files: [(String, [UInt8])] = []
    var offset = 0
    while offset + 512 <= bytes.count, bytes[offset] != 0 {
      let path = String(decoding: bytes[offset..<(offset + 100)].prefix { $0 != 0 }, as: UTF8.self)
      let digits = String(decoding: bytes[(offset + 124)..<(offset + 135)], as: UTF8.self)
      let size = Int(digits, radix: 8) ?? 0
      offset += 512
      files.append((path, Array(bytes[offset..<(offset + size)])))
      offset += (size + 511) / 512 * 512
    }
    return files
  }
}
