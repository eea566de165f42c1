import Foundation
import PluginTestKit
import Testing

/// Runs the suite over real adapters.
@Suite(.serialized) struct ConformanceTests {
  @Test func thePythonExamplePasses() async throws {
    let report = try await Adapters.examplePython().run()
    #expect(report.failures == "")
    #expect(report.count(.passed) > 50)
  }

  @Test func theCExamplePasses() async throws {
    let report = try await Adapters.exampleC().run()
    #expect(report.failures == "")
    #expect(report.count(.passed) > 50)
  }

  @Test(arguments: ["x", "webhook"]) func theAdaptersOfThisRepositoryPass(_ name: String) async throws {
    let report = try await Adapters.firstParty(name).run()
    #expect(report.failures == "")
    #expect(report.count(.passed) > 50)
  }

  @Test func thePythonExampleIsShort() throws {
    #expect(try Adapters.bytes("SDK/Examples/python/bundle/adapter.py").count { $0 == 0x0A } <= 150)
  }
}
