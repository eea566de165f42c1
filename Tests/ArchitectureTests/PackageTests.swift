import Foundation
import Testing

/// What may know what: read from Package.swift as it stands.
@Suite struct PackageTests {
  private struct Target {
    let name: String
    let directory: String
    let dependencies: Set<String>
  }

  private static let sdk: Set<String> = [
    "JSONText", "PluginProtocol", "PluginTransport", "PluginKit", "PluginTestKit", "SandboxKit",
  ]

  /// The tiers of the host, from the bottom; a module depends on lower tiers only.
  private static let tiers: [[String]] = [
    ["CHostShims", "CCurl", "CJansson", "CMicroHTTPD", "COpenSSL", "CPostgres"],
    ["Logging"],
    [
      "Cryptography", "HTTPClient", "HTTPServer", "JSONDocument", "JSONText", "Postgres", "Processes",
      "PluginProtocol", "PluginTestKit", "PluginTransport", "ServiceTree",
    ],
    ["Audit", "PluginManifest"], ["Egress", "Jail", "JobQueue", "Migrations", "Outbox"],
    ["MediaStore", "PluginHost", "PluginStore", "Vault"], ["OAuth"],
    ["AuditChain", "Events", "Identity", "Notices", "Publishing", "Sites", "WebhookEndpoints"],
    ["Connecting"], ["AdminAPI"], ["Server"], ["rostrum"],
  ]

  private static func targets() throws -> [Target] {
    let text = try Repository.text("Package.swift")
    let pattern = #/^    (module|plugin|executable)\(\s*"([\w-]+)",\s*(?:in|at): "([^"]+)"(?:,\s*\[([^\]]*)\])?/#
      .anchorsMatchLineEndings()
    return text.matches(of: pattern).map { match in
      let names = (match.4 ?? "").split(separator: ",").map { $0.filter { !" \n\"".contains($0) } }
      let isPlugin = match.1 == "plugin"
      return Target(
        name: String(match.2),
        directory: isPlugin ? "Plugins" : String(match.3.split(separator: "/").first ?? ""),
        dependencies: Set(names.map { String($0) }.filter { !$0.isEmpty }).union(isPlugin ? ["PluginKit"] : [])
      )
    }
  }

  @Test func readsAllTargets() throws {
    let names = try Set(Self.targets().map(\.name))
    for name in Self.sdk.union(["Postgres", "Publishing", "AdminAPI", "Server", "rostrum", "plugin-x"]) {
      #expect(names.contains(name), "\(name)")
    }
    #expect(try Self.targets().first { $0.name == "Publishing" }?.dependencies.contains("Vault") == true)
  }

  @Test func theSDKKnowsNothingOfTheHost() throws {
    for target in try Self.targets() where target.directory == "SDK" {
      #expect(target.dependencies.isSubset(of: Self.sdk), "\(target.name) uses \(target.dependencies)")
    }
  }

  @Test func pluginsKnowTheKitAlone() throws {
    let plugins = try Self.targets().filter { $0.directory == "Plugins" }
    #expect(plugins.count >= 2)
    for plugin in plugins { #expect(plugin.dependencies == ["PluginKit"], "\(plugin.name)") }
  }

  @Test func theHostKnowsNoPlugin() throws {
    let plugins = try Set(Self.targets().filter { $0.directory == "Plugins" }.map(\.name))
    let wireOnly: Set<String> = ["JSONText", "PluginProtocol", "PluginTransport"]
    for target in try Self.targets() where target.directory == "Host" {
      #expect(target.dependencies.isDisjoint(with: plugins), "\(target.name)")
      let fromSDK = target.dependencies.intersection(Self.sdk)
      // The commands for people who write adapters judge them with the kit; nothing that serves does.
      let allowed = target.name == "rostrum" ? wireOnly.union(["PluginTestKit"]) : wireOnly
      #expect(fromSDK.isSubset(of: allowed), "\(target.name) uses \(fromSDK)")
    }
  }

  @Test func everyModuleOfTheHostStandsOnLowerTiers() throws {
    var tierOf: [String: Int] = [:]
    for (tier, names) in Self.tiers.enumerated() {
      for name in names { tierOf[name] = tier }
    }
    for target in try Self.targets() where target.directory == "Host" {
      guard let tier = tierOf[target.name] else {
        Issue.record("\(target.name) stands on no tier; decide where it belongs")
        continue
      }
      for name in target.dependencies.sorted() {
        guard let other = tierOf[name] else {
          Issue.record("\(target.name) uses \(name), which stands on no tier")
          continue
        }
        #expect(other < tier, "\(target.name) (tier \(tier)) uses its peer \(name) (tier \(other))")
      }
    }
  }

  @Test func everyCLibraryHasOneOwner() throws {
    var owners: [String: [String]] = [:]
    for target in try Self.targets() {
      for name in target.dependencies where Self.tiers[0].contains(name) {
        owners[name, default: []].append(target.name)
      }
    }
    for (library, names) in owners where library != "CHostShims" { #expect(names.count == 1, "\(library): \(names)") }
    #expect(owners.count >= 5)
  }

  /// Imports are what counts in the end, whatever the manifest allows.
  @Test func onlyWrappersImportC() throws {
    let allowed = [
      "CCurl": "HTTPClient", "CJansson": "JSONDocument", "COpenSSL": "Cryptography", "CPostgres": "Postgres",
    ]
    for file in try Repository.swiftFiles(in: "Host") {
      for line in file.lines where line.text.contains("import C") {
        guard let name = line.text.split(separator: " ").last.map(String.init), Self.tiers[0].contains(name) else {
          continue
        }
        let module = file.path.split(separator: "/")[1]
        if let owner = allowed[name] { #expect(String(module) == owner, "\(file.path):\(line.number)") }
        #expect(!Self.tiers[6...].joined().contains(String(module)), "\(file.path):\(line.number)")
      }
    }
  }
}
