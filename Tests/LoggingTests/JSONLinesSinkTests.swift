import FoundationEssentials
import Glibc
import Logging
import Testing

@Suite struct JSONLinesSinkTests {
  private struct Line: Decodable {
    var time: String
    var level: String
    var message: String
    var text: String?
    var count: Int?
    var field_level: String?
  }

  /// Writes through a pipe and returns the lines that came out.
  private func lines(_ body: (JSONLinesSink) -> Void) throws -> [Line] {
    var ends: [Int32] = [-1, -1]
    try #require(unsafe pipe(&ends) == 0)
    let sink = JSONLinesSink(descriptor: ends[1])
    body(sink)
    sink.flush()
    close(ends[1])
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe read(ends[0], &buffer, buffer.count)
      guard count > 0 else { break }
      bytes += buffer[..<count]
    }
    close(ends[0])
    return try bytes.split(separator: UInt8(ascii: "\n")).map { try JSONDecoder().decode(Line.self, from: Data($0)) }
  }

  @Test(arguments: [
    (0, "1970-01-01T00:00:00.000Z"),
    (951_782_400_123_456, "2000-02-29T00:00:00.123Z"),
    (1_795_230_245_999_999, "2026-11-21T03:04:05.999Z"),
    (-1_000, "1969-12-31T23:59:59.999Z"),
  ])
  func writesTimesInUTC(microseconds: Int64, text: String) throws {
    let lines = try lines {
      $0.write(LogRecord(time: microseconds, level: .info, message: "Tick", fields: [:]))
    }
    #expect(lines.map(\.time) == [text])
  }

  @Test func escapesEverythingThatCouldBreakTheLine() throws {
    let text = "quote \" back \\ line\n tab\t nul\u{0} esc\u{1B} csi\u{9B} ünï 🎉"
    let lines = try lines {
      $0.write(LogRecord(time: 0, level: .error, message: "Odd text", fields: ["text": text]))
    }
    #expect(lines.map(\.text) == [text])
  }

  @Test func keepsReservedNamesForItself() throws {
    let lines = try lines {
      $0.write(LogRecord(time: 0, level: .info, message: "Named", fields: ["level": "fake"]))
    }
    #expect(lines.first?.level == "info")
    #expect(lines.first?.field_level == "fake")
  }

  @Test func cutsLongTexts() throws {
    let lines = try lines {
      $0.write(
        LogRecord(time: 0, level: .info, message: "Long", fields: ["text": String(repeating: "a", count: 50_000)])
      )
    }
    #expect(lines.first?.text?.utf8.count == 16_384 + 3)
  }

  @Test func dropsAndCountsWhatASlowReaderCannotTake() throws {
    signal(SIGPIPE, SIG_IGN)
    var ends: [Int32] = [-1, -1]
    try #require(unsafe pipe(&ends) == 0)
    let sink = JSONLinesSink(descriptor: ends[1])
    defer {
      // The sink still writes. Without a reader that fails, and only then may the number become another file's.
      close(ends[0])
      sink.flush()
      close(ends[1])
    }
    let text = String(repeating: "b", count: 16_000)
    // More than the pipe, the chunk being written and the buffer hold together.
    for _ in 0..<200 {
      sink.write(LogRecord(time: 0, level: .info, message: "Flood", fields: ["text": text]))
    }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    func drainUntil(_ mark: String) {
      while bytes.isEmpty || !String(decoding: bytes.suffix(70_000), as: UTF8.self).contains(mark) {
        let count = unsafe read(ends[0], &buffer, buffer.count)
        guard count > 0 else { return }
        bytes += buffer[..<count]
        sink.write(LogRecord(time: 0, level: .info, message: "After", fields: [:]))
      }
    }
    drainUntil("\"After\"")
    let out = String(decoding: bytes, as: UTF8.self)
    let kept = out.split(separator: "\n").count { $0.contains("Flood") }
    #expect(kept < 200)
    #expect(out.contains("Dropped log records"))
  }
}
