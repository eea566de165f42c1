import HTTPServer
import Identity
import JSONDocument
import PluginHost
import PluginManifest
import PluginStore

/// Plugins, as everybody sees them.
enum PluginRoutes {
  private static let address = Schema.nullable(.string(1...300))
  private static let shape = Schema.object([
    .required("id", .string(1...40)), .required("name", .string(1...100)), .required("version", .string(1...64)),
    .required("kind", .choice(["platform", "llm"])), .required("aliases", .array(.string(1...40), 0...10)),
    .required("description", .string(0...500)), .required("secrets", .map(.string(0...500), limit: 20)),
    .required("fields", .map(.string(0...500), limit: 20)),
    .required(
      "icon",
      .nullable(.object([.required("path", .string(1...4096)), .required("color", .string(7...7))])),
      "Path data of SVG in a square of 24, and a colour"
    ),
    .required(
      "preview",
      .nullable(
        .object([
          .required("shape", .choice(PreviewLook.Shape.allCases.map(\.rawValue))),
          .required("avatar", .choice(PreviewLook.Avatar.allCases.map(\.rawValue))),
          .required("accent", .nullable(.string(7...7))),
        ])
      )
    ),
    .required("statusUrl", address), .required("docsUrl", address), .required("supportUrl", address),
    .required(
      "configuration",
      .array(
        .object([
          .required("name", .string(1...60)), .required("label", .string(1...120)), .required("secret", .boolean),
        ]),
        0...16
      ),
      "What the operator sets in the host's environment"
    ),
    .required(
      "hashtags",
      .nullable(.object([.required("min", .integer(0...100)), .required("max", .integer(0...100))])),
      "How many do well"
    ),
    .required(
      "apiVersion",
      .nullable(.object([.required("name", .string(1...40)), .required("sunset", .nullable(.string(10...10)))]))
    ),
    .required(
      "signIn",
      .nullable(
        .object([
          .required(
            "scopes",
            .array(
              .object([
                .required("name", .string(1...40)), .required("label", .string(1...120)),
                .required("reason", .nullable(.string(1...300))), .required("required", .boolean),
              ]),
              0...12
            ),
            "What people are asked to allow"
          )
        ])
      ),
      "How accounts are connected by a sign-in; null where they are not"
    ),
    .required("state", .string(1...40)), .required("restarts", .integer(0...Int64.max)),
    .required("lastExit", .nullable(.string(0...2000))),
    .required("tier", .nullable(.string(1...10)), "How its process is shut off from the machine"),
    .required("digest", .string(0...300)),
  ])

  static let endpoints: [Endpoint] =
    [
      Endpoint(
        method: .get,
        path: "/api/plugins",
        summary: "Installed plugins and how they do",
        access: .signedIn,
        success: .json(200, .array(shape, 0...200)),
        handler: list
      )
    ] + PluginBundleRoutes.endpoints + PluginInspectRoutes.endpoints

  private static func list(_ context: APIContext) async throws -> HTTPResponse {
    let plugins = context.services.plugins
    let states = Dictionary(plugins.status().map { ($0.id, $0) }) { first, _ in first }
    let rows = plugins.manifests.sorted { $0.id < $1.id }.map { row($0, states[$0.id]) }
    return Envelope.ok(.array(rows))
  }

  private static func row(_ manifest: PluginManifest, _ status: PluginStatus?) -> JSONValue {
    var members = about(manifest)
    members["secrets"] = .object(manifest.secrets.mapValues { .string($0.label) })
    members["fields"] = .object(
      Dictionary(manifest.accountFields.map { ($0.name, .string($0.label)) }) { first, _ in first }
    )
    members["signIn"] =
      manifest.oauth.map { oauth in
        [
          "scopes": .array(
            oauth.scopes.map {
              [
                "name": .string($0.name), "label": .string($0.label), "reason": .text($0.reason),
                "required": .bool($0.isRequired),
              ]
            }
          )
        ]
      } ?? .null
    members["state"] = .string(status?.state.rawValue ?? "stopped")
    members["restarts"] = .int(Int64(status?.restarts ?? 0))
    members["lastExit"] = .text(status?.lastExit.map { String($0.prefix(2_000)) })
    members["tier"] = .text(status?.tier)
    members["digest"] = .string(status?.digest ?? "")
    return .object(members)
  }

  private static func about(_ manifest: PluginManifest) -> [String: JSONValue] {
    [
      "id": .string(manifest.id), "name": .string(manifest.name), "version": .string("\(manifest.version)"),
      "kind": .string(manifest.kind.rawValue), "aliases": .strings(manifest.aliases),
      "description": .string(manifest.description),
      "icon": manifest.icon.map { ["path": .string($0.path), "color": .string($0.color)] } ?? .null,
      "preview": manifest.preview.map {
        ["shape": .string($0.shape.rawValue), "avatar": .string($0.avatar.rawValue), "accent": .text($0.accent)]
      } ?? .null,
      "statusUrl": .text(manifest.links.status), "docsUrl": .text(manifest.links.docs),
      "supportUrl": .text(manifest.links.support),
      "configuration": .array(
        manifest.configuration.map {
          ["name": .string($0.name), "label": .string($0.label), "secret": .bool($0.isSecret)]
        }
      ),
      "hashtags": manifest.hashtags.map {
        ["min": .int(Int64($0.lowerBound)), "max": .int(Int64($0.upperBound))]
      } ?? .null,
      "apiVersion": manifest.apiVersion.map { ["name": .string($0.name), "sunset": .text($0.sunset)] } ?? .null,
    ]
  }
}
