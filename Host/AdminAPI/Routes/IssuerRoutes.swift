import Audit
import Cryptography
import HTTPServer
import Identity
import JSONDocument

/// Systems whose signed tokens let their own people into a site.
enum IssuerRoutes {
  private static let role = Schema.choice(
    Role.allCases.filter { $0 <= TokenIssuer.highestRole }.map(\.rawValue)
  )
  private static let text = Schema.string(1...500)
  private static let roles = Schema.map(role, limit: 100)

  private static let shape = Schema.object([
    .required("id", .id), .required("name", .string(1...200)), .required("issuer", text), .required("audience", text),
    .required("jwksUrl", .nullable(.url), "Null for a shared secret, which is never shown"),
    .required("roleClaim", text), .required("roles", roles), .required("defaultRole", .nullable(role)),
    .required("createdAt", .instant),
  ])

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/api/issuers",
      summary: "The systems whose signed tokens let people into the site",
      access: .site(.manageMembers),
      query: [.siteID],
      success: .json(200, .array(shape, 0...TokenIssuerStore.limit)),
      handler: { context in
        let rows = try await context.services.webTokens.issuers.list(site: try context.site())
        return Envelope.ok(.array(rows.map(json)))
      }
    ),
    Endpoint(
      method: .post,
      path: "/api/issuers",
      summary: "Let the people of a system in by tokens that it signs (JSON Web Tokens)",
      access: .site(.manageMembers),
      query: [.siteID],
      body: .object([
        .siteID, .required("name", .string(1...200), "How people see the system"),
        .required("issuer", text, "The `iss` of its tokens"),
        .required("audience", text, "What their `aud` must hold; give each site its own"),
        .optional("jwksUrl", .url, "Where its public keys are (RS256, ES256, EdDSA); or"),
        .optional("secret", .string(32...1_024), "a secret that both sides know (HS256), 32 bytes or more"),
        .optional("roleClaim", text, "The claim with somebody's role there; `role` when left out"),
        .optional("roles", roles, "The role here for each value of that claim; the highest one counts"),
        .optional("defaultRole", role, "For everybody else; nobody else comes in when left out"),
      ]),
      isSettledByItself: true,
      success: .json(200, .object([.required("id", .id)])),
      refusals: [422],
      handler: create
    ),
    Endpoint(
      method: .delete,
      path: "/api/issuers/{id}",
      summary: "Let nobody in any more by tokens of that system",
      access: .site(.manageMembers),
      query: [.siteID],
      success: .json(200, .object([.required("removed", .boolean)])),
      handler: { context in
        let (site, id) = (try context.site(), try context.id())
        try await context.services.webTokens.issuers.remove(
          id,
          site: site,
          also: [context.audit(.issuerRemove, "issuer:\(id)", site: site)]
        )
        return Envelope.ok(["removed": true])
      }
    ),
  ]

  private static func create(_ context: APIContext) async throws -> HTTPResponse {
    let site = try context.site()
    let keys: TokenIssuer.Keys
    switch (context.string("jwksUrl"), context.string("secret")) {
    case (let url?, nil): keys = .published(url: url)
    case (nil, let secret?): keys = .shared(Secret(secret))
    default: throw IdentityError.invalidIssuer("Exactly one of jwksUrl and secret must be given")
    }
    let issuer = TokenIssuer(
      site: site,
      name: context.string("name") ?? "",
      issuer: context.string("issuer") ?? "",
      audience: context.string("audience") ?? "",
      keys: keys,
      roleClaim: context.string("roleClaim") ?? "role",
      roles: (context.member("roles")?.objectValue ?? [:]).compactMapValues { $0.stringValue.flatMap(Role.init) },
      defaultRole: context.string("defaultRole").flatMap(Role.init)
    )
    let id = try await context.services.webTokens.issuers.create(issuer) { id in
      [context.audit(.issuerCreate, "issuer:\(id)", site: site)]
    }
    return Envelope.ok(["id": .int(id)])
  }

  private static func json(_ issuer: TokenIssuer) -> JSONValue {
    var url: String?
    if case .published(let address) = issuer.keys { url = address }
    return [
      "id": .int(issuer.id), "name": .string(issuer.name), "issuer": .string(issuer.issuer),
      "audience": .string(issuer.audience), "jwksUrl": .text(url), "roleClaim": .string(issuer.roleClaim),
      "roles": .object(issuer.roles.mapValues { .string($0.rawValue) }),
      "defaultRole": .text(issuer.defaultRole?.rawValue),
      "createdAt": .instant(issuer.createdAt),
    ]
  }
}
