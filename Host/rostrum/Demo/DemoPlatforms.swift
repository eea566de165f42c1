import Cryptography
import JSONDocument
import PluginManifest

/// An installed plugin whose platform the sandbox simulates, with an account that both sides know.
struct DemoPlatform: Sendable {
  let manifest: PluginManifest
  /// What connects the account through the API.
  let request: JSONValue
}

/// Finds out what the sandbox simulates, from the manifests alone: so every new platform joins the demo by itself.
enum DemoPlatforms {
  private static let account = "rostrum_demo"

  /// Every origin that the sandbox stands in for, and every fixed one of the manifests: a demo reaches nothing real.
  static func overrides(_ manifests: [PluginManifest], sandbox: DemoClient) async throws -> String {
    let known = try await sandbox.get("/_sandbox/origins")["origins"]?.objectValue ?? [:]
    var places = known.compactMapValues(\.stringValue)
    for rule in manifests.flatMap(\.rules.values) {
      guard case .fixed(let origin) = rule.origin, places[origin] == nil else { continue }
      places[origin] = "\(sandbox.origin)/origin/\(origin.split(separator: "/").last ?? "")"
    }
    return places.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
  }

  /// Makes an account in the sandbox for each plugin that it knows; answers with the plugins in order of their ids.
  static func prepare(_ manifests: [PluginManifest], sandbox: DemoClient) async throws -> [DemoPlatform] {
    // The ledger has a part for every platform that the sandbox simulates.
    let simulated = try await sandbox.get("/_sandbox/ledger?entries=false").objectValue ?? [:]
    var platforms: [DemoPlatform] = []
    for manifest in manifests where manifest.kind == .platform && simulated[manifest.id] != nil {
      platforms.append(try await prepare(manifest, sandbox))
    }
    guard !platforms.isEmpty else {
      throw CommandError(.failure, "The sandbox simulates none of the installed plugins")
    }
    return platforms
  }

  private static func prepare(_ manifest: PluginManifest, _ sandbox: DemoClient) async throws -> DemoPlatform {
    var order: [String: JSONValue] = ["platform": .string(manifest.id), "username": .string(account)]
    var credentials: [String: JSONValue] = [:]
    for (name, declaration) in manifest.secrets {
      // Made anew each time: nothing in the repository looks like a secret.
      let isSigning = declaration.format == .whsec
      let value =
        isSigning
        ? "whsec_" + Base64.encode(RandomBytes.make(32)) : "demo-" + Base64.encodeURL(RandomBytes.make(24))
      credentials[name] = .string(value)
      order[isSigning ? "secret" : "token"] = .string(value)
    }
    let answer = try await sandbox.post("/_sandbox/accounts", .object(order))
    var fields: [String: JSONValue] = [:]
    for field in manifest.accountFields {
      fields[field.name] =
        field.type == .origin ? .string(sandbox.origin) : answer.pointer("/accounts/0/url") ?? .string(account)
    }
    var request: [String: JSONValue] = ["platform": .string(manifest.id), "credentials": .object(credentials)]
    if !fields.isEmpty { request["fields"] = .object(fields) }
    return DemoPlatform(manifest: manifest, request: .object(request))
  }
}
