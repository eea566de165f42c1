import Testing

@testable import MediaStore

/// The content decides, and hostile content never traps.
@Suite struct MediaFormatTests {
  static let png: [UInt8] =
    [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13] + Array("IHDR".utf8) + [0, 0, 1, 0, 0, 0, 0, 16]
  static let gif: [UInt8] = Array("GIF89a".utf8) + [4, 1, 2, 0]
  static let jpeg: [UInt8] =
    [0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 1, 2, 0xFF, 0xFF, 0xC0, 0, 17, 8, 0, 10, 1, 0, 3, 0]
  static let webp: [UInt8] =
    Array("RIFF".utf8) + [0, 0, 0, 0] + Array("WEBPVP8X".utf8) + [10, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 19, 0, 0]
  static let lossless: [UInt8] =
    Array("RIFF".utf8) + [0, 0, 0, 0] + Array("WEBPVP8L".utf8) + [0, 0, 0, 0, 0x2F, 9, 0xC0, 4, 0] + [0, 0, 0, 0, 0]
  static let mp4: [UInt8] = [0, 0, 0, 24] + Array("ftypisom".utf8)

  @Test func recognisesWhatItSupports() {
    #expect(MediaFormat.detect(Self.png) == MediaFormat(type: "image/png", width: 256, height: 16))
    #expect(MediaFormat.detect(Self.gif) == MediaFormat(type: "image/gif", width: 260, height: 2))
    #expect(MediaFormat.detect(Self.jpeg) == MediaFormat(type: "image/jpeg", width: 256, height: 10))
    #expect(MediaFormat.detect(Self.webp) == MediaFormat(type: "image/webp", width: 10, height: 20))
    #expect(MediaFormat.detect(Self.lossless)?.width == 10)
    #expect(MediaFormat.detect(Self.mp4)?.type == "video/mp4")
    #expect(MediaFormat.detect([0, 0, 0, 24] + Array("ftypqt  ".utf8))?.type == "video/quicktime")
  }

  @Test(arguments: ["", "<svg/>", "%PDF-1.4", "GIF88a....", "\u{89}PNG", "RIFF....WAVE", "hello world, this is text"])
  func refusesEverythingElse(text: String) {
    #expect(MediaFormat.detect(Array(text.utf8)) == nil)
  }

  @Test func noBeginningAndNoDamageTraps() {
    var generator = SystemRandomNumberGenerator()
    for sample in [Self.png, Self.gif, Self.jpeg, Self.webp, Self.lossless, Self.mp4] {
      for length in 0...sample.count { _ = MediaFormat.detect(Array(sample[..<length])) }
      for _ in 0..<2000 {
        var damaged = sample
        for _ in 0..<3 { damaged[Int.random(in: 0..<damaged.count, using: &generator)] = .random(in: 0...255) }
        if let format = MediaFormat.detect(damaged) {
          #expect(MediaFormat.supported.contains(format.type))
          #expect((format.width ?? 1) > 0 && (format.height ?? 1) > 0)
        }
      }
    }
  }
}
