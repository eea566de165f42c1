import FuzzSupport
import JSONDocument
import Testing

@testable import PluginManifest

/// Whatever a manifest says, it becomes a value whose promises hold, or a refusal that says where it is wrong.
@Suite(.timeLimit(.minutes(60))) struct ManifestFuzzTests {
  @Test func anyBytesAreReadOrRefused() throws {
    var random = FuzzRun.random("manifest bytes")
    let sample = Array(ManifestSample.text.utf8)
    var tally = Tally()
    for _ in 0..<FuzzRun.cases(2_000, long: 500_000) {
      let bytes = ByteMutator.json.mutate(sample, with: sample, faults: 0...2, &random)
      try tally.judge { () throws(ManifestError) in
        try PluginManifest.parse(bytes)
      } isObject: {
        // Not JSON at all is the other half.
        (try? JSONValue.parse(bytes))?.objectValue != nil
      }
    }
    #expect(tally.accepted > 0 && tally.refused > 0)
  }

  @Test func anyDocumentIsReadOrRefused() throws {
    var random = FuzzRun.random("manifest documents")
    let sample = try JSONValue.parse(ManifestSample.text)
    let mutator = JSONMutator(samples: [sample])
    var tally = Tally()
    for _ in 0..<FuzzRun.cases(2_000, long: 500_000) {
      let document = mutator.mutate(sample, &random)
      try tally.judge { () throws(ManifestError) in
        try PluginManifest.parse(document)
      } isObject: {
        document.objectValue != nil
      }
    }
    #expect(tally.accepted > 0 && tally.refused > 0)
  }

  private struct Tally {
    private(set) var accepted = 0
    private(set) var refused = 0

    mutating func judge(_ parse: () throws(ManifestError) -> PluginManifest, isObject: () -> Bool) throws {
      let manifest: PluginManifest
      do throws(ManifestError) {
        manifest = try parse()
        accepted += 1
      } catch {
        refused += 1
        try FuzzRun.hold(!error.problems.isEmpty, "a refusal without a problem")
        for problem in error.problems {
          // Only what is no object has no place.
          try FuzzRun.hold(!problem.path.isEmpty || !isObject(), "no place: \(problem)")
          try FuzzRun.hold(!problem.problem.isEmpty && problem.description.utf8.count < 4_000, "\(problem)")
        }
        return
      }
      try Self.check(manifest)
    }

    /// What those who use a manifest rely on.
    private static func check(_ manifest: PluginManifest) throws {
      try FuzzRun.hold((1...40).contains(manifest.id.utf8.count), "\(manifest)")
      try FuzzRun.hold(!manifest.executable.contains("/") && manifest.executable != "..", "\(manifest)")
      try FuzzRun.hold(manifest.protocolRange.minimum <= manifest.protocolRange.maximum, "\(manifest)")
      try FuzzRun.hold(
        manifest.limits.inFlight > 0 && manifest.limits.memoryMiB > 0 && manifest.limits.cpu > 0,
        "\(manifest)"
      )
      for (name, rule) in manifest.rules {
        try FuzzRun.hold(rule.name == name && !rule.calls.isEmpty, "\(manifest)")
        try FuzzRun.hold(rule.maximumBody > 0 && rule.timeout > .zero, "\(rule)")
        try FuzzRun.hold(rule.secretNames.isSubset(of: manifest.secrets.keys), "\(rule)")
      }
      try FuzzRun.hold(
        manifest.rateLimits.allSatisfy { $0.rules.allSatisfy { manifest.rules[$0] != nil } },
        "\(manifest)"
      )
    }
  }
}
