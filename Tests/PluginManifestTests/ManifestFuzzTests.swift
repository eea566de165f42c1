import FuzzSupport
import JSONDocument
import Testing

@testable import PluginManifest

/// Whatever a manifest says, it becomes a value whose promises hold, or a refusal that says where it is wrong.
@Suite(.timeLimit(.minutes(60))) struct ManifestFuzzTests {
  /// The whole sample, and for each rule one with nothing optional but this rule, which is quick to read.
  private static var samples: [JSONValue] {
    get throws {
      let whole = try JSONValue.parse(ManifestSample.text)
      let members = try #require(whole.objectValue)
      let needed = [
        "schema", "id", "name", "kind", "version", "description", "license", "protocol", "executable", "methods",
        "secrets", "account", "limits",
      ]
      return [whole]
        + (members["egress"]?.arrayValue ?? []).map { rule in
          var small = members.filter { needed.contains($0.key) }
          small["egress"] = [rule]
          small["secrets"] = .object((members["secrets"]?.objectValue ?? [:]).filter { $0.value["source"] != "oauth" })
          small["reconcile"] = ["absence": "never", "settleMs": 0]
          return .object(small)
        }
    }
  }

  @Test func theSamplesAreRead() throws {
    let samples = try Self.samples
    #expect(samples.count == 7)
    for sample in samples { _ = try PluginManifest.parse(sample) }
  }

  @Test func anyBytesAreReadOrRefused() throws {
    var random = FuzzRun.random("manifest bytes")
    let samples = try Self.samples.map { Array($0.text().utf8) } + [Array(ManifestSample.text.utf8)]
    var tally = Tally()
    for _ in 0..<FuzzRun.cases(2_000, long: 500_000) {
      let bytes = ByteMutator.json.mutate(
        random.one(of: samples),
        with: random.one(of: samples),
        faults: 0...2,
        &random
      )
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
    let samples = try Self.samples
    let mutator = JSONMutator(samples: samples)
    var tally = Tally()
    for _ in 0..<FuzzRun.cases(2_000, long: 500_000) {
      let document = mutator.mutate(random.one(of: samples), &random)
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
