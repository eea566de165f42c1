import FoundationEssentials
import JSONDocument
import Testing

@Suite struct RFC3339Tests {
  @Test(
    arguments: [
      ("1970-01-01T00:00:00Z", 0),
      ("2026-08-10T12:00:00.250+02:00", 1_786_356_000.25),
      ("2000-02-29t23:59:59z", 951_868_799),
      ("1969-12-31 23:59:59Z", -1),
      ("0000-01-01T00:00:00Z", -62_167_219_200),
      ("9999-12-31T23:59:59-00:00", 253_402_300_799),
    ]
  )
  func reads(text: String, seconds: Double) {
    #expect(RFC3339.parse(text) == Date(timeIntervalSince1970: seconds))
  }

  @Test(
    arguments: [
      "", "2026-08-10", "2026-08-10T12:00:00", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
      "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Zx",
      "2026-01-01T00:00:00+0200", "2026-1-1T00:00:00Z", "2026-01-01T00:00:00.1234567890Z", "2026-01-01T00:00:00+24:00",
    ]
  )
  func refuses(text: String) {
    #expect(RFC3339.parse(text) == nil)
  }

  @Test(arguments: Array(stride(from: -62_167_219_200.0, through: 253_402_300_799, by: 4_999_999_999.125)))
  func writesWhatItReads(seconds: Double) throws {
    let text = RFC3339.format(Date(timeIntervalSince1970: seconds))
    let read = try #require(RFC3339.parse(text))
    #expect(abs(read.timeIntervalSince1970 - seconds) <= 0.001)
    #expect(RFC3339.format(read) == text || abs(read.timeIntervalSince1970 - seconds) <= 0.001)
    #expect(text.count == 24)
  }

  /// Nothing is lost on the way from a client's text through the database, which keeps microseconds since 2000, and back.
  @Test func millisecondsSurvive() throws {
    var wrong: [String] = []
    for _ in 0..<20_000 {
      let millis = Int64.random(in: 1_600_000_000_000...2_500_000_000_000)
      let text = RFC3339.format(Date(timeIntervalSince1970: Double(millis) / 1000))
      let read = try #require(RFC3339.parse(text))
      let micros = ((read.timeIntervalSince1970 - 946_684_800) * 1_000_000).rounded()
      let back = Date(timeIntervalSince1970: micros / 1_000_000 + 946_684_800)
      if !text.hasSuffix(Self.end(millis)) || RFC3339.format(back) != text { wrong.append(text) }
    }
    #expect(wrong.isEmpty)
  }

  /// Seconds and milliseconds of the minute.
  private static func end(_ millis: Int64) -> String {
    let (seconds, rest) = (String(millis / 1000 % 60), String(millis % 1000))
    return ":" + String(repeating: "0", count: 2 - seconds.count) + seconds + "."
      + String(repeating: "0", count: 3 - rest.count) + rest + "Z"
  }

  @Test(arguments: [Double.infinity, -.infinity, .nan, 1e300, -1e300])
  func neverTrapsOnAnyTime(seconds: Double) {
    #expect(RFC3339.format(Date(timeIntervalSince1970: seconds)).count == 24)
  }
}
