import PluginManifest
import Testing

@Suite struct SemanticVersionTests {
  @Test func ordersAsTheStandardSays() throws {
    let texts = [
      "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
      "1.0.0", "1.0.1", "1.2.0", "2.0.0",
    ]
    let versions = try texts.map { try #require(SemanticVersion($0)) }
    for (one, other) in zip(versions, versions.dropFirst()) {
      #expect(one < other)
      #expect(!(other < one))
    }
    #expect(versions.map(\.description) == texts)
  }

  @Test(arguments: [
    "", "1", "1.2", "1.2.3.4", "v1.2.3", "1.02.3", "1.2.3-", "1.2.3-a..b", "1.2.3-01", "1.2.3+x", "-1.2.3",
  ])
  func refusesOtherForms(_ text: String) {
    #expect(SemanticVersion(text) == nil)
  }
}
