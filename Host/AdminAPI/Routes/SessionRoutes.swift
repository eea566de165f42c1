import Audit
import Cryptography
import HTTPServer
import Identity
import JSONDocument
import Postgres

/// Signing in and out.
enum SessionRoutes {
  private static let password = Schema.string(1...4_000)
  private static let role = Schema.choice(Role.allCases.map(\.rawValue))

  private static let me = Schema.object([
    .required("userId", .id), .required("name", .string(0...200)), .required("isOperator", .boolean),
    .required(
      "sites",
      .array(.object([.required("siteId", .id), .required("role", role)]), 0...10_000),
      "The role in each site"
    ),
  ])

  private static let shape = Schema.object([
    .required("id", .id), .required("isThis", .boolean, "Whether it is the session of this request"),
    .required("createdAt", .instant), .required("lastUsedAt", .instant, "To the minute"),
    .required("address", .nullable(.string(0...100))), .required("userAgent", .nullable(.string(0...300))),
  ])

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .post,
      path: "/api/session",
      summary: "Sign in with a password; the session comes as a cookie",
      access: .open,
      body: .object([.required("email", .string(1...254)), .required("password", password)]),
      isSettledByItself: true,
      success: .json(200, .object([.required("userId", .id)])),
      refusals: [401, 403, 429],
      handler: signIn
    ),
    Endpoint(
      method: .post,
      path: "/api/session/link",
      summary: "Choose a password with a one-time link and sign in; without a user yet, become the first one",
      access: .open,
      body: .object([
        .required("secret", .string(1...100), "What the link holds after #"), .required("password", password),
        .optional("email", .string(1...254), "Who the first user is; left out for a link that was made for somebody"),
        .optional("name", .string(1...200), "How people see you"),
      ]),
      isSettledByItself: true,
      success: .json(200, .object([.required("userId", .id)])),
      refusals: [403, 409, 422, 429],
      handler: useLink
    ),
    Endpoint(
      method: .post,
      path: "/api/session/invitation",
      summary: "Accept an invitation to a site as who you are",
      access: .person,
      body: .object([.required("secret", .string(1...100), "What the link holds after #")]),
      isSettledByItself: true,
      success: .json(200, .object([.required("siteId", .id), .required("role", role)])),
      refusals: [422, 429],
      handler: accept
    ),
    Endpoint(
      method: .get,
      path: "/api/session",
      summary: "Who you are and where you may do what",
      access: .signedIn,
      success: .json(200, me),
      handler: { context in Envelope.ok(json(try context.caller())) }
    ),
    Endpoint(
      method: .delete,
      path: "/api/session",
      summary: "Sign out",
      access: .person,
      success: .json(200, .object([.required("ended", .boolean)])),
      handler: signOut
    ),
    Endpoint(
      method: .put,
      path: "/api/session/password",
      summary: "Change your password; your other sessions end",
      access: .person,
      body: .object([.required("current", password), .required("password", password, "The new one")]),
      success: .json(200, .object([.required("changed", .boolean)])),
      refusals: [422],
      handler: changePassword
    ),
    Endpoint(
      method: .get,
      path: "/api/sessions",
      summary: "Your sessions, the last used first",
      access: .person,
      success: .json(200, .array(shape, 0...100)),
      handler: list
    ),
    Endpoint(
      method: .delete,
      path: "/api/sessions/{id}",
      summary: "End one of your sessions",
      access: .person,
      success: .json(200, .object([.required("ended", .boolean)])),
      handler: end
    ),
  ]

  // MARK: In

  private static func signIn(_ context: APIContext) async throws -> HTTPResponse {
    let welcome = try await context.services.signIn.signIn(
      email: context.string("email") ?? "",
      password: Secret(context.string("password") ?? ""),
      browser: try browser(context)
    ) { user in [context.audit(.sessionStart, "user:\(user)", site: nil, user: user)] }
    return answer(welcome, context)
  }

  private static func useLink(_ context: APIContext) async throws -> HTTPResponse {
    let welcome = try await context.services.signIn.useLink(
      Secret(context.string("secret") ?? ""),
      password: context.string("password") ?? "",
      email: context.string("email"),
      name: context.string("name"),
      browser: try browser(context)
    ) { user in [context.audit(.userLinkUsed, "user:\(user)", site: nil, user: user)] }
    return answer(welcome, context)
  }

  private static func accept(_ context: APIContext) async throws -> HTTPResponse {
    let caller = try context.caller()
    let (site, role) = try await context.services.signIn.accept(
      Secret(context.string("secret") ?? ""),
      user: caller.userID,
      address: context.request.remoteAddress
    ) { site in [context.audit(.memberAccept, "user:\(caller.userID)", site: site)] }
    context.services.tokens.forgetRoles()
    return Envelope.ok(["siteId": .int(site), "role": .string(role.rawValue)])
  }

  /// - Throws: 403 for a page of another site, which would sign its visitor in as somebody else.
  private static func browser(_ context: APIContext) throws -> SignIn.Browser {
    let headers = context.request.headers
    guard !context.services.browser.isForeignPage(headers) else { throw HTTPProblem.foreignPage }
    return SignIn.Browser(
      address: context.request.remoteAddress,
      userAgent: headers["user-agent"],
      session: headers.cookie(context.services.browser.cookieName)
    )
  }

  private static func answer(_ welcome: SignIn.Welcome, _ context: APIContext) -> HTTPResponse {
    var response = Envelope.ok(["userId": .int(welcome.user)])
    let (browser, sessions) = (context.services.browser, context.services.signIn.sessions)
    response.headers.set("set-cookie", browser.cookie(welcome.session, lifetime: sessions.lifetime))
    response.headers.set("cache-control", "no-store")
    return response
  }

  // MARK: While in

  private static func changePassword(_ context: APIContext) async throws -> HTTPResponse {
    let caller = try context.caller()
    try await context.services.signIn.changePassword(
      user: caller.userID,
      session: try session(caller),
      current: Secret(context.string("current") ?? ""),
      new: context.string("password") ?? "",
      address: context.request.remoteAddress,
      also: [context.audit(.userPassword, "user:\(caller.userID)", site: nil)]
    )
    return Envelope.ok(["changed": true])
  }

  private static func list(_ context: APIContext) async throws -> HTTPResponse {
    let caller = try context.caller()
    let rows = try await context.services.signIn.sessions.list(user: caller.userID)
    return Envelope.ok(
      .array(
        rows.map { row in
          [
            "id": .int(row.id), "isThis": .bool(caller.credential == .session(row.id)),
            "createdAt": .instant(row.createdAt), "lastUsedAt": .instant(row.lastUsedAt),
            "address": .text(row.address), "userAgent": .text(row.userAgent),
          ]
        }
      )
    )
  }

  private static func end(_ context: APIContext) async throws -> HTTPResponse {
    let (id, caller) = (try context.id(), try context.caller())
    guard
      try await context.services.signIn.sessions.end(
        id,
        user: caller.userID,
        also: [context.audit(.sessionEnd, "user:\(caller.userID)", site: nil)]
      )
    else {
      throw HTTPProblem(status: 404, code: "session_not_found", message: "You have no session \(id)")
    }
    var response = Envelope.ok(["ended": true])
    if caller.credential == .session(id) { response.headers.set("set-cookie", context.services.browser.removedCookie) }
    return response
  }

  private static func signOut(_ context: APIContext) async throws -> HTTPResponse {
    let caller = try context.caller()
    _ = try await context.services.signIn.sessions.end(
      try session(caller),
      user: caller.userID,
      also: [context.audit(.sessionEnd, "user:\(caller.userID)", site: nil)]
    )
    var response = Envelope.ok(["ended": true])
    response.headers.set("set-cookie", context.services.browser.removedCookie)
    return response
  }

  private static func session(_ caller: Principal) throws -> Int64 {
    guard case .session(let id) = caller.credential else { throw HTTPProblem.unauthorized }
    return id
  }

  private static func json(_ caller: Principal) -> JSONValue {
    [
      "userId": .int(caller.userID), "name": .string(caller.name), "isOperator": .bool(caller.isOperator),
      "sites": .array(
        caller.roles.sorted { $0.key < $1.key }.map { ["siteId": .int($0.key), "role": .string($0.value.rawValue)] }
      ),
    ]
  }
}
