import Audit
import Cryptography
import FoundationEssentials
import HTTPServer
import Identity
import JSONDocument
import Postgres

/// Tokens for one's own programs. Only a person makes one: a token must not give birth to another that may do more.
enum TokenRoutes {
  private static let role = Schema.choice(Role.allCases.map(\.rawValue))
  private static let scopes = Schema.array(.choice(Permission.allCases.map(\.rawValue)), 0...Permission.allCases.count)
  private static let sites = Schema.array(.id, 1...1_000)

  private static let fields: [Schema.Field] = [
    .required("id", .id), .required("name", .string(0...200)),
    .required("hint", .string(0...10), "Its last characters"),
    .required("siteIds", .nullable(sites), "Null: all of yours"), .required("role", .nullable(role)),
    .required("scopes", .nullable(scopes), "Null: everything that the role allows"),
    .required("createdAt", .instant), .required("expiresAt", .nullable(.instant)),
    .required("lastUsedAt", .nullable(.instant), "To some seconds"), .required("revokedAt", .nullable(.instant)),
  ]

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/api/tokens",
      summary: "Your API tokens, newest first; the tokens themselves are not stored",
      access: .person,
      query: [.cursor, .limit],
      success: .page(.object(fields)),
      handler: list
    ),
    Endpoint(
      method: .post,
      path: "/api/tokens",
      summary: "Make an API token; it is shown this one time",
      access: .person,
      body: .object([
        .required("name", .string(1...200), "What it is for"),
        .optional("siteIds", sites, "The sites that it reaches; all of yours when left out"),
        .optional("role", role, "The highest role that it has anywhere; yours when left out"),
        .optional("scopes", scopes, "What it may be used for; everything that the role allows when left out"),
        .optional("expiresAt", .instant, "Never when left out"),
      ]),
      isSettledByItself: true,
      success: .json(200, .object([.required("id", .id), .required("token", .string(1...100))])),
      refusals: [422],
      handler: create
    ),
    Endpoint(
      method: .delete,
      path: "/api/tokens/{id}",
      summary: "End one of your tokens; hosts that know it refuse it within 5 seconds",
      access: .person,
      success: .json(200, .object([.required("revoked", .boolean)])),
      handler: revoke
    ),
  ]

  private static func list(_ context: APIContext) async throws -> HTTPResponse {
    let limit = try context.pageLimit()
    let rows = try await context.services.tokens.list(
      user: try context.caller().userID,
      before: try context.cursor() ?? .max,
      limit: limit
    )
    return Envelope.page(rows.map(json), nextCursor: rows.count == limit ? rows.last?.id : nil)
  }

  private static func create(_ context: APIContext) async throws -> HTTPResponse {
    let caller = try context.caller()
    let sites = context.int64s("siteIds")
    for site in sites ?? [] where caller.roles[site] == nil {
      throw HTTPProblem(
        status: 422,
        code: "site_not_found",
        message: "There is no site \(site) that you reach",
        field: "siteIds"
      )
    }
    let expiresAt = context.string("expiresAt").flatMap(RFC3339.parse)
    if let expiresAt, expiresAt <= Date() {
      throw HTTPProblem(
        status: 422,
        code: "out_of_range",
        message: "expiresAt has passed already; allowed are instants to come",
        field: "expiresAt"
      )
    }
    let limits = TokenStore.Limits(
      sites: sites,
      role: context.string("role").flatMap(Role.init),
      scopes: context.strings("scopes").map { Set($0.compactMap(Permission.init)) }
    )
    let (id, token) = try await context.services.pool.transaction { tx in
      let made = try await context.services.tokens.create(
        user: caller.userID,
        limits: limits,
        name: context.string("name") ?? "",
        expiresAt: expiresAt,
        in: tx
      )
      try await tx.execute(context.audit(.tokenCreate, "token:\(made.id)", site: nil))
      return made
    }
    var response = Envelope.ok(["id": .int(id), "token": .text(token.revealText())])
    response.headers.set("cache-control", "no-store")
    return response
  }

  private static func revoke(_ context: APIContext) async throws -> HTTPResponse {
    let id = try context.id()
    try await context.services.tokens.revoke(
      id,
      user: try context.caller().userID,
      also: [context.audit(.tokenRevoke, "token:\(id)", site: nil)]
    )
    return Envelope.ok(["revoked": true])
  }

  private static func json(_ token: StoredToken) -> JSONValue {
    [
      "id": .int(token.id), "name": .string(token.name), "hint": .string(token.hint),
      "siteIds": token.limits.sites.map { .array($0.map { .int($0) }) } ?? .null,
      "role": .text(token.limits.role?.rawValue),
      "scopes": token.limits.scopes.map { .strings($0.map(\.rawValue).sorted()) } ?? .null,
      "createdAt": .instant(token.createdAt), "expiresAt": .instant(token.expiresAt),
      "lastUsedAt": .instant(token.lastUsedAt), "revokedAt": .instant(token.revokedAt),
    ]
  }
}
