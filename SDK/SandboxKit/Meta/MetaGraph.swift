/// What the graphs of Instagram and Threads share: long tokens for short ones, new ones for old ones, and `me`.
struct MetaGraph {
  let oauth: OAuthServer
  /// The grant type that makes a long token of a short one.
  let exchange: String
  /// The grant type that makes a new token of a long one.
  let renewal: String
  /// The scope that every call needs.
  let scope: String
  /// The only version that there is; absent where any is taken.
  var version: String?

  func answer(
    _ request: HTTPRequest,
    now: Int64,
    showMe: (GraphRequest, OAuthPass) throws(GraphProblem) -> HTTPResponse
  ) -> HTTPResponse {
    do throws(GraphProblem) {
      let graph = try GraphRequest(request)
      if let version, let asked = graph.version, asked != version { throw .unknownPath("/\(asked)\(graph.path)") }
      guard graph.method == "GET" else { throw .unknownPath(graph.path) }
      let pass: OAuthPass
      do throws(OAuthRefusal) {
        switch graph.path {
        case "/access_token": return MetaToken.answer(try lengthen(graph.values, now))
        case "/refresh_access_token": return MetaToken.answer(try renew(graph.values, now))
        case "/debug_token": return try showToken(graph, now)
        default:
          guard let token = graph.token else { throw .missing("access_token") }
          pass = try oauth.pass(token, at: now)
          guard pass.has(scope) else { throw .missingScope(scope) }
        }
      } catch .missing("access_token") {
        throw .noToken
      } catch {
        throw GraphProblem(error, now: oauth.state.withLock { $0.time(now) })
      }
      guard graph.parts.count == 1 else { throw .unknownPath(graph.path) }
      return try showMe(graph, pass)
    } catch {
      return error.response
    }
  }

  private func lengthen(_ values: [String: String], _ now: Int64) throws(OAuthRefusal) -> OAuthGrant {
    let type = try OAuthServer.require("grant_type", in: values)
    guard type == exchange else { throw .unsupportedGrant(type) }
    let secret = try OAuthServer.require("client_secret", in: values)
    let token = try OAuthServer.require("access_token", in: values)
    // The app is not named: its secret must be that of the app which the token belongs to.
    let id = try oauth.pass(token, at: now).family.app
    let app = try oauth.app(id: id, secret: secret)
    return try oauth.locked { (state) throws(OAuthRefusal) in
      try state.lengthen(token, app: app, from: [.short], at: now)
    }
  }

  private func renew(_ values: [String: String], _ now: Int64) throws(OAuthRefusal) -> OAuthGrant {
    let type = try OAuthServer.require("grant_type", in: values)
    guard type == renewal else { throw .unsupportedGrant(type) }
    let token = try OAuthServer.require("access_token", in: values)
    return try oauth.locked { (state) throws(OAuthRefusal) in try state.renew(token, scope: scope, at: now) }
  }

  private func showToken(_ graph: GraphRequest, _ now: Int64) throws(OAuthRefusal) -> HTTPResponse {
    let input = try OAuthServer.require("input_token", in: graph.values)
    guard let token = graph.token else { throw .missing("access_token") }
    let app = try oauth.pass(token, at: now).family.app
    let time = oauth.state.withLock { $0.time(now) }
    let result = Result { () throws(OAuthRefusal) in
      let pass = try oauth.pass(input, at: now)
      guard pass.family.app == app, let account = oauth.state.withLock({ $0.account(pass.family.account) }) else {
        throw .unknownToken
      }
      return (pass, account)
    }
    return MetaToken.description(of: result, app: app, now: time)
  }
}

extension OAuthServer {
  /// The short token for a code, at the addresses that take nothing else, with the number of its account.
  func codeExchange(_ request: HTTPRequest, at now: Int64) throws(OAuthRefusal) -> (grant: OAuthGrant, account: Int64) {
    let form = try form(request)
    let app = try app(in: form)
    let type = try OAuthServer.require("grant_type", in: form)
    guard type == "authorization_code" else { throw .unsupportedGrant(type) }
    let grant = try exchange(form, app: app, at: now)
    return (grant, state.withLock { $0.account(grant.family.account)?.id } ?? 0)
  }
}
