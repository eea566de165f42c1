package import HTTPServer
import Identity
import JSONDocument
import Logging
import Postgres

/// The HTTP interface: its operations, checked and described at one place.
package struct AdminAPI: Sendable {
  private let services: APIServices
  /// All operations.
  static let endpoints =
    HealthRoutes.endpoints + SiteRoutes.endpoints + PostRoutes.endpoints + MediaRoutes.endpoints
    + ConnectionRoutes.endpoints + LimitRoutes.endpoints + TargetRoutes.endpoints + DispatchRoutes.endpoints
    + ScheduleRoutes.endpoints + DeliveryRoutes.endpoints + DistributionRoutes.endpoints + QueueRoutes.endpoints
    + EventRoutes.endpoints + HoldRoutes.endpoints + PluginRoutes.endpoints + WebhookRoutes.endpoints
    + NoticeRoutes.endpoints + VaultRoutes.endpoints + SessionRoutes.endpoints + MemberRoutes.endpoints
    + UserRoutes.endpoints + TokenRoutes.endpoints + IssuerRoutes.endpoints
    + SignInRoutes.endpoints + AppRoutes.endpoints + AuditRoutes.endpoints
  /// The file of `/openapi.json`.
  package let description: String

  package init(services: APIServices) {
    self.services = services
    description = OpenAPI.document(Self.endpoints, version: services.version).text()
  }

  /// The routes for the server.
  package func router() -> Router {
    var router = Router()
    for endpoint in Self.endpoints {
      let limit = Int(clamping: services.limits.mediaBytes)
      router.on(
        endpoint.method,
        endpoint.path,
        body: endpoint.isUpload ? .streamed(limit: limit) : .collected(limit: 1 << 20)
      ) { request in
        try await answer(request, endpoint)
      }
    }
    let description = description
    router.get("/openapi.json") { _ in .json(description) }
    return router
  }

  private func answer(_ request: HTTPRequest, _ endpoint: Endpoint) async throws -> HTTPResponse {
    var cookie: String?
    do {
      let principal = try await admit(request, endpoint, &cookie)
      let query = try request.query()
      let body = try Self.parse(request, endpoint)
      let site = try Admission.site(
        endpoint.access,
        principal,
        query: query,
        body: body,
        parameters: request.parameters
      )
      try Self.check(query, endpoint)
      try Self.check(body, endpoint)
      let context = APIContext(
        request: request,
        endpoint: endpoint,
        principal: principal,
        admittedSite: site,
        query: query,
        body: body,
        services: services
      )
      return try await endpoint.handler(context).with(cookie: cookie)
    } catch {
      guard let problem = Refusals.problem(error) else {
        services.logger.error(
          "A request failed",
          ["request": "\(request.id)", "route": "\(endpoint.path)", "error": "\(error)"]
        )
        throw error
      }
      // The client learns that it is not its fault, and the operator what is wrong.
      if let code = Refusals.diskFailure(error) {
        services.logger.error(
          "The disk refused what a request needed",
          ["request": "\(request.id)", "route": "\(endpoint.path)", "error": "\(error)", "errno": .int(Int(code))]
        )
      }
      return problem.response().with(cookie: cookie)
    }
  }

  // MARK: Who

  /// - Parameter cookie: set when the answer has to give the session a new name.
  private func admit(_ request: HTTPRequest, _ endpoint: Endpoint, _ cookie: inout String?) async throws -> Principal? {
    if case .open = endpoint.access { return nil }
    guard let principal = try await principal(request, &cookie) else {
      // Only requests without a valid token count for the address, so that one client behind a shared address never
      // locks out another one.
      try take("address:\(request.remoteAddress)", services.limits.address)
      throw Self.token(request).map(TokenStore.isBroken) ?? false ? HTTPProblem.brokenToken : HTTPProblem.unauthorized
    }
    try take("\(principal.credential)", services.limits.token)
    return principal
  }

  /// Who sends the request: a request with a token has no cookies, whatever it brings.
  private func principal(_ request: HTTPRequest, _ cookie: inout String?) async throws -> Principal? {
    if request.headers["authorization"] != nil {
      guard let token = Self.token(request) else { return nil }
      // Three parts with dots between are a token of another system; ours has none.
      return token.contains(".")
        ? try await services.webTokens.principal(for: token) : try await services.tokens.principal(for: token)
    }
    let (browser, sessions) = (services.browser, services.signIn.sessions)
    guard let text = request.headers.cookie(browser.cookieName), let found = try await sessions.find(text) else {
      return nil
    }
    guard [.get, .head, .options].contains(request.method) || browser.isOwnPage(request.headers) else {
      throw HTTPProblem.foreignPage
    }
    cookie = found.replacement.map { browser.cookie($0, lifetime: sessions.lifetime) }
    return found.principal
  }

  private func take(_ key: String, _ limit: RateLimiter.Limit) throws {
    if let problem = HTTPProblem.tooMany(services.limiter.take(key, limit: limit)) { throw problem }
  }

  private static func token(_ request: HTTPRequest) -> String? {
    guard let header = request.headers["authorization"] else { return nil }
    let parts = header.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
    return String(parts[1])
  }

  // MARK: What

  /// Refuses what the operation's description does not allow in the address.
  static func check(_ query: QueryParameters, _ endpoint: Endpoint) throws {
    if endpoint.takesAnyQuery { return }
    let known = endpoint.query.map(\.name)
    for name in query.names.sorted() where !known.contains(name) {
      throw HTTPProblem(
        status: 400,
        code: "unknown",
        message: "The query parameter \(name.prefix(60)) is not known; allowed are: "
          + (known.isEmpty ? "none" : known.joined(separator: ", ")),
        field: String(name.prefix(60))
      )
    }
    for field in endpoint.query {
      guard query.all(field.name).count <= 1 else {
        throw HTTPProblem(
          status: 400,
          code: "notAllowed",
          message: "The query parameter \(field.name) came more than once; allowed is one",
          field: field.name
        )
      }
      guard let text = query[field.name] else { continue }
      try field.schema.check(Self.value(text, for: field.schema), at: field.name)
    }
  }

  /// A query parameter as the kind of value that its schema wants.
  private static func value(_ text: String, for schema: Schema) -> JSONValue {
    switch schema {
    case .integer: Int64(text).map { .int($0) } ?? .string(text)
    case .boolean: text == "true" ? true : text == "false" ? false : .string(text)
    default: .string(text)
    }
  }

  /// The body as it came; null where there is none.
  static func parse(_ request: HTTPRequest, _ endpoint: Endpoint) throws -> JSONValue {
    guard let schema = endpoint.body, !endpoint.isUpload else { return .null }
    if let type = request.headers["content-type"], !isJSON(type) {
      throw HTTPProblem(
        status: 415,
        code: "unsupported_media_type",
        message: "The body is “\(type.prefix(60))”; allowed is application/json",
        field: "Content-Type"
      )
    }
    // An operation whose members may all be left out may have no body at all.
    if request.body.bytes.isEmpty, schema.allowsNothing { return .object([:]) }
    return try JSONValue.parse(request.body.bytes)
  }

  /// Refuses what the operation's description does not allow in the body.
  static func check(_ body: JSONValue, _ endpoint: Endpoint) throws {
    guard let schema = endpoint.body, !endpoint.isUpload else { return }
    try schema.check(body, at: "")
  }
}

extension HTTPResponse {
  /// The response, with a new name for the session.
  fileprivate func with(cookie: String?) -> HTTPResponse {
    guard let cookie else { return self }
    // An answer that ends the session or starts another one has said all about it.
    let name = cookie.prefix { $0 != "=" } + "="
    guard !headers.all("set-cookie").contains(where: { $0.hasPrefix(name) }) else { return self }
    var response = self
    response.headers.add("set-cookie", cookie)
    return response
  }
}

/// Whether a media type is JSON, with or without parameters.
private func isJSON(_ type: String) -> Bool {
  let name = type.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }
  return name.lowercased() == "application/json"
}

extension Schema {
  /// Whether an empty object satisfies the schema.
  var allowsNothing: Bool {
    guard case .object(let fields) = self else { return false }
    return !fields.contains(where: \.isRequired)
  }
}
