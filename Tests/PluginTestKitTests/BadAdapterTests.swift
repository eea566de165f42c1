import Foundation
import PluginTestKit
import Testing

/// Each check is able to fail: an adapter with one fault fails the check that is about it.
@Suite(.serialized) struct BadAdapterTests {
  /// Checks that no fault of a program can break: one needs a jail, the others are about files.
  private static let others: Set<String> = [
    "jail.confined", "package.manifest", "package.labels", "package.classes", "package.program", "package.documents",
    "package.cases",
  ]

  private static let faults = ConformanceSuite.catalogue.map(\.id).filter { !others.contains($0) }

  @Test(arguments: faults) func aFaultFailsItsCheck(_ check: String) async throws {
    let script = "\(Adapters.root)/Tests/Conformance/bad_adapter.py"
    let launch = AdapterLaunch(executable: Adapters.python, arguments: [script, check])
    let suite = try Adapters.example("python", launch: launch)
    // What a run writes is judged at its end, so something must run before.
    let report = await suite.run(only: check == "stream.clean-output" ? ["start.initialize", check] : [check])
    let entry = try #require(report.entries.last)
    #expect(entry.outcome == .failed, "\(check) \(entry.outcome): \(entry.detail ?? "")")
    #expect(!report.isConformant)
  }

  /// The manifest of the example with one change.
  private func changed(_ old: String, _ new: String) throws -> AdapterManifest {
    let text = String(decoding: try Adapters.bytes("SDK/Examples/python/bundle/manifest.json"), as: UTF8.self)
    try #require(text.contains(old))
    return try AdapterManifest(Array(text.replacing(old, with: new).utf8))
  }

  private func outcome(
    _ check: String,
    _ manifest: AdapterManifest,
    cases: ConformanceCases?
  ) async throws
    -> ConformanceReport.Outcome
  {
    let suite = ConformanceSuite(
      launch: AdapterLaunch(executable: "/no/such/program"),
      manifest: manifest,
      cases: cases,
      directory: "\(Adapters.root)/Tests"
    )
    return try #require(await suite.run(only: [check]).entries.first).outcome
  }

  @Test(arguments: [
    ("package.manifest", #""license": "Apache-2.0","#, ""),
    ("package.manifest", #""version": "1.0.0""#, #""version": "1""#),
    ("package.labels", #""label": "Access token of the account", "#, ""),
    ("package.classes", #""class": "prepare""#, #""class": "read""#),
    ("package.program", "x", "x"), ("package.documents", "x", "x"), ("package.cases", "x", "x"),
  ])
  func aFaultOfThePackageFailsItsCheck(_ check: String, _ old: String, _ new: String) async throws {
    #expect(try await outcome(check, changed(old, new), cases: nil) == .failed)
  }

  @Test func casesForUnknownRulesFail() async throws {
    let cases = try ConformanceCases(try Adapters.bytes("SDK/Examples/python/conformance.json"))
    #expect(try await outcome("package.cases", changed(#""rule": "me""#, #""rule": "you""#), cases: cases) == .failed)
  }
}
