internal import FoundationEssentials
internal import JSONDocument
internal import JSONText
internal import Jail
internal import Logging
internal import PluginHost
internal import PluginManifest
internal import Processes
internal import ServiceTree

/// Keeps many plugins running in the jail, watched and idle, so that their memory and processor time can be read.
///
/// Each has a host side of its own, because one host runs one process for each id.
struct FleetBench {
  let launcher: String
  let manifest: String
  let executable: String

  /// Starts them, says so once each has answered a call, and ends them with the input.
  func hold(count: Int) async throws {
    let spawner = try Spawner()
    let jail = await Jail.probe(launcher: launcher, spawner: spawner, logger: Logger.current)
    if let failure = jail.report.failure { throw BenchError(failure) }
    guard let bytes = FileManager.default.contents(atPath: manifest) else {
      throw BenchError("The manifest \(manifest) cannot be read")
    }
    let manifest = try PluginManifest.parse(Array(bytes))
    let shutdown = Shutdown()
    let limits = JailLimits(memoryMiB: manifest.limits.memoryMiB)
    let executable = executable
    try await withThrowingTaskGroup(of: Void.self) { group in
      var hosts: [PluginHost] = []
      for number in 0..<count {
        let plugin = InstalledPlugin(
          manifest: manifest,
          digest: "fleet-\(number)",
          executable: executable,
          watch: { process, exceeded in
            let watched = jail.watch(process, limits: limits) { exceeded("\($0)") }
            return InstalledPlugin.RunningWatch(noteWork: watched.noteWork, stop: watched.stop)
          },
          launch: { try jail.request(for: JailBench.program(executable)) }
        )
        let host = PluginHost(plugins: [plugin], spawner: spawner, logger: Logger.current)
        hosts.append(host)
        group.addTask { try await Shutdown.$current.withValue(shutdown) { try await host.run() } }
      }
      defer { shutdown.request() }
      for host in hosts { try await call(host, manifest.id) }
      RostrumBench.show(["tier": .string("\(jail.tier)"), "running": .int(Int64(count))])
      while readLine() != nil {}
    }
  }

  private func call(_ host: PluginHost, _ id: String) async throws {
    let params = try PluginBench.parameters()
    let call = try await host.begin("post/validate", plugin: id, params: params, deadline: .seconds(30))
    guard case .result = await call.next() else { throw BenchError("A plugin did not answer") }
  }
}
