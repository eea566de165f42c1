import FoundationEssentials
import PluginManifest
import PluginStore
import Testing

@Suite struct BundleSourceTests {
  @Test func equalContentGivesEqualBytes() async throws {
    try await Workshop.run { workshop in
      let first = try Workshop.bytes(try workshop.bundle())
      let second = try Workshop.bytes(try workshop.bundle())
      #expect(first == second)
      let other = try Workshop.bytes(try workshop.bundle(script: "#!/bin/sh\n"))
      #expect(first != other)
    }
  }

  @Test func aBundleListsEveryFileWithItsDigest() async throws {
    try await Workshop.run { workshop in
      let manifest = try Bundle.verify(try workshop.bundle())
      let artifact = try #require(manifest.artifact())
      #expect(artifact.arch == "any")
      #expect(artifact.entry == "bin/adapter.sh")
      #expect(artifact.files.keys.sorted() == ["bin/adapter.sh", "share/words.txt"])
    }
  }

  @Test func hiddenFilesAndCachesStayOutside() async throws {
    try await Workshop.run { workshop in
      let folder = try workshop.folder()
      try workshop.write("x", to: folder + "/.git/config")
      try workshop.write("x", to: folder + "/bin/__pycache__/a.pyc")
      try workshop.write("x", to: folder + "/old.rostrum-plugin")
      let path = workshop.root + "/a.rostrum-plugin"
      try BundleSource(folder).pack(to: path, key: workshop.key)
      let files = RawArchive.files(try Workshop.bytes(path)).map(\.path)
      #expect(files == ["manifest.json", "manifest.sig", "bin/adapter.sh", "share/words.txt"])
    }
  }

  @Test func aLinkInTheFolderIsNamed() async throws {
    try await Workshop.run { workshop in
      let folder = try workshop.folder()
      try FileManager.default.createSymbolicLink(atPath: folder + "/share/link", withDestinationPath: "/etc/passwd")
      let error = refusal { _ = try BundleSource(folder) }
      #expect(error?.code == .malformed)
      #expect(error?.message.contains("share/link") == true)
    }
  }

  @Test func aFinishedManifestIsNoSource() async throws {
    try await Workshop.run { workshop in
      let files = RawArchive.files(try Workshop.bytes(try workshop.bundle()))
      let folder = try workshop.folder()
      try workshop.write(files[0].content, to: folder + "/manifest.json")
      #expect(refusal { _ = try BundleSource(folder) }?.message.contains("finished bundle") == true)
    }
  }

  @Test func aScriptNeedsItsInterpreter() async throws {
    try await Workshop.run { workshop in
      let folder = try workshop.folder { $0.interpreter = nil }
      let error = refusal { _ = try BundleSource(folder) }
      #expect(error?.code == .platform)
      #expect(error?.message.contains("runtime") == true)
    }
  }

  @Test func programsOfSeveralMachinesGoIntoOneBundle() async throws {
    try await Workshop.run { workshop in
      let folder = try workshop.folder { $0.interpreter = nil }
      try FileManager.default.removeItem(atPath: folder + "/bin")
      for (machine, number) in [("linux-x86_64", UInt8(62)), ("linux-aarch64", UInt8(183))] {
        var program: [UInt8] = [0x7f, 0x45, 0x4c, 0x46] + [UInt8](repeating: 0, count: 60)
        program[18] = number
        try workshop.write(program, to: "\(folder)/\(machine)/adapter.sh")
      }
      let path = workshop.root + "/both.rostrum-plugin"
      try BundleSource(folder).pack(to: path, key: workshop.key)
      let manifest = try Bundle.verify(path)
      #expect(manifest.manifest.artifacts.count == 2)
      for machine in [Machine(os: "linux", arch: "x86_64"), Machine(os: "linux", arch: "aarch64")] {
        let artifact = try #require(manifest.artifact(for: machine))
        #expect(artifact.entry == "\(machine)/adapter.sh")
        #expect(artifact.files.keys.sorted() == ["\(machine)/adapter.sh", "share/words.txt"].sorted())
      }
      #expect(manifest.artifact(for: Machine(os: "linux", arch: "riscv64")) == nil)
    }
  }

  @Test func aProgramInTheWrongFolderIsNamed() async throws {
    try await Workshop.run { workshop in
      let folder = try workshop.folder { $0.interpreter = nil }
      try FileManager.default.removeItem(atPath: folder + "/bin")
      var program: [UInt8] = [0x7f, 0x45, 0x4c, 0x46] + [UInt8](repeating: 0, count: 60)
      program[18] = 183
      try workshop.write(program, to: "\(folder)/linux-x86_64/adapter.sh")
      #expect(refusal { _ = try BundleSource(folder) }?.message.contains("linux-aarch64") == true)
    }
  }
}
