import JSONDocument
import PluginHost
import PluginManifest
import Server

/// `rostrum plugin …`
enum PluginCommands {
  static let list = Command(words: ["plugin", "list"], summary: "Show the installed plugins") { invocation in
    let catalogue = try PluginCatalogue(try invocation.configuration())
    let problems = catalogue.problems.map(\.description)
    invocation.show([
      "plugins": .array(catalogue.plugins.map(json)), "problems": .array(problems.map { .string($0) }),
    ]) {
      invocation.terminal.table(
        ["id", "name", "version", "kind", "also", "program"],
        catalogue.plugins.map { plugin in
          let manifest = plugin.manifest
          let program = PluginCatalogue.isExecutable(plugin) ? plugin.executable : "\(plugin.executable) (missing)"
          return [
            manifest.id, manifest.name, "\(manifest.version)", manifest.kind.rawValue,
            manifest.aliases.joined(separator: ", "), program,
          ]
        }
      )
      for problem in problems { invocation.terminal.complain("unusable: \(problem)") }
    }
    return problems.isEmpty ? .success : .failure
  }

  private static func json(_ plugin: InstalledPlugin) -> JSONValue {
    let manifest = plugin.manifest
    return [
      "id": .string(manifest.id), "name": .string(manifest.name), "version": .string("\(manifest.version)"),
      "kind": .string(manifest.kind.rawValue), "aliases": .array(manifest.aliases.map { .string($0) }),
      "executable": .string(plugin.executable), "isExecutable": .bool(PluginCatalogue.isExecutable(plugin)),
    ]
  }
}
