import Audit
import HTTPServer
import Identity
import JSONDocument
import OAuth
import Postgres
import Sites

/// Tenants.
enum SiteRoutes {
  private static let shape = Schema.object([
    .required("id", .id), .required("name", .string(1...200)), .required("domain", .nullable(.string(1...253))),
    .required("timeZone", .string(1...64)),
    .required("returnAddresses", addresses, "Where browsers may go after a sign-in at a platform, beside this host"),
    .required("version", .id), .required("createdAt", .instant), .required("updatedAt", .instant),
  ])

  private static let addresses = Schema.array(.string(1...ReturnAddress.maximumBytes), 0...50)
  private static let name = Schema.string(1...200)
  private static let domain = Schema.nullable(.string(1...253))
  private static let zone = Schema.string(1...64)

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/api/sites",
      summary: "The sites that the token reaches",
      access: .signedIn,
      query: [.cursor, .limit],
      success: .page(shape),
      handler: list
    ),
    Endpoint(
      method: .post,
      path: "/api/sites",
      summary: "Make a site; the caller becomes its owner",
      access: .operatorOnly,
      body: .object([
        .required("name", name), .optional("domain", domain),
        .optional("timeZone", zone, "IANA name; UTC when left out"),
      ]),
      success: .json(201, shape),
      refusals: [409, 422],
      handler: create
    ),
    Endpoint(
      method: .get,
      path: "/api/sites/{id}",
      summary: "One site",
      access: .siteInPath(.read),
      success: .json(200, shape),
      handler: { context in Envelope.ok(json(try await context.services.sites.site(context.site()))) }
    ),
    Endpoint(
      method: .put,
      path: "/api/sites/{id}",
      summary: "Change a site; send If-Match with the version that was edited",
      access: .siteInPath(.manageSite),
      body: .object([
        .optional("name", name), .optional("domain", domain), .optional("timeZone", zone),
        .optional("returnAddresses", addresses, "All of them; https, without a query"),
      ]),
      success: .json(200, shape),
      refusals: [409, 422],
      handler: update
    ),
  ]

  private static func list(_ context: APIContext) async throws -> HTTPResponse {
    let caller = try context.caller()
    let limit = try context.pageLimit()
    let rows = try await context.services.sites.list(
      ids: caller.isOperator ? nil : Array(caller.roles.keys),
      after: context.cursor() ?? 0,
      limit: limit
    )
    return Envelope.page(rows.map(json), nextCursor: rows.count == limit ? rows.last?.id : nil)
  }

  private static func create(_ context: APIContext) async throws -> HTTPResponse {
    let caller = try context.caller()
    let answer = try await context.create(scope: .owner, site: IdempotencyKey.wholeHost) { tx in
      let site = try await context.services.sites.create(
        name: context.string("name") ?? "",
        domain: context.string("domain"),
        timeZone: context.string("timeZone") ?? "UTC",
        in: tx
      )
      try await context.services.users.setRole(.owner, of: caller.userID, in: site.id, in: tx)
      try await tx.execute(context.audit(.siteCreate, "site:\(site.id)", site: site.id))
      return json(site)
    }
    context.services.tokens.forgetRoles()
    return answer
  }

  private static func update(_ context: APIContext) async throws -> HTTPResponse {
    let id = try context.site()
    let version = try context.expectedVersion()
    let addresses = try context.strings("returnAddresses").map { try $0.map { try ReturnAddress.entry($0) } }
    return try await context.services.pool.transaction(scope: .owner) { tx in
      let site = try await context.services.sites.update(
        id,
        name: context.string("name"),
        domain: context.has("domain") ? .some(context.string("domain")) : nil,
        timeZone: context.string("timeZone"),
        returnAddresses: addresses,
        expectedVersion: version,
        in: tx
      )
      try await tx.execute(context.audit(.siteUpdate, "site:\(id)", site: id))
      return Envelope.ok(json(site))
    }
  }

  private static func json(_ site: Site) -> JSONValue {
    [
      "id": .int(site.id), "name": .string(site.name), "domain": .text(site.domain),
      "timeZone": .string(site.timeZone), "returnAddresses": .strings(site.returnAddresses),
      "version": .int(Int64(site.version)), "createdAt": .instant(site.createdAt),
      "updatedAt": .instant(site.updatedAt),
    ]
  }
}
