import Audit
import Connecting
import Cryptography
import HTTPServer
import Identity
import JSONDocument
import OAuth
import PluginManifest
import Postgres
import Publishing

/// What platforms know a site as: its own applications beside the host's.
enum AppRoutes {
  private static let base = "/api/admin/distribution/platforms/{platform}/apps"
  private static let name = Schema.string(1...120)
  private static let secret = Schema.string(1...4_000)

  private static let shape = Schema.object([
    .required("id", .nullable(.id), "Null for the application of the host's environment"),
    .required("platform", .string(1...40)), .required("name", name), .required("clientId", .string(1...500)),
    .required("hasSecret", .boolean, "The secret itself is never shown"),
    .required("origin", .nullable(.string(0...2048)), "The server that it is registered with"),
    .required("isDefault", .boolean, "Whether sign-ins use it that name none"),
    .required("callbackUrl", .nullable(.string(0...2048)), "What to register with the platform as callback address"),
    .required("createdAt", .nullable(.instant)),
  ])

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: base,
      summary: "The applications that the platform knows the site by",
      access: .site(.manageAccounts),
      query: [.siteID],
      success: .json(200, .array(shape, 0...(PlatformApps.limit + 1))),
      refusals: [400],
      handler: list
    ),
    Endpoint(
      method: .post,
      path: base,
      summary: "Add an application that the site registered with the platform",
      access: .site(.manageAccounts),
      query: [.siteID],
      body: .object([
        .siteID, .required("name", name, "How people see it"), .required("clientId", .string(1...500)),
        .optional("clientSecret", secret, "Left out for a public client"),
        .optional("origin", .url, "The server that it is registered with, for platforms that run on many"),
        .optional("isDefault", .boolean, "The first one of a platform is the default one"),
      ]),
      isSettledByItself: true,
      success: .json(200, .object([.required("id", .id)])),
      refusals: [400, 409, 422],
      handler: create
    ),
    Endpoint(
      method: .put,
      path: base + "/{id}",
      summary: "Change an application; its client id stays, for its accounts are bound to it",
      access: .site(.manageAccounts),
      query: [.siteID],
      body: .object([
        .siteID, .optional("name", name), .optional("clientSecret", secret), .optional("isDefault", .boolean),
      ]),
      success: .json(200, .object([.required("id", .id)])),
      refusals: [400, 409],
      handler: update
    ),
    Endpoint(
      method: .delete,
      path: base + "/{id}",
      summary: "Remove an application that no account is connected with",
      access: .site(.manageAccounts),
      query: [.siteID],
      success: .json(200, .object([.required("removed", .boolean)])),
      refusals: [400, 409],
      handler: remove
    ),
  ]

  private static func list(_ context: APIContext) async throws -> HTTPResponse {
    let (manifest, oauth) = try SignInRoutes.supported(context)
    let apps = context.services.apps
    var rows = try await apps.list(platform: manifest.id, site: try context.site())
    do {
      if let host = try await apps.hosts(manifest, oauth) { rows.append(host) }
    } catch {
      // A half-set environment is told where somebody wants to use it.
    }
    let callback = context.services.signIns.callback(manifest.id)
    return Envelope.ok(.array(rows.map { json($0, callback: callback) }))
  }

  private static func create(_ context: APIContext) async throws -> HTTPResponse {
    let (manifest, _) = try SignInRoutes.supported(context)
    let site = try context.site()
    let origin = try context.string("origin").map {
      try context.services.connections.origin(["origin": $0], of: manifest)
    }
    let id = try await context.services.apps.create(
      PlatformAppDraft(
        name: context.string("name") ?? "",
        clientID: context.string("clientId") ?? "",
        clientSecret: context.string("clientSecret").map { Secret($0) },
        origin: origin ?? nil,
        isDefault: context.bool("isDefault")
      ),
      platform: manifest.id,
      site: site,
      user: try context.caller().userID
    ) { id in [context.audit(.platformAppCreate, "platform-app:\(id)", site: site)] }
    return Envelope.ok(["id": .int(id)])
  }

  private static func update(_ context: APIContext) async throws -> HTTPResponse {
    let (manifest, _) = try SignInRoutes.supported(context)
    let (site, id) = (try context.site(), try context.id())
    try await context.services.apps.update(
      id,
      name: context.string("name"),
      clientSecret: context.string("clientSecret").map { Secret($0) },
      isDefault: context.bool("isDefault"),
      platform: manifest.id,
      site: site,
      also: [context.audit(.platformAppUpdate, "platform-app:\(id)", site: site)]
    )
    return Envelope.ok(["id": .int(id)])
  }

  private static func remove(_ context: APIContext) async throws -> HTTPResponse {
    let (manifest, _) = try SignInRoutes.supported(context)
    let (site, id) = (try context.site(), try context.id())
    try await context.services.apps.remove(
      id,
      platform: manifest.id,
      site: site,
      also: [context.audit(.platformAppRemove, "platform-app:\(id)", site: site)]
    )
    return Envelope.ok(["removed": true])
  }

  private static func json(_ app: PlatformApp, callback: String?) -> JSONValue {
    [
      "id": .number(app.id), "platform": .string(app.platform), "name": .string(app.name),
      "clientId": .string(app.clientID), "hasSecret": .bool(app.hasSecret), "origin": .text(app.origin),
      "isDefault": .bool(app.isDefault), "callbackUrl": .text(callback), "createdAt": .instant(app.createdAt),
    ]
  }
}
