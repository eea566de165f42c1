import FoundationEssentials
import Glibc
import JSONText
import Logging
import PluginManifest
import Processes
import Testing

@testable import PluginHost

/// A plugin written as a shell script, and a host that runs it.
///
/// The scripts use only what a POSIX shell has, because the host gives a plugin no `PATH`.
struct ScriptedPlugin {
  let host: PluginHost
  let log: MemorySink
  let spawner: Spawner
  private let directory: String

  static let methods = ["account/capabilities", "account/identify", "post/publish", "post/render", "post/validate"]

  /// Shell functions: `say` writes a line, `next` reads one into `line` and its id into `id` and its call into `call`.
  private static let library = #"""
    say() { printf '%s\n' "$1"; }
    next() {
      IFS= read -r line || exit 0
      id=${line#*'"id":'}; id=${id%%[,\}]*}
      call=${line#*'"call":"'}; call=${call%%'"'*}
      params=${line#*'"params":'}; params=${params%?}
    }
    result() { say '{"jsonrpc":"2.0","id":'"$1"',"result":'"$2"'}'; }
    """#

  private static func handshake(id: String = "test", version: String = "1.0.0") -> String {
    #"""
    next
    result "$id" '{"protocol":"1.0","plugin":{"id":"\#(id)","version":"\#(version)","sdk":"sh/1"},"methods":["\#(methods.joined(separator: #"",""#))"]}'
    next
    """#
  }

  /// - Parameters:
  ///   - shakesHands: Whether the script starts after a good handshake.
  ///   - body: The script.
  init(shakesHands: Bool = true, startMilliseconds: Int = 30_000, inFlight: Int = 256, _ body: String) async throws {
    let spawner = try Spawner()
    let directory = FileManager.default.temporaryDirectory.path + "/plugin-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let path = directory + "/plugin"
    try await Self.write(body, handshake: shakesHands ? Self.handshake() : "", to: path, spawner)
    let log = MemorySink()
    self.log = log
    self.spawner = spawner
    self.directory = directory
    host = PluginHost(
      plugins: [
        InstalledPlugin(
          manifest: try Self.manifest(startMilliseconds: startMilliseconds, inFlight: inFlight),
          executable: path
        )
      ],
      spawner: spawner,
      logger: Logger(sink: log, minimumLevel: .debug)
    )
  }

  /// Writes one version of a plugin that shakes hands and then runs the script.
  static func install(
    _ script: String,
    id: String,
    version: String = "1.0.0",
    claims: String? = nil,
    shakesHands: Bool = true,
    in directory: String,
    _ spawner: Spawner,
    watch: InstalledPlugin.LimitWatch? = nil
  ) async throws -> InstalledPlugin {
    let path = directory + "/\(id)-\(version)"
    let handshake = shakesHands ? Self.handshake(id: id, version: claims ?? version) : ""
    try await write(script, handshake: handshake, to: path, spawner)
    return InstalledPlugin(manifest: try manifest(id: id, version: version), executable: path, watch: watch)
  }

  private static func write(_ body: String, handshake: String, to path: String, _ spawner: Spawner) async throws {
    let script = "#!/bin/sh\n" + library + "\n" + handshake + "\n" + body + "\n"
    // Written by a child: a file that this process has open for writing cannot be executed.
    let writing = try await spawner.output(
      of: SpawnRequest(executable: "/bin/sh", arguments: ["-c", "cat > \"$0\" && chmod 755 \"$0\"", path]),
      input: Array(script.utf8)
    )
    try #require(writing.status.isSuccess)
  }

  /// Ends the plugin and removes the script.
  func remove() async throws {
    for supervisor in [host.status().first?.pid].compactMap(\.self) {
      _ = kill(-supervisor, SIGKILL)
    }
    try FileManager.default.removeItem(atPath: directory)
  }

  func begin(
    _ method: String = "post/publish",
    _ params: RawJSON = .emptyObject,
    deadline: Duration = .seconds(300)
  ) async throws(PluginFailure) -> PluginCall {
    try await host.begin(method, plugin: "test", params: params, attempt: 1, deadline: deadline)
  }

  /// Makes a call and returns its last message; requests of the plugin are answered with `answer`.
  func call(
    _ params: RawJSON = .emptyObject,
    deadline: Duration = .seconds(300),
    answer: RawJSON = .emptyObject
  ) async throws -> PluginMessage {
    let call = try await begin("post/publish", params, deadline: deadline)
    while true {
      switch await call.next() {
      case .request(let request): call.answer(request, result: answer)
      case .result(let result): return .result(result)
      case .failed(let failure): return .failed(failure)
      }
    }
  }

  var status: PluginStatus {
    get throws { try #require(host.status().first) }
  }

  static func manifest(
    id: String = "test",
    version: String = "1.0.0",
    startMilliseconds: Int = 5_000,
    inFlight: Int = 256
  ) throws -> PluginManifest {
    let alias = id == "test" ? #""probe""# : ""
    let list = methods.map { "\"\($0)\"" }.joined(separator: ",")
    return try PluginManifest.parse(
      Array(
        """
        {"schema": "rostrum-plugin/1", "id": "\(id)", "name": "Test", "aliases": [\(alias)], "kind": "platform",
         "version": "\(version)", "description": "A plugin of the tests.", "license": "Apache-2.0",
         "protocol": {"min": "1.0", "max": "1.0"}, "executable": "plugin-test", "methods": [\(list)], "input": [],
         "secrets": {}, "account": {"fields": []}, "egress": [],
         "reconcile": {"absence": "never", "settleMs": 0}, "rateLimits": [],
         "limits": {"inFlight": \(inFlight), "memoryMiB": 96, "startMs": \(startMilliseconds), "callMs": 60000}}
        """.utf8
      )
    )
  }
}

/// Runs the body with a scripted plugin and removes it.
func withPlugin(
  shakesHands: Bool = true,
  startMilliseconds: Int = 30_000,
  inFlight: Int = 256,
  _ script: String,
  _ body: (ScriptedPlugin) async throws -> Void
) async throws {
  let plugin = try await ScriptedPlugin(
    shakesHands: shakesHands,
    startMilliseconds: startMilliseconds,
    inFlight: inFlight,
    script
  )
  do {
    try await body(plugin)
  } catch {
    try await plugin.remove()
    throw error
  }
  try await plugin.remove()
}
