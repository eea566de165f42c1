import FoundationEssentials
import JSONDocument
import PluginStore
import Testing

/// A folder of a test's own, in which plugins are made and packed.
struct Workshop: Sendable {
  let root: String
  let key: PublisherKey

  static func run<Value>(_ body: (Workshop) async throws -> Value) async throws -> Value {
    let root = FileManager.default.temporaryDirectory.path + "/plugin-store-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    let result: Result<Value, any Error>
    do {
      result = .success(try await body(Workshop(root: root, key: try PublisherKey.make())))
    } catch {
      result = .failure(error)
    }
    try StoreFolder.erase(root)
    return try result.get()
  }

  // MARK: Sources

  /// What a manifest of a test says; the rest is always the same.
  struct Plan: Sendable {
    var id = "probe"
    var version = "1.0.0"
    var protocolRange = (min: "1.0", max: "1.0")
    var aliases: [String] = []
    var host = "https://api.example.org"
    var methods = ["POST"]
    var path = "/posts"
    var calls = ["post/publish"]
    var place = "header.authorization"
    var memory = 96
    var pids = 64
    var interpreter: String? = "/bin/sh"
    var readPaths: [String] = []
    var input: [String] = []
    var tokenHost = "https://api.example.org"
    var scope = "write"

    var manifest: JSONValue {
      var members: [String: JSONValue] = [
        "schema": "rostrum-plugin/1", "id": .string(id), "name": "Probe", "kind": "platform",
        "version": .string(version), "description": "A plugin of the tests.", "license": "Apache-2.0",
        "aliases": .array(aliases.map { .string($0) }),
        "protocol": ["min": .string(protocolRange.min), "max": .string(protocolRange.max)],
        "executable": "adapter.sh",
        "methods": [
          "account/capabilities", "account/identify", "post/publish", "post/render", "post/validate", "post/delete",
        ],
        "input": .array(input.map { .string($0) }),
        "secrets": ["token": ["label": "Token", "source": "oauth"]], "oauth": signIn,
        "configuration": [["name": "PROBE_ID", "label": "ID"], ["name": "PROBE_SECRET", "label": "Secret"]],
        "account": ["fields": []],
        "egress": .array(methods.map(rule)), "reconcile": ["absence": "never", "settleMs": 0], "rateLimits": [],
        "limits": [
          "inFlight": 64, "memoryMiB": .int(Int64(memory)), "startMs": 5000, "callMs": 60000,
          "pids": .int(Int64(pids)),
        ],
      ]
      if let interpreter {
        members["runtime"] = [
          "interpreter": .string(interpreter), "readPaths": .array(readPaths.map { .string($0) }),
        ]
      }
      return .object(members)
    }

    private var signIn: JSONValue {
      [
        "application": ["id": "PROBE_ID", "secret": "PROBE_SECRET"],
        "authorize": [
          "url": "https://www.example.org/authorize",
          "parameters": ["client_id": "{client.id}", "redirect_uri": "{redirect}", "state": "{state}"],
        ],
        "scopes": [["name": "publish", "label": "Publish", "required": true, "scopes": .array([.string(scope)])]],
        "exchange": [
          [
            "method": "POST", "url": .string(tokenHost + "/token"), "authentication": "basic",
            "parameters": ["code": "{code}", "redirect_uri": "{redirect}"],
          ]
        ],
      ]
    }

    private func rule(_ method: String) -> JSONValue {
      var members: [String: JSONValue] = [
        "rule": .string("rule\(method)"), "class": method == "GET" ? "read" : "commit", "method": .string(method),
        "origin": .string(host), "path": .string(path), "calls": .array(calls.map { .string($0) }),
        "slots": .object([place: ["secret": "token", "format": "Bearer {}"]]), "maxBody": 65536, "timeoutMs": 20000,
      ]
      if method != "GET" && method != "DELETE" { members["body"] = "json" }
      return .object(members)
    }
  }

  static let script = "#!/bin/sh\necho a plugin of the tests\n"

  /// Makes a folder with a manifest and a script; answers with its path.
  func folder(_ change: (inout Plan) -> Void = { _ in }, script: String = Self.script) throws -> String {
    var plan = Plan()
    change(&plan)
    let path = "\(root)/source-\(UUID().uuidString)"
    try write(plan.manifest.text(), to: "\(path)/manifest.json")
    try write(script, to: "\(path)/bin/adapter.sh")
    try write("words\n", to: "\(path)/share/words.txt")
    return path
  }

  /// Makes a bundle; answers with its path.
  func bundle(
    key: PublisherKey? = nil,
    script: String = Self.script,
    _ change: (inout Plan) -> Void = { _ in }
  ) throws -> String {
    let path = "\(root)/\(UUID().uuidString).rostrum-plugin"
    try BundleSource(try folder(change, script: script)).pack(to: path, key: key ?? self.key)
    return path
  }

  func store(_ name: String = "host") throws -> StoreFolder { try StoreFolder("\(root)/\(name)") }

  func write(_ text: String, to path: String) throws { try write(Array(text.utf8), to: path) }

  func write(_ bytes: [UInt8], to path: String) throws {
    let folder = path.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" }
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try Data(bytes).write(to: URL(filePath: path))
  }

  static func bytes(_ path: String) throws -> [UInt8] { try Array(Data(contentsOf: URL(filePath: path))) }
}

/// The error of a body that must refuse.
func refusal(_ body: () throws -> Void) -> StoreError? {
  do {
    try body()
    return nil
  } catch {
    return error as? StoreError
  }
}

/// The error of a body that must refuse.
func refusal(_ body: () async throws -> Void) async -> StoreError? {
  do {
    try await body()
    return nil
  } catch {
    return error as? StoreError
  }
}
