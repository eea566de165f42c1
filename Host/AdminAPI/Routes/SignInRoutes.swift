import Audit
import Connecting
import Cryptography
import HTTPServer
import Identity
import JSONDocument
import PluginManifest
import Postgres

/// Connecting accounts by a sign-in at their platform.
enum SignInRoutes {
  private static let platform = "/api/admin/distribution/platforms/{platform}"
  private static let signIn = "/api/admin/distribution/sign-ins/{id}"
  private static let outcomes = Schema.choice(SignInReason.Outcome.allCases.map(\.rawValue))
  private static let reason = Schema.choice(SignInReason.allCases.map(\.rawValue))
  private static let text = Schema.string(0...1_000)

  private static let account = Schema.object([
    .required("id", .string(1...256)), .required("name", .string(0...500)),
    .required("handle", .nullable(.string(0...500))),
    .required("isUsable", .boolean, "Whether you may publish with it"),
  ])

  private static let shape = Schema.object([
    .required("id", .id), .required("platform", .string(1...40)), .required("createdAt", .instant),
    .required("expiresAt", .instant), .required("outcome", .nullable(outcomes), "Null while it runs"),
    .required("reason", .nullable(reason)), .required("text", .nullable(text), "The reason in words"),
    .required("message", .nullable(text), "More in the words of the host or the adapter"),
    .required("accounts", .array(account, 0...200), "To choose from; empty if there is nothing to choose"),
  ])

  private static let chosen = Schema.object([
    .required("id", .string(1...256)), .required("connectionId", .nullable(.id)),
    .required("reason", .nullable(reason)), .required("text", .nullable(text)), .required("message", .nullable(text)),
  ])

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .post,
      path: platform + "/connect",
      summary: "Start a sign-in at the platform, by which an account is connected",
      access: .site(.manageAccounts),
      query: [.siteID],
      body: .object([
        .siteID,
        .required(
          "redirectUrl",
          .string(1...1_000),
          "Where the browser goes afterwards: one of the site's return addresses, or a page of this host"
        ),
        .optional("scopes", .array(.string(1...40), 0...12), "Names of optional sets of scopes"),
        .optional("appId", .id, "The application; the site's default one, or else the host's, when left out"),
        .optional("fields", .map(.string(0...2048), limit: 10), "Such as origin"),
        .optional("connectionId", .id, "The account to connect again"),
      ]),
      isSettledByItself: true,
      success: .json(
        200,
        .object([
          .required("authUrl", .string(1...8_192), "Send the browser there"),
          .required("state", .string(1...500)), .required("expiresAt", .instant), .required("signInId", .id),
        ])
      ),
      refusals: [400, 409, 422, 429],
      handler: connect
    ),
    Endpoint(
      method: .get,
      path: platform + "/begin",
      summary: "Bind the browser to a sign-in that a program started, and go on to the platform",
      access: .open,
      query: [.required("ticket", .string(43...43))],
      success: .redirect,
      refusals: [429],
      handler: begin
    ),
    Endpoint(
      method: .get,
      path: platform + "/callback",
      summary: "Where platforms send browsers back to; ends at the return address of the sign-in",
      access: .open,
      takesAnyQuery: true,
      success: .redirect,
      refusals: [400, 429],
      handler: callback
    ),
    Endpoint(
      method: .get,
      path: platform + "/sign-ins",
      summary: "How sign-ins at the platform ended in the last 30 days",
      access: .site(.read),
      query: [.siteID],
      success: .json(
        200,
        .object([
          .required("days", .integer(1...366)), .required("running", .integer(0...Int64.max)),
          .required("outcomes", .map(.integer(0...Int64.max), limit: 10)),
          .required("reasons", .map(.integer(0...Int64.max), limit: 50)),
          .required("successRate", .nullable(.number), "Of those who came back and did not say no"),
        ])
      ),
      refusals: [400],
      handler: summary
    ),
    Endpoint(
      method: .get,
      path: signIn,
      summary: "A sign-in that you started, and the accounts that it reaches",
      access: .site(.manageAccounts),
      query: [.siteID],
      success: .json(200, shape),
      handler: read
    ),
    Endpoint(
      method: .post,
      path: signIn,
      summary: "Connect one or several of the accounts that a sign-in reaches",
      access: .site(.manageAccounts),
      query: [.siteID],
      body: .object([.siteID, .required("accounts", .array(.string(1...256), 1...50), "Their ids")]),
      isSettledByItself: true,
      success: .json(200, .array(chosen, 1...50)),
      refusals: [409, 422],
      handler: choose
    ),
  ]

  /// The plugin that the path names and how its accounts are connected.
  static func supported(_ context: APIContext) throws -> (PluginManifest, OAuthDeclaration) {
    try context.services.signIns.supported(try context.request.parameters.string("platform"))
  }

  // MARK: There

  private static func connect(_ context: APIContext) async throws -> HTTPResponse {
    let (site, caller) = (try context.site(), try context.caller())
    let (manifest, _) = try supported(context)
    try take("connect:\(site)", context.services.limits.connect, context)
    var isBrowser = false
    if case .session = caller.credential { isBrowser = true }
    let request = SignInRequest(
      siteID: site,
      userID: caller.userID,
      platform: manifest.id,
      returnTo: context.string("redirectUrl") ?? "",
      scopes: context.strings("scopes") ?? [],
      appID: context.int64("appId"),
      fields: (context.member("fields")?.objectValue ?? [:]).compactMapValues(\.stringValue),
      connectionID: context.int64("connectionId"),
      isBrowser: isBrowser
    )
    let started = try await context.services.signIns.start(request) { id in
      [context.audit(.connectionSignInStart, "sign-in:\(id)", site: site)]
    }
    var response = Envelope.ok([
      "authUrl": .string(started.address), "state": .text(started.state.revealText()),
      "expiresAt": .instant(started.expiresAt), "signInId": .int(started.id),
    ])
    response.headers.set("cache-control", "no-store")
    bind(started, &response, context)
    return response
  }

  private static func begin(_ context: APIContext) async throws -> HTTPResponse {
    try requireGet(context)
    try take("begin:\(context.request.remoteAddress)", context.services.limits.callbackAddress, context)
    let started: StartedSignIn
    do {
      started = try await context.services.signIns.begin(
        context.query["ticket"] ?? "",
        platform: try context.request.parameters.string("platform")
      )
    } catch let refusal as SignInRefusal {
      return SignInPage.response(SignInReason.expired.text, detail: "\(refusal)")
    }
    var response = HTTPResponse.redirect(started.address)
    SignInPage.seal(&response)
    bind(started, &response, context)
    return response
  }

  private static func bind(_ started: StartedSignIn, _ response: inout HTTPResponse, _ context: APIContext) {
    guard let browser = started.browser else { return }
    response.headers.add("set-cookie", context.services.browser.signInCookie(started.id, browser))
  }

  // MARK: Back

  private static func callback(_ context: APIContext) async throws -> HTTPResponse {
    let (services, request) = (context.services, context.request)
    try requireGet(context)
    try take("callback:\(request.remoteAddress)", services.limits.callbackAddress, context)
    let parameters = context.query.list
    if let site = try await services.signIns.site(of: parameters) {
      try take("callback-site:\(site)", services.limits.callback, context)
    }
    // No access is declared, for a browser that a program sent has no session; if it has one, it must be the right one.
    var principal: Principal?
    var replacement: String?
    if let text = request.headers.cookie(services.browser.cookieName),
      let found = try await services.signIn.sessions.find(text)
    {
      principal = found.principal
      replacement = found.replacement.map { services.browser.cookie($0, lifetime: services.signIn.sessions.lifetime) }
    }
    let end = try await services.signIns.finish(
      platform: try request.parameters.string("platform"),
      parameters: parameters,
      visitor: visitor(context, principal)
    )
    var response: HTTPResponse
    switch end {
    case .here(let reason): response = SignInPage.response(reason.text)
    case .back(let address, let id):
      response = .redirect(address)
      response.headers.add("set-cookie", services.browser.removedSignInCookie(id))
    }
    SignInPage.seal(&response)
    if let replacement { response.headers.add("set-cookie", replacement) }
    return response
  }

  private static func visitor(_ context: APIContext, _ principal: Principal?) -> SignInVisitor {
    let (headers, browser) = (context.request.headers, context.services.browser)
    return SignInVisitor(
      cookie: { headers.cookie(browser.signInCookieName($0)) },
      userID: principal?.userID,
      mayConnect: { principal?.may(.manageAccounts, in: $0) ?? false },
      address: context.request.remoteAddress,
      userAgent: headers["user-agent"].map { String($0.prefix(300)) }
    )
  }

  // MARK: Afterwards

  private static func read(_ context: APIContext) async throws -> HTTPResponse {
    let state = try await context.services.signIns.state(
      try context.id(),
      site: try context.site(),
      user: try context.caller().userID
    )
    return Envelope.ok([
      "id": .int(state.id), "platform": .string(state.platform), "createdAt": .instant(state.createdAt),
      "expiresAt": .instant(state.expiresAt), "outcome": .text(state.outcome?.rawValue),
      "reason": .text(state.reason?.rawValue), "text": .text(state.reason?.text), "message": .text(state.message),
      "accounts": .array(
        state.accounts.map {
          [
            "id": .string($0.id), "name": .string($0.name), "handle": .text($0.handle), "isUsable": .bool($0.isUsable),
          ]
        }
      ),
    ])
  }

  private static func choose(_ context: APIContext) async throws -> HTTPResponse {
    let caller = try context.caller()
    let results = try await context.services.signIns.choose(
      try context.id(),
      accounts: context.strings("accounts") ?? [],
      site: try context.site(),
      user: caller.userID,
      visitor: visitor(context, caller)
    )
    return Envelope.ok(
      .array(
        results.map {
          [
            "id": .string($0.id), "connectionId": .number($0.connectionID), "reason": .text($0.reason?.rawValue),
            "text": .text($0.reason?.text), "message": .text($0.message),
          ]
        }
      )
    )
  }

  private static func summary(_ context: APIContext) async throws -> HTTPResponse {
    let days = 30
    let (manifest, _) = try supported(context)
    let summary = try await context.services.signIns.summary(
      platform: manifest.id,
      site: try context.site(),
      days: days
    )
    let outcomes = Dictionary(
      uniqueKeysWithValues: summary.outcomes.map { ($0.key.rawValue, JSONValue.number($0.value)) }
    )
    return Envelope.ok([
      "days": .number(days), "running": .number(summary.running), "outcomes": .object(outcomes),
      "reasons": .object(summary.reasons.mapValues { .number($0) }),
      "successRate": summary.successRate.map { .double($0) } ?? .null,
    ])
  }

  /// What only looks (HEAD) must not use up a ticket or a state.
  private static func requireGet(_ context: APIContext) throws(HTTPProblem) {
    guard context.request.method == .get else { throw .methodNotAllowed([.get]) }
  }

  private static func take(_ key: String, _ limit: RateLimiter.Limit, _ context: APIContext) throws {
    if let problem = HTTPProblem.tooMany(context.services.limiter.take(key, limit: limit)) { throw problem }
  }
}
