import FoundationEssentials
import JSONDocument
import Testing

@testable import Publishing

/// A replay sees the same instant to the last digit, or its requests would have other digests.
@Suite struct RunVariantTests {
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
    #expect(RFC3339.format(run.startedAt) == "2023-11-14T22:13:20.123Z")
    #expect(run.seed.count == 16)
    let again = try RunVariant(run.inputs(pluginVersion: "1.0.0"))
    #expect(again.seedText == run.seedText)
    #expect(again.post == run.post)
  }
}
