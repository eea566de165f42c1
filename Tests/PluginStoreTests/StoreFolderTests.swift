import FoundationEssentials
import Glibc
import PluginManifest
import PluginStore
import Processes
import Testing

@Suite struct StoreFolderTests {
  private static func mode(_ path: String) -> UInt32 {
    var status = stat()
    return unsafe stat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
  }

  private static func plugin(_ workshop: Workshop) throws -> StoredPlugin {
    let store = try workshop.store()
    let manifest = try store.unpack(try workshop.bundle())
    return try store.plugin(manifest.digest, isFirstParty: false)
  }

  /// Writes over a file that nobody may write to, as whoever owns it can.
  private static func overwrite(_ path: String, _ text: String) throws {
    try #require(unsafe chmod(path, 0o644) == 0)
    let opened = unsafe open(path, O_WRONLY | O_TRUNC)
    try #require(opened >= 0)
    let bytes = Array(text.utf8)
    #expect(unsafe write(opened, bytes, bytes.count) == bytes.count)
    close(opened)
  }

  @Test func aBundleIsUnpackedReadOnlyUnderItsDigest() async throws {
    try await Workshop.run { workshop in
      let plugin = try Self.plugin(workshop)
      #expect(plugin.directory.hasSuffix("/store/" + plugin.digest.replacing(":", with: "-")))
      #expect(Self.mode(plugin.directory) == 0o555)
      #expect(Self.mode(plugin.directory + "/bin") == 0o555)
      #expect(Self.mode(plugin.directory + "/bin/adapter.sh") == 0o555)
      #expect(Self.mode(plugin.directory + "/share/words.txt") == 0o444)
      #expect(Self.mode(plugin.directory + "/manifest.json") == 0o444)
      #expect(try Workshop.bytes(plugin.directory + "/bin/adapter.sh") == Array(Workshop.script.utf8))
    }
  }

  @Test func unpackingTwiceLeavesOneBundleAndNoLeftovers() async throws {
    try await Workshop.run { workshop in
      let (store, bundle) = (try workshop.store(), try workshop.bundle())
      let first = try store.unpack(bundle)
      let second = try store.unpack(bundle, expecting: first.digest)
      #expect(first == second)
      let names = try FileManager.default.contentsOfDirectory(atPath: store.root + "/store")
      #expect(names == [first.digest.replacing(":", with: "-")])
    }
  }

  @Test func anotherBundleThanExpectedIsRefused() async throws {
    try await Workshop.run { workshop in
      let store = try workshop.store()
      let other = try Bundle.verify(try workshop.bundle { $0.version = "2.0.0" })
      let bundle = try workshop.bundle()
      #expect(refusal { try store.unpack(bundle, expecting: other.digest) }?.code == .tampered)
      #expect(try FileManager.default.contentsOfDirectory(atPath: store.root + "/store").isEmpty)
    }
  }

  // MARK: At every start of the plugin

  @Test func theOpenedDescriptorIsTheVerifiedProgram() async throws {
    try await Workshop.run { workshop in
      let plugin = try Self.plugin(workshop)
      let opened = try plugin.openVerified()
      let descriptor = try #require(opened.rawValue)
      // Another file in its place changes nothing for who holds the descriptor.
      try #require(unsafe chmod(plugin.directory + "/bin", 0o755) == 0)
      try #require(unsafe unlink(plugin.directory + "/bin/adapter.sh") == 0)
      var bytes = [UInt8](repeating: 0, count: 4_096)
      let count = unsafe pread(descriptor, &bytes, bytes.count, 0)
      #expect(Array(bytes[..<max(0, count)]) == Array(Workshop.script.utf8))
      opened.close()
    }
  }

  @Test(arguments: ["bin/adapter.sh", "share/words.txt"])
  func aFileChangedAfterTheInstallationIsRefusedByName(_ file: String) async throws {
    try await Workshop.run { workshop in
      let plugin = try Self.plugin(workshop)
      // The first start fills the cache, which must not hide the change.
      _ = try plugin.openVerified()
      let expected = try #require(plugin.files[file])
      try Self.overwrite("\(plugin.directory)/\(file)", "#!/bin/sh\necho another plugin\n")
      let error = try #require(refusal { _ = try plugin.openVerified() })
      #expect(error.code == .tampered)
      #expect(error.message.contains("\(plugin.directory)/\(file)"))
      #expect(error.message.contains("expected sha256:\(expected)"))
      let found = try #require(error.message.firstRange(of: "found sha256:"))
      #expect(!error.message[found.upperBound...].hasPrefix(expected))
    }
  }

  @Test func aChangeOfTheSameLengthWithTheOldTimesIsRefused() async throws {
    try await Workshop.run { workshop in
      let plugin = try Self.plugin(workshop)
      _ = try plugin.openVerified()
      let path = "\(plugin.directory)/bin/adapter.sh"
      var before = stat()
      try #require(unsafe stat(path, &before) == 0)
      try Self.overwrite(path, String(Workshop.script.reversed()))
      let times = [before.st_atim, before.st_mtim]
      try #require(unsafe utimensat(AT_FDCWD, path, times, 0) == 0)
      try #require(unsafe chmod(path, before.st_mode) == 0)
      #expect(refusal { _ = try plugin.openVerified() }?.code == .tampered)
    }
  }

  @Test func aFileReplacedByALinkIsRefused() async throws {
    try await Workshop.run { workshop in
      let plugin = try Self.plugin(workshop)
      let path = "\(plugin.directory)/bin/adapter.sh"
      try workshop.write(Workshop.script, to: workshop.root + "/elsewhere.sh")
      try #require(unsafe chmod(plugin.directory + "/bin", 0o755) == 0)
      try #require(unsafe unlink(path) == 0)
      try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: workshop.root + "/elsewhere.sh")
      #expect(refusal { _ = try plugin.openVerified() }?.message.contains(path) == true)
    }
  }

  @Test func aChangedManifestIsRefused() async throws {
    try await Workshop.run { workshop in
      let plugin = try Self.plugin(workshop)
      let store = try workshop.store()
      let other = try Bundle.verify(try workshop.bundle { $0.version = "3.0.0" })
      try Self.overwrite(plugin.directory + "/manifest.json", String(decoding: other.bytes, as: UTF8.self))
      try Self.overwrite(plugin.directory + "/manifest.sig", String(decoding: other.signature, as: UTF8.self))
      // Both are whole and signed, but are those of another bundle.
      #expect(refusal { _ = try store.plugin(plugin.digest, isFirstParty: false) }?.code == .tampered)
    }
  }

  @Test func damageIsFoundAndRepaired() async throws {
    try await Workshop.run { workshop in
      let (store, bundle) = (try workshop.store(), try workshop.bundle())
      let manifest = try store.unpack(bundle)
      #expect(store.problems(manifest.digest).isEmpty)
      try Self.overwrite(store.path(of: manifest.digest) + "/share/words.txt", "other words\n")
      #expect(store.problems(manifest.digest).count == 1)
      try store.unpack(bundle, expecting: manifest.digest, replacing: true)
      #expect(store.problems(manifest.digest).isEmpty)
    }
  }

  // MARK: Memory and waste

  @Test func rememberedDigestsSurviveAndNeverHideAChange() async throws {
    try await Workshop.run { workshop in
      let store = try workshop.store()
      let manifest = try store.unpack(try workshop.bundle())
      _ = try store.plugin(manifest.digest, isFirstParty: false).openVerified()
      try store.remember()
      let later = try workshop.store()
      #expect(later.digests.all == store.digests.all)
      #expect(!later.digests.all.isEmpty)
      try Self.overwrite(store.path(of: manifest.digest) + "/bin/adapter.sh", "#!/bin/sh\n")
      let plugin = try later.plugin(manifest.digest, isFirstParty: false)
      #expect(refusal { _ = try plugin.openVerified() }?.code == .tampered)
    }
  }

  @Test func whatIsNotKeptIsCollected() async throws {
    try await Workshop.run { workshop in
      let store = try workshop.store()
      let digests = try (1...4).map { number in
        try store.unpack(try workshop.bundle { $0.version = "1.0.\(number)" }).digest
      }
      let removed = try store.collect(keeping: Set(digests[2...]))
      #expect(Set(removed) == Set(digests[..<2]))
      #expect(digests.map { store.has($0) } == [false, false, true, true])
      #expect(store.problems(digests[3]).isEmpty)
    }
  }

  @Test func leftoversOfTheDeadAreRemovedWhenTheyAreOld() async throws {
    try await Workshop.run { workshop in
      let store = try workshop.store()
      try workshop.write("half a bundle", to: store.root + "/incoming/abc")
      try workshop.write("half a file", to: store.root + "/store/.new-1/bin/adapter.sh")
      try store.removeLeftovers()
      #expect(try FileManager.default.contentsOfDirectory(atPath: store.root + "/incoming").count == 1)
      try store.removeLeftovers(olderThan: 0)
      #expect(try FileManager.default.contentsOfDirectory(atPath: store.root + "/incoming").isEmpty)
      #expect(try FileManager.default.contentsOfDirectory(atPath: store.root + "/store").isEmpty)
    }
  }

  @Test func aBundleThatIsTooLargeIsRefusedWhileItComesIn() async throws {
    try await Workshop.run { workshop in
      let file = try workshop.store().receive()
      let chunk = [UInt8](repeating: 0, count: 32 << 20)
      var refused: StoreError?
      for _ in 0..<10 where refused == nil { refused = refusal { try file.append(chunk) } }
      #expect(refused?.code == .malformed)
      #expect(file.byteCount <= IncomingBundle.maximumBytes + Int64(chunk.count))
    }
  }
}
