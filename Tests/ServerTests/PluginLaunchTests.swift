import Cryptography
import FoundationEssentials
import Jail
import Logging
import PluginHost
import PluginManifest
import PluginStore
import Processes
import Server
import TestSupport
import Testing

/// Who may be started in which tier, and with what.
@Suite(.timeLimit(.minutes(2)), .enabled(if: !SanitizedBuild.isOn)) struct PluginLaunchTests {
  private let folder: TemporaryFolder
  private let spawner: Spawner

  init() throws {
    folder = try TemporaryFolder()
    spawner = try Spawner()
  }

  private func jail(_ best: JailTier) async -> Jail {
    let programs = CommandLine.arguments[0].split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" }
    return await Jail.probe(
      launcher: "\(programs)/rostrum-jail",
      spawner: spawner,
      logger: Logger(sink: MemorySink()),
      best: best
    )
  }

  /// A program of the machine, packed as a plugin.
  private func plugin(isFirstParty: Bool) throws -> StoredPlugin {
    let root = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }
    let manifest = try #require(try ManifestStore.load(directory: "\(root)/plugin-manifests").manifests.first)
    let program = try #require(FileManager.default.contents(atPath: "/bin/cat"))
    let path = "\(folder.path)/program"
    if !FileManager.default.fileExists(atPath: path) {
      try program.write(to: URL(filePath: path))
      try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: path)
    }
    return StoredPlugin(
      manifest: manifest,
      digest: "sha256:0",
      directory: folder.path,
      artifact: Artifact(
        os: "linux",
        arch: "any",
        entry: "program",
        files: ["program": Hex.encode(SHA256.digest(Array(program)))]
      ),
      isFirstParty: isFirstParty,
      digests: FileDigests()
    )
  }

  @Test func strangersAreRefusedWhereTheJailHoldsNobody() async throws {
    let jail = await jail(.c)
    let stranger = try plugin(isFirstParty: false)
    let refused = #expect(throws: LaunchRefused.self) {
      try PluginLaunch.launch(stranger, jail, allowsUnjailed: false)()
    }
    #expect(refused?.reason.contains("tier C") == true)
    #expect(refused?.reason.contains("ROSTRUM_ALLOW_UNJAILED=1") == true)
    #expect(throws: Never.self) { try PluginLaunch.launch(stranger, jail, allowsUnjailed: true)() }
    let own = try plugin(isFirstParty: true)
    #expect(throws: Never.self) { try PluginLaunch.launch(own, jail, allowsUnjailed: false)() }
  }

  @Test func strangersRunWhereTheJailHolds() async throws {
    let jail = await jail(.a)
    guard jail.tier.holdsStrangers else { return }
    let request = try PluginLaunch.launch(try plugin(isFirstParty: false), jail, allowsUnjailed: false)()
    let output = try await spawner.output(of: request, input: Array("through the jail".utf8))
    #expect(String(decoding: output.standardOutput, as: UTF8.self) == "through the jail")
    #expect(output.status == .exited(0))
  }

  @Test func aPluginGetsItsThreeVariablesAndTheLimitsOfItsManifest() async throws {
    let jail = await jail(.b)
    let plugin = try plugin(isFirstParty: true)
    let request = try PluginLaunch.launch(plugin, jail, allowsUnjailed: false)()
    #expect(request.environment == ["LANG": "C.UTF-8", "TZ": "UTC", "SWIFT_ROOT": folder.path])
    #expect(request.arguments.contains("\(plugin.manifest.limits.fds)"))
    #expect(request.descriptors.count >= 1)
    #expect(InstalledPlugin(plugin, jail: jail, allowsUnjailed: false).tier == "\(jail.tier)")
  }

  @Test func changedBytesAreRefused() async throws {
    let jail = await jail(.c)
    let plugin = try plugin(isFirstParty: true)
    let path = "\(folder.path)/program"
    try FileManager.default.removeItem(atPath: path)
    try Data("changed".utf8).write(to: URL(filePath: path))
    let refused = #expect(throws: LaunchRefused.self) {
      try PluginLaunch.launch(plugin, jail, allowsUnjailed: false)()
    }
    #expect(refused?.reason.contains("was changed after it was installed") == true)
  }
}
