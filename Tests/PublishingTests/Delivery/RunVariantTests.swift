import FoundationEssentials
import Testing

@testable import Publishing

/// A replay sees the same instant to the last digit, or its requests would have other digests.
@Suite struct RunVariantTests {
  @Test func theInstantOnTheWireIsExact() {
    var generator = SystemRandomNumberGenerator()
    var wrong: [Int64] = []
    for _ in 0..<20_000 {
      let millis = Int64.random(in: 1_600_000_000_000...2_500_000_000_000, using: &generator)
      let date = Date(timeIntervalSince1970: Double(millis) / 1000)
      // As the database keeps it, in whole microseconds since 2000.
      let micros = ((date.timeIntervalSince1970 - 946_684_800) * 1_000_000).rounded()
      let back = Date(timeIntervalSince1970: micros / 1_000_000 + 946_684_800)
      let text = Timestamp.text(date)
      if !text.hasSuffix(Self.text(millis)) || Timestamp.text(back) != text { wrong.append(millis) }
    }
    #expect(wrong.isEmpty)
  }

  @Test func aRunStartsAtAWholeMillisecond() throws {
    let variant = Variant(
      text: "t",
      title: "t",
      excerpt: "",
      content: nil,
      url: nil,
      tags: [],
      mentions: [],
      media: [],
      options: nil
    )
    let run = RunVariant(variant, startedAt: Date(timeIntervalSince1970: 1_700_000_000.1239))
    #expect(Timestamp.text(run.startedAt) == "2023-11-14T22:13:20.123Z")
    #expect(run.seed.count == 16)
    let again = try RunVariant(run.inputs(pluginVersion: "1.0.0"))
    #expect(again.seedText == run.seedText)
    #expect(again.post == run.post)
  }

  /// Seconds and milliseconds of the minute.
  private static func text(_ millis: Int64) -> String {
    let seconds = String(millis / 1000 % 60)
    let rest = String(millis % 1000)
    return ":" + String(repeating: "0", count: 2 - seconds.count) + seconds + "."
      + String(repeating: "0", count: 3 - rest.count) + rest + "Z"
  }
}
