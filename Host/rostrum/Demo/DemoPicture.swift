import Glibc

/// A picture that the demo draws itself: an evening sky over hills, as a PNG file.
enum DemoPicture {
  static let alt = "A drawing of the sun going down behind two rows of blue hills"
  private static let width = 480
  private static let height = 270

  /// The bytes of the file.
  static func png() -> [UInt8] {
    var file: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    // Eight bits for each of red, green and blue; the standard compression and filters, not interlaced.
    append("IHDR", big(UInt32(width)) + big(UInt32(height)) + [8, 2, 0, 0, 0], to: &file)
    append("IDAT", stored(rows()), to: &file)
    append("IEND", [], to: &file)
    return file
  }

  // MARK: Drawing

  private static func rows() -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(height * (width * 3 + 1))
    for y in 0..<height {
      // Each row begins with its filter: none.
      bytes.append(0)
      for x in 0..<width { bytes += colour(Double(x) / Double(width), Double(y) / Double(height)) }
    }
    return bytes
  }

  private static func colour(_ x: Double, _ y: Double) -> [UInt8] {
    if y > 0.78 + 0.05 * sin(x * 9 + 1) { return [28, 49, 84] }
    if y > 0.66 + 0.07 * sin(x * 6 - 0.5) { return [58, 92, 140] }
    let (dx, dy) = ((x - 0.62) * 16 / 9, y - 0.55)
    if dx * dx + dy * dy < 0.018 { return [255, 226, 150] }
    return [mix(70, 250, y), mix(110, 170, y), mix(190, 120, y)]
  }

  private static func mix(_ top: Double, _ bottom: Double, _ share: Double) -> UInt8 {
    UInt8(min(255, max(0, top + (bottom - top) * share)))
  }

  // MARK: File format

  /// The zlib form of the bytes in stored blocks: no compression, so no compressor.
  private static func stored(_ bytes: [UInt8]) -> [UInt8] {
    var result: [UInt8] = [0x78, 0x01]
    result.reserveCapacity(bytes.count + bytes.count / 65_535 * 5 + 16)
    var start = 0
    repeat {
      let end = min(start + 65_535, bytes.count)
      let count = UInt16(end - start)
      result.append(end == bytes.count ? 1 : 0)
      result += [UInt8(count & 0xFF), UInt8(count >> 8), UInt8(~count & 0xFF), UInt8(~count >> 8)]
      result += bytes[start..<end]
      start = end
    } while start < bytes.count
    return result + big(adler32(bytes))
  }

  private static func append(_ type: String, _ data: [UInt8], to file: inout [UInt8]) {
    let body = Array(type.utf8) + data
    file += big(UInt32(data.count)) + body + big(crc32(body))
  }

  private static func big(_ value: UInt32) -> [UInt8] {
    [UInt8(value >> 24), UInt8(value >> 16 & 0xFF), UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)]
  }

  private static func adler32(_ bytes: [UInt8]) -> UInt32 {
    var (a, b): (UInt32, UInt32) = (1, 0)
    for byte in bytes {
      a = (a + UInt32(byte)) % 65_521
      b = (b + a) % 65_521
    }
    return b << 16 | a
  }

  private static let table: [UInt32] = (0..<256).map { start in
    (0..<8).reduce(UInt32(start)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
  }

  private static func crc32(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(UInt32.max) { crc, byte in crc >> 8 ^ table[Int((crc ^ UInt32(byte)) & 0xFF)] }
  }
}
