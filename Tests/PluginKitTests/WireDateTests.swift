import FoundationEssentials
import PluginKit
import Testing

@Suite struct WireDateTests {
  @Test(arguments: [
    ("1970-01-01T00:00:00Z", 0.0), ("2026-01-02T03:04:05.678Z", 1_767_323_045.678),
    ("2026-01-02T03:04:05+00:00", 1_767_323_045), ("2026-01-02T05:04:05+02:00", 1_767_323_045),
    ("2000-02-29T23:59:59Z", 951_868_799), ("1969-12-31T23:59:59Z", -1), ("2100-03-01T00:00:00Z", 4_107_542_400),
  ])
  func readsRFC3339(_ text: String, _ seconds: Double) throws {
    let date = try #require(WireDate.parse(text))
    #expect(abs(date.timeIntervalSince1970 - seconds) < 0.0005)
  }

  @Test(arguments: [
    "", "2026-01-02", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-01-02T24:00:00Z", "2026-01-02T03:04:05",
    "2026-01-02T03:04:05.Z", "2026-01-02 03:04:05Z", "2026-01-02T03:04:05+0200", "x026-01-02T03:04:05Z",
  ])
  func refuses(_ text: String) {
    #expect(WireDate.parse(text) == nil)
  }

  @Test func writesWhatItReads() throws {
    for text in ["2026-01-02T03:04:05.678Z", "2024-02-29T00:00:00.000Z", "1969-12-31T23:59:59.999Z"] {
      #expect(WireDate.text(try #require(WireDate.parse(text)), milliseconds: true) == text)
    }
    for day in stride(from: -1_000, to: 60_000, by: 37) {
      let text = WireDate.text(.init(timeIntervalSince1970: Double(day) * 86_400))
      #expect(WireDate.parse(text)?.timeIntervalSince1970 == Double(day) * 86_400)
    }
  }

  @Test func readsHeaderDates() {
    #expect(WireDate.parseHTTP("Sun, 06 Nov 1994 08:49:37 GMT")?.timeIntervalSince1970 == 784_111_777)
    for bad in ["", "Sun, 06 Nov 1994 08:49:37", "Sun, 32 Nov 1994 08:49:37 GMT", "120"] {
      #expect(WireDate.parseHTTP(bad) == nil)
    }
  }
}
