import HTTPServer
import Identity
import JSONDocument
import PluginHost
import PluginManifest

/// Installed plugins.
enum PluginRoutes {
  private static let shape = Schema.object([
    .required("id", .string(1...40)), .required("name", .string(1...100)), .required("version", .string(1...40)),
    .required("kind", .choice(["platform", "llm"])), .required("aliases", .array(.string(1...40), 0...10)),
    .required("description", .string(0...500)), .required("secrets", .map(.string(0...500), limit: 20)),
    .required("fields", .map(.string(0...500), limit: 20)), .required("state", .string(1...40)),
    .required("restarts", .integer(0...Int64.max)), .required("lastExit", .nullable(.string(0...2000))),
  ])

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/api/plugins",
      summary: "Installed plugins and how they do",
      access: .anyToken,
      success: .json(200, .array(shape, 0...200)),
      handler: list
    )
  ]

  private static func list(_ context: APIContext) async throws -> HTTPResponse {
    let plugins = context.services.plugins
    let states = Dictionary(plugins.status().map { ($0.id, $0) }) { first, _ in first }
    let rows = plugins.manifests.sorted { $0.id < $1.id }.map { manifest -> JSONValue in
      let status = states[manifest.id]
      return [
        "id": .string(manifest.id), "name": .string(manifest.name), "version": .string("\(manifest.version)"),
        "kind": .string(manifest.kind.rawValue), "aliases": .strings(manifest.aliases),
        "description": .string(manifest.description),
        "secrets": .object(manifest.secrets.mapValues { .string($0.label) }),
        "fields": .object(
          Dictionary(uniqueKeysWithValues: manifest.accountFields.map { ($0.name, .string($0.label)) })
        ),
        "state": .string(status?.state.rawValue ?? "stopped"), "restarts": .int(Int64(status?.restarts ?? 0)),
        "lastExit": .text(status?.lastExit),
      ]
    }
    return Envelope.ok(.array(rows))
  }
}
