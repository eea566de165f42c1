import JSONText
import PluginTransport
import Testing

@Suite struct FrameReaderTests {
  private func events(_ chunks: [[UInt8]], cap: Int = 64) -> [FrameReader.Event] {
    var reader = FrameReader(maximumFrameBytes: cap)
    var events: [FrameReader.Event] = []
    for chunk in chunks { reader.consume(chunk) { events.append($0) } }
    return events
  }

  private let stream = Array(
    "{\"id\":1}\nhello\n{\"text\":\"é😀\"}\n\n {}\n{\"id\":2}\r\n{bad}\n{\"id\":3}\n".utf8
  )

  private func expected() throws -> [FrameReader.Event] {
    [
      .frame(try RawJSON(text: "{\"id\":1}")), .stray(prefix: Array("hello".utf8)),
      .frame(try RawJSON(text: "{\"text\":\"é😀\"}")), .stray(prefix: []), .stray(prefix: Array(" {}".utf8)),
      .frame(try RawJSON(text: "{\"id\":2}")), .malformed(JSONTextError(.unexpectedCharacter, at: 1)),
      .frame(try RawJSON(text: "{\"id\":3}")),
    ]
  }

  @Test func findsLinesInOneChunk() throws {
    #expect(events([stream]) == (try expected()))
  }

  @Test func findsLinesByteByByte() throws {
    #expect(events(stream.map { [$0] }) == (try expected()))
  }

  @Test func findsLinesAtEverySplit() throws {
    let expected = try expected()
    for index in 0...stream.count {
      #expect(events([Array(stream[..<index]), Array(stream[index...])]) == expected)
    }
  }

  @Test func acceptsAFrameOfExactlyTheCap() throws {
    let text = "{\"a\":\"" + String(repeating: "x", count: 56) + "\"}"
    #expect(text.utf8.count == 64)
    #expect(events([Array((text + "\n").utf8)]) == [.frame(try RawJSON(text: text))])
    #expect(events(Array((text + "\n").utf8).map { [$0] }) == [.frame(try RawJSON(text: text))])
  }

  @Test func stopsForGoodOverTheCap() {
    let long = Array(String(repeating: "y", count: 65).utf8)
    #expect(events([long]) == [.overflow(limit: 64)])
    #expect(events([long + [0x0A]]) == [.overflow(limit: 64)])
    #expect(events(long.map { [$0] } + [[0x0A], Array("{}\n".utf8)]) == [.overflow(limit: 64)])
    #expect(events([Array("{}\n".utf8), long, Array("\n{}\n".utf8)]) == [.frame(.emptyObject), .overflow(limit: 64)])
  }

  @Test func keepsNoMoreThanTheCap() {
    var reader = FrameReader(maximumFrameBytes: 1_000)
    var count = 0
    for _ in 0..<10_000 {
      reader.consume([UInt8](repeating: 0x78, count: 997)) { _ in count += 1 }
      #expect(reader.pendingBytes <= 1_000)
    }
    #expect(count == 1)
  }

  @Test func keepsOnlyThePrefixOfAStray() {
    let long = Array(String(repeating: "z", count: 2_000).utf8)
    #expect(events([long + [0x0A]], cap: 4_096) == [.stray(prefix: Array(long.prefix(256)))])
  }
}
