import FoundationEssentials
import PluginManifest
import PluginStore
import Postgres
import Synchronization
import TestSupport
import Testing

/// Looks at the database and the disk from outside at each step of a change: what another host would boot on if the
/// power went at that moment.
@Suite(.database) struct PowerCutTests {
  /// What was seen at one step.
  private struct Sight: Sendable {
    let step: InstallStep
    let number: Int64
    let versions: [String]
  }

  private static let origin = PluginRegistry.Origin(source: "a test", actor: "the tester", approves: true)

  /// Boots a host of its own with what is committed now, and checks every file of every plugin.
  private static func boot(_ registry: PluginRegistry, _ store: StoreFolder) async throws -> [String] {
    let generation = try await registry.current()
    for bundle in generation.bundles {
      if !store.has(bundle.digest) {
        let file = try store.receive()
        try await registry.download(bundle.digest, into: file)
        try store.unpack(file.path, expecting: bundle.digest)
      }
      _ = try store.plugin(bundle.digest, isFirstParty: false).openVerified()
      #expect(store.problems(bundle.digest).isEmpty)
    }
    return generation.bundles.map { "\($0.id) \($0.version)" }
  }

  private static func watch(
    _ workshop: Workshop,
    _ change: (PluginRegistry) async throws -> Void
  ) async throws -> [Sight] {
    let sights = Mutex<[Sight]>([])
    try await TestDatabase.current.withPool { outside in
      let other = PluginRegistry(pool: outside)
      try await TestDatabase.current.withPool { pool in
        try await InstallStep.$observer.withValue({ step in
          let store = try workshop.store("boot-\(UUID().uuidString)")
          let versions = try await Self.boot(other, store)
          let number = try await other.currentNumber()
          sights.withLock { $0.append(Sight(step: step, number: number, versions: versions)) }
        }) {
          try await change(PluginRegistry(pool: pool))
        }
      }
    }
    return sights.withLock { $0 }
  }

  @Test func anInstallationIsThereWholeOrNotAtAll() async throws {
    try await Workshop.run { workshop in
      let bundle = try workshop.bundle()
      let sights = try await Self.watch(workshop) { _ = try await $0.install(bundle, Self.origin) }
      #expect(sights.map(\.step) == [.bundleVerified, .bundleStored, .generationWritten, .generationCurrent])
      #expect(sights.map(\.number) == [0, 0, 0, 1])
      #expect(sights.map(\.versions) == [[], [], [], ["probe 1.0.0"]])
    }
  }

  @Test func anUpgradeIsThereWholeOrNotAtAll() async throws {
    try await Workshop.run { workshop in
      let (first, second) = (try workshop.bundle(), try workshop.bundle { $0.version = "1.1.0" })
      try await TestDatabase.current.withPool { pool in
        _ = try await PluginRegistry(pool: pool).install(first, Self.origin)
      }
      let sights = try await Self.watch(workshop) { _ = try await $0.install(second, Self.origin) }
      #expect(sights.map(\.versions) == [["probe 1.0.0"], ["probe 1.0.0"], ["probe 1.0.0"], ["probe 1.1.0"]])
      #expect(sights.map(\.number) == [1, 1, 1, 2])
    }
  }

  /// A cut in the middle of unpacking: the half bundle has no name, and the next boot makes it whole.
  @Test(arguments: [1, 2, 3])
  func aHalfUnpackedBundleIsNeverUsed(_ files: Int) async throws {
    try await Workshop.run { workshop in
      let bundle = try workshop.bundle()
      try await TestDatabase.current.withPool { pool in
        let registry = PluginRegistry(pool: pool)
        _ = try await registry.install(bundle, Self.origin)
        let store = try workshop.store()
        for file in RawArchive.files(try Workshop.bytes(bundle)).prefix(files) {
          try workshop.write(file.content, to: "\(store.root)/store/.new-dead/\(file.path)")
        }
        let versions = try await Self.boot(registry, store)
        #expect(versions == ["probe 1.0.0"])
        try store.removeLeftovers(olderThan: 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: store.root + "/store").count == 1)
      }
    }
  }

  /// A cut by an error: the transaction leaves nothing behind.
  @Test(arguments: [InstallStep.bundleStored, .generationWritten])
  func anEndAtAStepLeavesTheOldGeneration(_ step: InstallStep) async throws {
    struct Cut: Error {}
    try await Workshop.run { workshop in
      let (first, second) = (try workshop.bundle(), try workshop.bundle { $0.version = "1.1.0" })
      try await TestDatabase.current.withPool { pool in
        let registry = PluginRegistry(pool: pool)
        _ = try await registry.install(first, Self.origin)
        await #expect(throws: Cut.self) {
          try await InstallStep.$observer.withValue({ if $0 == step { throw Cut() } }) {
            _ = try await registry.install(second, Self.origin)
          }
        }
        #expect(try await Self.boot(registry, try workshop.store()) == ["probe 1.0.0"])
        #expect(try await pool.query("SELECT 1 FROM plugin_bundles").count == 1)
        // And the same change works afterwards.
        _ = try await registry.install(second, Self.origin)
        #expect(try await Self.boot(registry, try workshop.store()) == ["probe 1.1.0"])
      }
    }
  }
}
