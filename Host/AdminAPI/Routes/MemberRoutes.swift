import Audit
import Cryptography
import HTTPServer
import Identity
import JSONDocument
import Postgres

/// The people of a site.
enum MemberRoutes {
  private static let role = Schema.choice(Role.allCases.map(\.rawValue))

  private static let shape = Schema.object([
    .required("userId", .id), .required("email", .string(3...254)), .required("name", .string(0...200)),
    .required("role", role), .required("isDisabled", .boolean),
  ])

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/api/members",
      summary: "The people of a site",
      access: .site(.manageSite),
      query: [.siteID, .cursor, .limit],
      success: .page(shape),
      handler: list
    ),
    Endpoint(
      method: .post,
      path: "/api/members",
      summary: "Invite somebody: makes a link that is shown this one time and works once within 72 hours",
      access: .site(.manageMembers),
      query: [.siteID],
      body: .object([.siteID, .required("email", .string(3...254)), .required("role", role)]),
      isSettledByItself: true,
      success: .json(
        200,
        .object([
          .required("email", .string(3...254)), .required("role", role),
          .required(
            "linkSecret",
            .string(1...100),
            "For /api/session/link, or /api/session/invitation of somebody signed in; ends earlier ones of the address"
          ),
        ])
      ),
      refusals: [422],
      handler: invite
    ),
    Endpoint(
      method: .put,
      path: "/api/members/{id}",
      summary: "Change somebody's role in the site; the id is the user's",
      access: .site(.manageMembers),
      query: [.siteID],
      body: .object([.required("role", role)]),
      success: .json(200, .object([.required("userId", .id), .required("role", role)])),
      refusals: [409],
      handler: change
    ),
    Endpoint(
      method: .delete,
      path: "/api/members/{id}",
      summary: "Let somebody go from the site; the user stays",
      access: .site(.manageMembers),
      query: [.siteID],
      success: .json(200, .object([.required("removed", .boolean)])),
      refusals: [409],
      handler: remove
    ),
  ]

  private static func list(_ context: APIContext) async throws -> HTTPResponse {
    let limit = try context.pageLimit()
    let rows = try await context.services.users.members(
      of: try context.site(),
      after: try context.cursor() ?? 0,
      limit: limit
    )
    return Envelope.page(rows.map { json($0) }, nextCursor: rows.count == limit ? rows.last?.user.id : nil)
  }

  /// Who is invited becomes a member when the link is used and not before: an address alone proves nothing, and a user
  /// of that address may have been made by somebody else.
  private static func invite(_ context: APIContext) async throws -> HTTPResponse {
    let (site, email) = (try context.site(), context.string("email") ?? "")
    let role = Role(rawValue: context.string("role") ?? "") ?? .viewer
    try UserStore.check(email: email)
    let secret = try await context.services.pool.transaction { tx in
      let secret = try await SignInLink.make(.invitation(site: site, role: role, email: email), in: tx)
      try await tx.execute(context.audit(.memberInvite, email, site: site))
      return secret
    }
    var response = Envelope.ok([
      "email": .string(email), "role": .string(role.rawValue), "linkSecret": .text(secret.revealText()),
    ])
    response.headers.set("cache-control", "no-store")
    return response
  }

  private static func change(_ context: APIContext) async throws -> HTTPResponse {
    let (site, user) = (try context.site(), try context.id())
    let role = Role(rawValue: context.string("role") ?? "") ?? .viewer
    try await context.services.pool.transaction { tx in
      try await context.services.users.changeRole(role, of: user, in: site, in: tx)
      try await tx.execute(context.audit(.memberRole, "user:\(user)", site: site))
    }
    context.services.tokens.forgetRoles()
    return Envelope.ok(["userId": .int(user), "role": .string(role.rawValue)])
  }

  private static func remove(_ context: APIContext) async throws -> HTTPResponse {
    let (site, user) = (try context.site(), try context.id())
    try await context.services.pool.transaction { tx in
      try await context.services.users.removeMember(user, from: site, in: tx)
      try await tx.execute(context.audit(.memberRemove, "user:\(user)", site: site))
    }
    context.services.tokens.forgetRoles()
    return Envelope.ok(["removed": true])
  }

  private static func json(_ member: Member) -> JSONValue {
    [
      "userId": .int(member.user.id), "email": .string(member.user.email), "name": .string(member.user.name),
      "role": .string(member.role.rawValue), "isDisabled": .bool(member.user.disabledAt != nil),
    ]
  }
}
