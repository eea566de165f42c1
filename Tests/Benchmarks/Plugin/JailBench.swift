internal import FoundationEssentials
internal import Glibc
internal import Jail
internal import Logging
internal import PluginHost
internal import PluginManifest
internal import Processes

/// Measures what the jail costs: calls and starts of the same plugin with and without it, in turns.
struct JailBench {
  struct Report {
    var tier = ""
    /// Microseconds of one call, the median over the turns.
    var plainCall = 0.0
    var jailedCall = 0.0
    /// Milliseconds from the start to the first answer.
    var plainStart95 = 0.0
    var jailedStart50 = 0.0
    var jailedStart95 = 0.0
  }

  private static let turns = 5
  private static let hello =
    #"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocol":{"min":"1.0","max":"1.0"},"#
    + #""host":{"name":"rostrum","version":"0"},"plugin":{"id":"ID","version":"VERSION"},"#
    + #""limits":{"frameBytes":1048576,"inFlight":256}}}"# + "\n"

  let launcher: String
  let manifest: String
  let executable: String

  func run(calls: Int, starts: Int) async throws -> Report {
    let spawner = try Spawner()
    let jail = await Jail.probe(launcher: launcher, spawner: spawner, logger: Logger.current)
    if let failure = jail.report.failure { throw BenchError(failure) }
    guard let bytes = FileManager.default.contents(atPath: manifest) else {
      throw BenchError("The manifest \(manifest) cannot be read")
    }
    let manifest = try PluginManifest.parse(Array(bytes))
    let plain = InstalledPlugin(manifest: manifest, executable: executable)
    let executable = executable
    let jailed = InstalledPlugin(manifest: manifest, digest: "jailed", executable: executable) {
      try jail.request(for: Self.program(executable))
    }
    var report = Report(tier: "\(jail.tier)")
    var (plainCalls, jailedCalls): ([Double], [Double]) = ([], [])
    for _ in 0..<Self.turns {
      plainCalls.append(try await PluginBench(plugin: plain).run(calls: calls, depth: 1).p50)
      jailedCalls.append(try await PluginBench(plugin: jailed).run(calls: calls, depth: 1).p50)
    }
    report.plainCall = Spread(plainCalls).percentile(0.5)
    report.jailedCall = Spread(jailedCalls).percentile(0.5)
    let hello = Self.hello.replacing("ID", with: manifest.id).replacing("VERSION", with: "\(manifest.version)")
    var (plainStarts, jailedStarts): ([Double], [Double]) = ([], [])
    for _ in 0..<starts {
      plainStarts.append(try await start(plain, spawner, hello))
      jailedStarts.append(try await start(jailed, spawner, hello))
    }
    report.plainStart95 = Spread(plainStarts).percentile(0.95)
    report.jailedStart50 = Spread(jailedStarts).percentile(0.5)
    report.jailedStart95 = Spread(jailedStarts).percentile(0.95)
    return report
  }

  static func program(_ path: String) throws -> JailedProgram {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw BenchError("The plugin \(path) cannot be read") }
    let folder = path.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" }
    return JailedProgram(
      plugin: "benchmark",
      image: OwnedDescriptor(adopting: descriptor),
      name: path,
      directory: folder,
      environment: ["LANG": "C.UTF-8", "TZ": "UTC", "SWIFT_ROOT": folder]
    )
  }

  /// Milliseconds from before the start to the first line of the answer.
  private func start(_ plugin: InstalledPlugin, _ spawner: Spawner, _ hello: String) async throws -> Double {
    let begin = ContinuousClock.now
    let child = try await spawner.spawn(try plugin.launch())
    guard let input = child.standardInput, let output = child.standardOutput?.rawValue else {
      throw BenchError("The plugin has no pipes")
    }
    _ = input.write(Array(hello.utf8))
    // Blocks one thread of the pool for a moment; nothing else runs here.
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = unsafe read(output, &buffer, buffer.count)
    let time = (ContinuousClock.now - begin).inSeconds * 1_000
    guard count > 0, buffer.prefix(count).contains(UInt8(ascii: "\n")) else {
      throw BenchError("The plugin did not answer; it ended with \(await child.terminate())")
    }
    input.close()
    _ = await child.exit()
    return time
  }
}
