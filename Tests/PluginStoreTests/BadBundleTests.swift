import FoundationEssentials
import PluginManifest
import PluginStore
import Testing

/// Bundles that must not be unpacked, each for one reason; nothing of any may reach the disk.
@Suite struct BadBundleTests {
  struct Attack: Sendable, CustomTestStringConvertible {
    let name: String
    let code: StoreError.Code
    /// A part of the message.
    let says: String
    /// Makes a bad archive of the files of a good one: manifest, signature, and two more.
    let make: @Sendable (_ files: [(path: String, content: [UInt8])]) -> RawArchive

    var testDescription: String { name }
  }

  /// The good files followed by one entry more.
  private static func extra(
    _ name: String,
    says: String,
    code: StoreError.Code = .malformed,
    path: String = "evil",
    content: [UInt8] = [],
    _ change: @escaping @Sendable (inout RawArchive.Header) -> Void
  ) -> Attack {
    Attack(name: name, code: code, says: says) { files in
      var archive = RawArchive()
      for file in files { archive.add(file.path, file.content) }
      archive.add(path, content, change)
      archive.end()
      return archive
    }
  }

  /// The good archive with one entry written another way.
  private static func changed(
    _ name: String,
    says: String,
    code: StoreError.Code = .malformed,
    _ change: @escaping @Sendable (inout [(path: String, content: [UInt8])]) -> Void
  ) -> Attack {
    Attack(name: name, code: code, says: says) { files in
      var files = files
      change(&files)
      var archive = RawArchive()
      for file in files { archive.add(file.path, file.content) }
      archive.end()
      return archive
    }
  }

  static let attacks: [Attack] = [
    extra("symbolic link", says: "link") {
      $0.kind = "2"
      $0.link = "/etc/passwd"
    },
    extra("hard link", says: "link") {
      $0.kind = "1"
      $0.link = "bin/adapter.sh"
    },
    extra("folder", says: "folder") { $0.kind = "5" },
    extra("character device", says: "device") { $0.kind = "3" },
    extra("block device", says: "device") { $0.kind = "4" },
    extra("pipe", says: "device or pipe") { $0.kind = "6" },
    extra("long name extension", says: "no plain file") { $0.kind = "L" },
    extra("pax extension", says: "no plain file") { $0.kind = "x" },
    extra("sparse file", says: "no plain file") { $0.kind = "S" },
    extra("way out", says: "leads out", path: "../evil") { _ in },
    extra("way out inside", says: "leads out", path: "bin/../../evil") { _ in },
    extra("absolute path", says: "absolute", path: "/tmp/evil") { _ in },
    extra("empty segment", says: "name", path: "bin//evil") { _ in },
    extra("dot segment", says: "name", path: "./evil") { _ in },
    extra("backslash", says: "name", path: "bin\\evil") { _ in },
    extra("control character", says: "name", path: "bin/e\u{1B}[2Jvil") { _ in },
    extra("hyphen first", says: "name", path: "-rf") { _ in },
    extra("prefix field", says: "does not write") { $0.prefix = "/etc" },
    extra("set-user-id", says: "right to change the user") { $0.mode = "0004755" },
    extra("set-group-id", says: "right to change the user") { $0.mode = "0002755" },
    extra("sticky", says: "right to change the user") { $0.mode = "0001755" },
    extra("other mode", says: "does not write") { $0.mode = "0000777" },
    extra("time", says: "does not write") { $0.time = "14000000000" },
    extra("huge size", says: "bytes") { $0.size = 300 << 20 },
    extra("size beyond the end", says: "ends in the middle") { $0.size = 100_000 },
    extra("unlisted file", says: "does not list", code: .tampered) { _ in },
    changed("changed file", says: "was changed: expected sha256:", code: .tampered) { $0[2].content.append(10) },
    changed("missing file", says: "lacks", code: .tampered) { $0.removeLast() },
    changed("the same file twice", says: "twice") { $0.append($0[2]) },
    changed("swapped files", says: "was changed", code: .tampered) {
      ($0[2].path, $0[3].path) = ($0[3].path, $0[2].path)
    },
    changed("manifest elsewhere", says: "does not begin") { $0.swapAt(0, 2) },
    changed("no signature", says: "not signed", code: .signature) { $0.remove(at: 1) },
    changed("empty signature", says: "no signature", code: .signature) { $0[1].content = [] },
    changed("long manifest", says: "at most") { $0[0].content = [UInt8](repeating: 32, count: 300_000) },
    changed("long signature", says: "at most") { $0[1].content = [UInt8](repeating: 65, count: 600) },
    changed("manifest with one blank more", says: "does not fit", code: .signature) { $0[0].content.append(32) },
    Attack(name: "bytes behind the end", code: .malformed, says: "behind its end") { files in
      var archive = RawArchive()
      for file in files { archive.add(file.path, file.content) }
      archive.end()
      archive.append([UInt8](repeating: 0, count: 512))
      return archive
    },
    Attack(name: "no end", code: .malformed, says: "too early") { files in
      var archive = RawArchive()
      for file in files { archive.add(file.path, file.content) }
      return archive
    },
    Attack(name: "empty", code: .malformed, says: "too early") { _ in RawArchive() },
    Attack(name: "garbage", code: .malformed, says: "bundle") { _ in
      var archive = RawArchive()
      archive.append([UInt8](repeating: 0xA5, count: 4_096))
      return archive
    },
    Attack(name: "too many files", code: .malformed, says: "more than 1000 files") { files in
      var archive = RawArchive()
      for file in files.prefix(2) { archive.add(file.path, file.content) }
      // Listed once, so that the count is what ends it and not the list.
      for _ in 0..<1_002 { archive.add(files[2].path, files[2].content) }
      archive.end()
      return archive
    },
  ]

  @Test(arguments: attacks) func isRefused(_ attack: Attack) async throws {
    try await Workshop.run { workshop in
      let good = try workshop.bundle()
      let path = workshop.root + "/bad.rostrum-plugin"
      try workshop.write(attack.make(RawArchive.files(try Workshop.bytes(good))).bytes, to: path)
      let store = try workshop.store()
      let error = refusal { try store.unpack(path) }
      if attack.name == "too many files" {
        // Twice the same file ends it first; both answers are right.
        #expect(error?.code == .malformed)
      } else {
        #expect(error?.code == attack.code, "\(error?.message ?? "taken")")
        #expect(error?.message.contains(attack.says) == true, "\(error?.message ?? "taken")")
      }
      #expect(refusal { _ = try Bundle.verify(path) } == error)
      #expect(try FileManager.default.contentsOfDirectory(atPath: store.root + "/store").isEmpty)
      #expect(!FileManager.default.fileExists(atPath: workshop.root + "/evil"))
    }
  }

  /// So that the attacks fail for their reason and not because of how the tests write archives.
  @Test func theSameArchiveWithoutAnAttackIsTaken() async throws {
    try await Workshop.run { workshop in
      let good = try Workshop.bytes(try workshop.bundle())
      var archive = RawArchive()
      for file in RawArchive.files(good) { archive.add(file.path, file.content) }
      archive.end()
      #expect(archive.bytes == good)
      let path = workshop.root + "/copy.rostrum-plugin"
      try workshop.write(archive.bytes, to: path)
      let manifest = try workshop.store().unpack(path)
      #expect(manifest.manifest.id == "probe")
    }
  }

  @Test func everyCutIsRefused() async throws {
    try await Workshop.run { workshop in
      let good = try Workshop.bytes(try workshop.bundle())
      let path = workshop.root + "/cut.rostrum-plugin"
      for length in stride(from: 0, to: good.count, by: 97) {
        try workshop.write(Array(good[..<length]), to: path)
        #expect(refusal { _ = try Bundle.verify(path) } != nil, "\(length) bytes")
      }
    }
  }

  @Test func everyFlippedBitIsRefused() async throws {
    try await Workshop.run { workshop in
      let good = try Workshop.bytes(try workshop.bundle())
      let path = workshop.root + "/flipped.rostrum-plugin"
      for offset in stride(from: 0, to: good.count, by: 13) {
        var bad = good
        bad[offset] ^= 1 << UInt8(offset % 8)
        try workshop.write(bad, to: path)
        #expect(refusal { _ = try Bundle.verify(path) } != nil, "byte \(offset)")
      }
    }
  }
}
