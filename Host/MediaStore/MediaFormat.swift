/// What the first bytes of a file say about it. The name and type that a client claims are never believed.
package struct MediaFormat: Sendable, Equatable {
  /// The media type, such as `image/png`.
  package let type: String
  /// Pixels; nil where the format hides them deeper in the file.
  package let width: Int?
  package let height: Int?

  package init(type: String, width: Int?, height: Int?) {
    self.type = type
    self.width = width
    self.height = height
  }

  /// How many bytes of a file ``detect(_:)`` wants to see; a JPEG may carry large metadata before its size.
  package static let wantedBytes = 256 * 1024

  /// The formats that can be uploaded, for messages.
  package static let supported = ["image/gif", "image/jpeg", "image/png", "image/webp", "video/mp4", "video/quicktime"]

  /// Recognises a format by its content; nil for anything that is not supported.
  package static func detect(_ head: [UInt8]) -> MediaFormat? {
    if head.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) { return png(head) }
    if head.starts(with: [0xFF, 0xD8, 0xFF]) { return jpeg(head) }
    if head.starts(with: Array("GIF87a".utf8)) || head.starts(with: Array("GIF89a".utf8)) { return gif(head) }
    if head.starts(with: Array("RIFF".utf8)), head.dropFirst(8).starts(with: Array("WEBP".utf8)) { return webp(head) }
    if head.dropFirst(4).starts(with: Array("ftyp".utf8)), head.count >= 12 {
      let brand = head[8..<12]
      return MediaFormat(
        type: brand.elementsEqual("qt  ".utf8) ? "video/quicktime" : "video/mp4",
        width: nil,
        height: nil
      )
    }
    return nil
  }

  private static func png(_ head: [UInt8]) -> MediaFormat? {
    guard head.count >= 24, head[12..<16].elementsEqual("IHDR".utf8) else { return nil }
    return sized("image/png", bigEndian(head, 16, 4), bigEndian(head, 20, 4))
  }

  private static func gif(_ head: [UInt8]) -> MediaFormat? {
    guard head.count >= 10 else { return nil }
    return sized("image/gif", littleEndian(head, 6, 2), littleEndian(head, 8, 2))
  }

  /// Walks the segments to the first frame header.
  private static func jpeg(_ head: [UInt8]) -> MediaFormat? {
    var offset = 2
    while offset + 9 < head.count {
      guard head[offset] == 0xFF else { return nil }
      let marker = head[offset + 1]
      if marker == 0xFF {
        offset += 1
        continue
      }
      let isFrame = (0xC0...0xCF).contains(marker) && marker != 0xC4 && marker != 0xC8 && marker != 0xCC
      if isFrame { return sized("image/jpeg", bigEndian(head, offset + 7, 2), bigEndian(head, offset + 5, 2)) }
      let length = bigEndian(head, offset + 2, 2)
      guard length >= 2 else { return nil }
      offset += 2 + length
    }
    return MediaFormat(type: "image/jpeg", width: nil, height: nil)
  }

  private static func webp(_ head: [UInt8]) -> MediaFormat? {
    guard head.count >= 30 else { return nil }
    switch String(decoding: head[12..<16], as: UTF8.self) {
    case "VP8X":
      return sized("image/webp", littleEndian(head, 24, 3) + 1, littleEndian(head, 27, 3) + 1)
    case "VP8 ":
      return sized("image/webp", littleEndian(head, 26, 2) & 0x3FFF, littleEndian(head, 28, 2) & 0x3FFF)
    case "VP8L":
      let bits = littleEndian(head, 21, 4)
      return sized("image/webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    default:
      return nil
    }
  }

  private static func sized(_ type: String, _ width: Int, _ height: Int) -> MediaFormat? {
    width > 0 && height > 0 ? MediaFormat(type: type, width: width, height: height) : nil
  }

  private static func bigEndian(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> Int {
    bytes[offset..<offset + count].reduce(0) { $0 << 8 | Int($1) }
  }

  private static func littleEndian(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> Int {
    bytes[offset..<offset + count].reversed().reduce(0) { $0 << 8 | Int($1) }
  }
}
