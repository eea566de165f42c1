import Audit
import HTTPServer
import Identity
import JSONDocument
import Postgres
import Publishing

/// Named publishing settings over connections.
enum TargetRoutes {
  private static let store = TargetStore()
  private static let base = "/api/admin/distribution/targets"

  private static let payload = Schema.object([
    .optional("hashtags", .array(.string(1...100), 0...50)), .optional("includeLink", .boolean),
    .optional("text", .string(1...70_000)), .optional("options", .map(.any, limit: 50)),
  ])

  private static let shape = Schema.object([
    .required("id", .id), .required("siteId", .id), .required("connectionId", .id), .required("name", .string(1...200)),
    .required("platform", .string(1...40)), .required("channel", .string(1...40)), .required("defaultPayload", .any),
    .required("isActive", .boolean), .required("rateLimitPerHour", .nullable(.id)), .required("version", .id),
    .required("createdAt", .instant), .required("updatedAt", .instant),
  ])

  private static let rate = Schema.nullable(.integer(1...100_000))

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: base,
      summary: "Targets, newest first",
      access: .site(.read),
      query: [.siteID, .cursor, .limit],
      success: .page(shape),
      handler: list
    ),
    Endpoint(
      method: .post,
      path: base,
      summary: "Make a target",
      access: .site(.manageAccounts),
      query: [.siteID],
      body: .object([
        .siteID, .required("connectionId", .id), .required("name", .string(1...200)),
        .optional("defaultPayload", payload), .optional("isActive", .boolean), .optional("rateLimitPerHour", rate),
      ]),
      success: .json(201, shape),
      refusals: [422],
      handler: create
    ),
    Endpoint(
      method: .get,
      path: "\(base)/{id}",
      summary: "One target",
      access: .site(.read),
      query: [.siteID],
      success: .json(200, shape),
      handler: read
    ),
    Endpoint(
      method: .put,
      path: "\(base)/{id}",
      summary: "Change a target; send If-Match with the version that was edited",
      access: .site(.manageAccounts),
      query: [.siteID],
      body: .object([
        .siteID, .optional("name", .string(1...200)), .optional("defaultPayload", payload),
        .optional("isActive", .boolean), .optional("rateLimitPerHour", rate),
      ]),
      success: .json(200, shape),
      refusals: [409, 422],
      handler: update
    ),
    Endpoint(
      method: .delete,
      path: "\(base)/{id}",
      summary: "Delete a target",
      access: .site(.manageAccounts),
      query: [.siteID],
      success: .json(200, .object([.required("deleted", .boolean)])),
      handler: remove
    ),
  ]

  private static func list(_ context: APIContext) async throws -> HTTPResponse {
    let (cursor, limit) = (try context.cursor(), try context.pageLimit())
    let rows = try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      try await store.list(before: cursor, limit: limit, in: tx)
    }
    return Envelope.page(try rows.map(json), nextCursor: rows.count == limit ? rows.last?.id : nil)
  }

  private static func create(_ context: APIContext) async throws -> HTTPResponse {
    let site = try context.site()
    let answer = try await context.create(scope: .site(site), site: site) { tx in
      let target = try await store.create(
        name: context.string("name") ?? "",
        connection: context.int64("connectionId") ?? 0,
        defaultPayload: (context.member("defaultPayload") ?? [:]).text(),
        isActive: context.bool("isActive") ?? true,
        rateLimitPerHour: context.int64("rateLimitPerHour").map { Int(clamping: $0) },
        site: site,
        in: tx
      )
      try await tx.execute(context.audit(.targetCreate, "target:\(target.id)", site: site))
      return try json(target)
    }
    if let id = context.int64("connectionId") { try await context.services.connections.applyLimits(id, site: site) }
    return answer
  }

  private static func read(_ context: APIContext) async throws -> HTTPResponse {
    let id = try context.id()
    let target = try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      try await store.target(id, in: tx)
    }
    return tagged(Envelope.ok(try json(target)), target)
  }

  private static func update(_ context: APIContext) async throws -> HTTPResponse {
    let site = try context.site()
    let (id, expected) = (try context.id(), try context.expectedVersion())
    let change = TargetChange(
      name: context.string("name"),
      defaultPayload: context.member("defaultPayload")?.text(),
      isActive: context.bool("isActive"),
      rateLimitPerHour: context.has("rateLimitPerHour")
        ? .some(context.int64("rateLimitPerHour").map { Int(clamping: $0) }) : nil
    )
    let target = try await context.services.pool.transaction(scope: .site(site)) { tx in
      let target = try await store.update(id, with: change, expectedVersion: expected, in: tx)
      try await tx.execute(context.audit(.targetUpdate, "target:\(id)", site: site))
      return target
    }
    try await context.services.connections.applyLimits(target.connectionID, site: site)
    return tagged(Envelope.ok(try json(target)), target)
  }

  private static func remove(_ context: APIContext) async throws -> HTTPResponse {
    let site = try context.site()
    let id = try context.id()
    let connection = try await context.services.pool.transaction(scope: .site(site)) { tx in
      let target = try await store.target(id, in: tx)
      try await store.delete(id, in: tx)
      try await tx.execute(context.audit(.targetDelete, "target:\(id)", site: site))
      return target.connectionID
    }
    try await context.services.connections.applyLimits(connection, site: site)
    return Envelope.ok(["deleted": true])
  }

  private static func tagged(_ response: HTTPResponse, _ target: Target) -> HTTPResponse {
    var response = response
    response.headers.set("etag", "\"\(target.version)\"")
    return response
  }

  private static func json(_ target: Target) throws -> JSONValue {
    [
      "id": .int(target.id), "siteId": .int(target.siteID), "connectionId": .int(target.connectionID),
      "name": .string(target.name), "platform": .string(target.platform), "channel": .string(target.platform),
      "defaultPayload": try .stored(target.defaultPayload), "isActive": .bool(target.isActive),
      "rateLimitPerHour": .number(target.rateLimitPerHour), "version": .int(Int64(target.version)),
      "createdAt": .instant(target.createdAt), "updatedAt": .instant(target.updatedAt),
    ]
  }
}
