/// What a file is, by its first bytes.
enum MediaFormat: String, Sendable {
  case jpeg = "image/jpeg"
  case png = "image/png"
  case gif = "image/gif"
  case webp = "image/webp"
  case mp4 = "video/mp4"

  init?(_ bytes: [UInt8]) {
    if bytes.starts(with: [0xFF, 0xD8, 0xFF]) {
      self = .jpeg
    } else if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
      self = .png
    } else if bytes.starts(with: "GIF87a".utf8) || bytes.starts(with: "GIF89a".utf8) {
      self = .gif
    } else if bytes.count >= 12, bytes.starts(with: "RIFF".utf8), bytes[8..<12].elementsEqual("WEBP".utf8) {
      self = .webp
    } else if bytes.count >= 12, bytes[4..<8].elementsEqual("ftyp".utf8) {
      self = .mp4
    } else {
      return nil
    }
  }

  var kind: XMedia.Kind {
    switch self {
    case .jpeg, .png, .webp: .image
    case .gif: .gif
    case .mp4: .video
    }
  }

  /// Seconds of an MP4 file, from its movie header box.
  static func duration(ofMP4 bytes: [UInt8]) -> Double? {
    guard let box = bytes.firstIndex(of: Array("mvhd".utf8), from: 0), bytes.count - box >= 36 else { return nil }
    func number(_ offset: Int, _ count: Int) -> UInt64 {
      bytes[(box + offset)..<(box + offset + count)].reduce(0) { $0 << 8 | UInt64($1) }
    }
    // Version 1 has 64-bit times.
    let isLong = bytes[box + 4] == 1
    let scale = isLong ? number(24, 4) : number(16, 4)
    let length = isLong ? number(28, 8) : number(20, 4)
    return scale == 0 ? nil : Double(length) / Double(scale)
  }
}
