import FoundationEssentials
import PluginManifest
import PluginStore
import Postgres
import Synchronization
import TestSupport
import Testing

@Suite(.database) struct PluginRegistryTests {
  private static func run(_ body: (Workshop, PluginRegistry) async throws -> Void) async throws {
    try await TestDatabase.current.withPool { pool in
      try await Workshop.run { workshop in try await body(workshop, PluginRegistry(pool: pool)) }
    }
  }

  private static func origin(
    approves: Bool = true,
    replaces: Bool = false,
    own: Bool = false
  )
    -> PluginRegistry.Origin
  {
    PluginRegistry.Origin(
      source: "a test",
      isFirstParty: own,
      actor: "the tester",
      approves: approves,
      replacesVersions: replaces
    )
  }

  private static func versions(_ registry: PluginRegistry) async throws -> [String] {
    try await registry.current().bundles.map { "\($0.id) \($0.version)" }
  }

  // MARK: Approval

  @Test func aNewPluginWaitsUntilItIsApproved() async throws {
    try await Self.run { workshop, registry in
      let outcome = try await registry.install(try workshop.bundle(), Self.origin(approves: false))
      guard case .waiting(let bundle, let approval) = outcome else {
        Issue.record("\(outcome)")
        return
      }
      #expect(approval.isNew)
      #expect(try await registry.currentNumber() == 0)
      #expect(try await registry.waiting().map(\.digest) == [bundle.digest])
      let wrong = await refusal { _ = try await registry.approve("probe", digest: "sha256:0", by: "me") }
      #expect(wrong?.code == .conflict)
      _ = try await registry.approve("probe", digest: bundle.digest, by: "me")
      let current = try await registry.current()
      #expect(current.number == 1)
      #expect(current.bundles.first?.approvedBy == "me")
      #expect(try await registry.waiting().isEmpty)
    }
  }

  @Test func anEqualVersionNeedsNoApprovalAndAWiderOneWaits() async throws {
    try await Self.run { workshop, registry in
      _ = try await registry.install(try workshop.bundle(), Self.origin())
      let equal = try workshop.bundle(script: "#!/bin/sh\n") { $0.version = "1.1.0" }
      guard case .installed(_, let previous, 2) = try await registry.install(equal, Self.origin(approves: false)) else {
        Issue.record("an equal version was not taken")
        return
      }
      #expect(previous == SemanticVersion("1.0.0"))
      let wider = try workshop.bundle {
        $0.version = "1.2.0"
        $0.host = "https://more.example.org"
      }
      guard case .waiting(_, let approval) = try await registry.install(wider, Self.origin(approves: false)) else {
        Issue.record("a wider version was taken")
        return
      }
      #expect(approval.grants.allSatisfy { $0.words.contains("more.example.org") })
      #expect(try await Self.versions(registry) == ["probe 1.1.0"])
      try await registry.refuse("probe", by: "me")
      #expect(try await registry.waiting().isEmpty)
      let gone = await refusal { _ = try await registry.approve("probe", digest: nil, by: "me") }
      #expect(gone?.code == .notFound)
    }
  }

  @Test func anotherKeyWaits() async throws {
    try await Self.run { workshop, registry in
      _ = try await registry.install(try workshop.bundle(), Self.origin())
      let other = try workshop.bundle(key: try PublisherKey.make()) { $0.version = "1.1.0" }
      guard case .waiting(_, let approval) = try await registry.install(other, Self.origin(approves: false)) else {
        Issue.record("another key was taken")
        return
      }
      #expect(approval.formerPublisher == workshop.key.id)
      #expect(try await Self.versions(registry) == ["probe 1.0.0"])
    }
  }

  // MARK: What is refused

  @Test func aVersionNeverChanges() async throws {
    try await Self.run { workshop, registry in
      _ = try await registry.install(try workshop.bundle(), Self.origin())
      let changed = try workshop.bundle(script: "#!/bin/sh\n")
      let error = await refusal { _ = try await registry.install(changed, Self.origin()) }
      #expect(error?.code == .conflict)
      // The host's own folders may: whoever changes them changes the host.
      guard case .installed = try await registry.install(changed, Self.origin(replaces: true)) else {
        Issue.record("the host's own content was refused")
        return
      }
    }
  }

  @Test func anOlderVersionIsRefused() async throws {
    try await Self.run { workshop, registry in
      _ = try await registry.install(try workshop.bundle { $0.version = "2.0.0" }, Self.origin())
      let older = try workshop.bundle { $0.version = "1.9.9" }
      let error = await refusal { _ = try await registry.install(older, Self.origin()) }
      #expect(error?.code == .conflict)
      #expect(error?.message.contains("rollback") == true)
    }
  }

  @Test func aNameOfAnotherPluginIsRefused() async throws {
    try await Self.run { workshop, registry in
      _ = try await registry.install(try workshop.bundle { $0.aliases = ["sonde"] }, Self.origin())
      for change in [{ $0.id = "sonde" }, { ($0.id, $0.aliases) = ("other", ["probe"]) }]
        as [(inout Workshop.Plan) -> Void]
      {
        let bundle = try workshop.bundle(change)
        let error = await refusal { _ = try await registry.install(bundle, Self.origin()) }
        #expect(error?.code == .conflict)
      }
    }
  }

  @Test func aBundleForOtherMachinesIsRefused() async throws {
    try await Self.run { workshop, registry in
      let folder = try workshop.folder { $0.interpreter = nil }
      let other: UInt8 = Machine.current.arch == "x86_64" ? 183 : 62
      var program: [UInt8] = [0x7f, 0x45, 0x4c, 0x46] + [UInt8](repeating: 0, count: 60)
      program[18] = other
      try workshop.write(program, to: folder + "/bin/adapter.sh")
      let path = workshop.root + "/other.rostrum-plugin"
      try BundleSource(folder).pack(to: path, key: workshop.key)
      let error = await refusal { _ = try await registry.install(path, Self.origin()) }
      #expect(error?.code == .platform)
    }
  }

  @Test func aProtocolThatTheHostDoesNotSpeakIsRefused() async throws {
    try await Self.run { workshop, registry in
      for (low, high) in [("2.0", "2.1"), ("1.1", "1.9"), ("0.1", "0.9")] {
        let path = try workshop.bundle { $0.protocolRange = (low, high) }
        let error = await refusal { _ = try await registry.install(path, Self.origin()) }
        #expect(error?.code == .manifest)
        #expect(error?.message.contains("\(low) to \(high)") == true)
        #expect(error?.message.contains("this host 1.0 to 1.0") == true)
      }
      #expect(try await registry.pool.query("SELECT 1 FROM plugin_bundles").isEmpty)
      _ = try await registry.install(try workshop.bundle { $0.protocolRange = ("0.9", "3.0") }, Self.origin())
    }
  }

  @Test func aBadBundleLeavesNoTrace() async throws {
    try await Self.run { workshop, registry in
      let path = try workshop.bundle()
      var bytes = try Workshop.bytes(path)
      bytes[bytes.count - 1_100] ^= 1
      try workshop.write(bytes, to: path)
      #expect(await refusal { _ = try await registry.install(path, Self.origin()) } != nil)
      #expect(try await registry.pool.query("SELECT 1 FROM plugin_bundles").isEmpty)
    }
  }

  // MARK: Generations

  @Test func everyGenerationIsAWholeSet() async throws {
    try await Self.run { workshop, registry in
      _ = try await registry.install(try workshop.bundle(), Self.origin())
      _ = try await registry.install(try workshop.bundle { $0.id = "second" }, Self.origin())
      _ = try await registry.install(try workshop.bundle { $0.version = "1.1.0" }, Self.origin())
      _ = try await registry.remove("second", by: "me")
      let rows = try await registry.pool.query(
        """
        SELECT p.generation, string_agg(p.plugin || ' ' || b.version, ', ' ORDER BY p.plugin) AS set
        FROM plugin_pins p JOIN plugin_bundles b USING (digest) GROUP BY 1 ORDER BY 1
        """
      )
      let sets: [String] = try rows.map { try $0.get("set") }
      #expect(sets == ["probe 1.0.0", "probe 1.0.0, second 1.0.0", "probe 1.1.0, second 1.0.0", "probe 1.1.0"])
      #expect(try await registry.currentNumber() == 4)
      #expect(try await registry.removed() == ["second"])
    }
  }

  @Test func installingTheCurrentVersionChangesNothing() async throws {
    try await Self.run { workshop, registry in
      _ = try await registry.install(try workshop.bundle(), Self.origin())
      guard case .unchanged = try await registry.install(try workshop.bundle(), Self.origin(approves: false)) else {
        Issue.record("the same bundle was installed twice")
        return
      }
      #expect(try await registry.currentNumber() == 1)
    }
  }

  /// Two hosts of one build pack the same plugin under keys of their own.
  @Test func theSameOwnContentUnderAnotherKeyChangesNothing() async throws {
    try await Self.run { workshop, registry in
      _ = try await registry.install(try workshop.bundle(), Self.origin(replaces: true, own: true))
      let same = try workshop.bundle(key: try PublisherKey.make())
      guard case .unchanged = try await registry.install(same, Self.origin(replaces: true, own: true)) else {
        Issue.record("the same content was installed twice")
        return
      }
      let content = try Bundle.verify(same).content
      #expect(try await registry.known(contents: [content, "sha256:other"]).keys.sorted() == [content])
    }
  }

  @Test func rollingBackNeedsNeitherFilesNorNetwork() async throws {
    try await Self.run { workshop, registry in
      let (first, second) = (try workshop.bundle(), try workshop.bundle { $0.version = "1.1.0" })
      _ = try await registry.install(first, Self.origin())
      _ = try await registry.install(second, Self.origin())
      for path in [first, second] { try FileManager.default.removeItem(atPath: path) }
      let bad = try #require(try await registry.current().bundle(of: "probe")).digest
      let back = try #require(try await registry.rollBack("probe", onlyFrom: bad, reason: "it failed", by: "host a"))
      #expect("\(back.bundle.version)" == "1.0.0")
      #expect(back.generation == 3)
      // A second host that saw the same trouble changes nothing.
      let again = try await registry.rollBack("probe", onlyFrom: bad, reason: "it failed", by: "host b")
      #expect(again == nil)
      #expect(try await registry.currentNumber() == 3)
      let store = try workshop.store()
      let file = try store.receive()
      try await registry.download(back.bundle.digest, into: file)
      try store.unpack(file.path, expecting: back.bundle.digest)
      _ = try store.plugin(back.bundle.digest, isFirstParty: false).openVerified()
      // And forward again by name.
      let forward = try #require(try await registry.rollBack("probe", to: "1.1.0", reason: "better", by: "me"))
      #expect("\(forward.bundle.version)" == "1.1.0")
    }
  }

  @Test func whatTookOverAShortWhileAgoIsKnownWithWhatRanBefore() async throws {
    try await Self.run { workshop, registry in
      func takeovers() async throws -> [String] {
        try await registry.takeovers(within: .seconds(600)).map { "\($0.previous.id) \($0.previous.version)" }
      }
      _ = try await registry.install(try workshop.bundle(), Self.origin())
      // The first version has nothing behind it.
      #expect(try await takeovers() == [])
      _ = try await registry.install(try workshop.bundle { $0.version = "1.1.0" }, Self.origin())
      #expect(try await takeovers() == ["probe 1.0.0"])
      let takeover = try #require(try await registry.takeovers(within: .seconds(600)).first)
      #expect(takeover.current == (try await registry.current().bundle(of: "probe"))?.digest)
      #expect(takeover.age >= .zero && takeover.age < .seconds(300))
      // Changes of other plugins do not make it younger or end it.
      _ = try await registry.install(try workshop.bundle { $0.id = "other" }, Self.origin())
      #expect(try await takeovers() == ["probe 1.0.0"])
      try await registry.pool.execute(
        "UPDATE plugin_generations SET made_at = made_at - interval '11 minutes' WHERE number = 2"
      )
      #expect(try await takeovers() == [])
      // Nobody goes forward to what was gone back from.
      _ = try await registry.rollBack("probe", reason: "it failed", by: "me")
      #expect(try await takeovers() == [])
    }
  }

  @Test func thereMustBeSomethingToGoBackTo() async throws {
    try await Self.run { workshop, registry in
      #expect(await refusal { _ = try await registry.rollBack("probe", reason: "", by: "me") }?.code == .notFound)
      _ = try await registry.install(try workshop.bundle(), Self.origin())
      #expect(await refusal { _ = try await registry.rollBack("probe", reason: "", by: "me") }?.code == .notFound)
    }
  }

  @Test func aVersionNobodyApprovedIsNotGoneBackTo() async throws {
    try await Self.run { workshop, registry in
      _ = try await registry.install(try workshop.bundle { $0.version = "2.0.0" }, Self.origin())
      let wider = try workshop.bundle {
        $0.version = "2.1.0"
        $0.memory = 512
      }
      _ = try await registry.install(wider, Self.origin(approves: false))
      let error = await refusal { _ = try await registry.rollBack("probe", to: "2.1.0", reason: "", by: "me") }
      #expect(error?.code == .notFound)
    }
  }

  @Test func collectingKeepsWhatIsNeeded() async throws {
    try await Self.run { workshop, registry in
      for number in 0..<6 {
        _ = try await registry.install(try workshop.bundle { $0.version = "1.\(number).0" }, Self.origin())
      }
      try await registry.pool.execute("UPDATE plugin_bundles SET created_at = now() - interval '1 hour'")
      let kept = try await registry.collect()
      let versions = try await registry.bundles(of: "probe").map { "\($0.version)" }.sorted()
      #expect(versions == ["1.3.0", "1.4.0", "1.5.0"])
      #expect(kept.count == 3)
      #expect(try await Self.versions(registry) == ["probe 1.5.0"])
      #expect(try await registry.pool.query("SELECT 1 FROM plugin_bundle_parts").count == 3)
    }
  }

  @Test func whatHappenedIsTold() async throws {
    try await Self.run { workshop, registry in
      _ = try await registry.install(try workshop.bundle(), Self.origin())
      try await registry.record("quarantined", plugin: "probe", version: "1.0.0", message: "It crashed", by: "host a")
      _ = try await registry.remove("probe", by: "me")
      let events = try await registry.events(of: "probe")
      #expect(events.map(\.kind) == ["removed", "quarantined", "installed"])
      #expect(try await registry.events(of: "probe", before: events[1].id).map(\.kind) == ["installed"])
    }
  }

  @Test func theLockFileSaysWhatWasGranted() async throws {
    try await Self.run { workshop, registry in
      _ = try await registry.install(try workshop.bundle(), Self.origin())
      let current = try await registry.current()
      let text = LockFile.text(current)
      #expect(text.hasPrefix("{\n  \"lock\": 1,\n"))
      #expect(text.contains("\"limit memoryMiB 96\""))
      #expect(text.contains("\"approvedBy\": \"the tester\""))
      #expect(LockFile.text(try await registry.current()) == text)
    }
  }

  @Test func changesOfTwoHostsAtOnceAllCount() async throws {
    try await Self.run { workshop, registry in
      let bundles = try (0..<6).map { number in try workshop.bundle { $0.id = "probe\(number)" } }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for bundle in bundles { group.addTask { _ = try await registry.install(bundle, Self.origin()) } }
        try await group.waitForAll()
      }
      #expect(try await registry.current().bundles.count == 6)
      #expect(try await registry.currentNumber() == 6)
    }
  }
}
