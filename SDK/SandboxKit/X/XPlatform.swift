/// The platform X, API v2, as strict as its contract.
final class XPlatform: Sendable {
  let state = Guarded(XState())
  /// Locked inside of `state` where both are needed, never the other way round.
  let oauth = OAuthServer(rules: .x)

  /// The handle behind a request's token, for faults and the log.
  func username(of request: HTTPRequest) -> String? {
    if Self.isOAuth(request) { return oauth.owner(of: request) }
    guard let token = request.bearer else { return nil }
    let known = state.withLock { state in
      state.tokens[token].map { state.accounts[$0.account].username }
    }
    // A token that has expired still tells whose it was.
    return known ?? oauth.owner(of: request)
  }

  /// The token that was given by hand, or granted by consent.
  func find(_ text: String?, in state: XState, _ now: Int64) -> XToken? {
    guard let text else { return nil }
    if let token = state.tokens[text] { return token }
    // Why a token is dead is not told on this platform.
    guard let pass = try? oauth.pass(text, at: now) else { return nil }
    guard let account = state.accountByName[pass.family.account.lowercased()] else { return nil }
    let scopes = pass.family.scopes.reduce(into: XScopes()) { $0.formUnion(XScopes.named($1) ?? []) }
    return XToken(account: account, kind: .user, scopes: scopes)
  }

  func answer(_ request: HTTPRequest, call: XCall) -> XAnswer {
    if Self.isOAuth(request) {
      let username = oauth.owner(of: request)
      return XAnswer(response: answerOAuth(request, call.now), username: username)
    }
    guard let route = XRoute(request) else { return XAnswer(response: XProblem.notFound.response, username: nil) }
    let token = request.bearer
    if route.endpoint == .createPost { return createPost(request, token: token, call) }
    let (rate, access, username) = state.withLock { state in
      let token = find(token, in: state, call.now)
      let (rate, access) = state.authorize(token, endpoint: route.endpoint, call: call)
      return (rate, access, state.username(of: token))
    }
    var response: HTTPResponse
    do throws(XProblem) {
      response = try perform(route, request, try access.get(), call)
    } catch {
      response = error.response
    }
    rate.write(to: &response)
    return XAnswer(response: response, username: username)
  }

  private func perform(
    _ route: XRoute,
    _ request: HTTPRequest,
    _ token: XToken,
    _ call: XCall
  ) throws(XProblem) -> HTTPResponse {
    switch route.endpoint {
    // Answered before, under a single lock.
    case .createPost: createPost(request, token: request.bearer, call).response
    case .deletePost: try deletePost(route.id, token.account, call)
    case .me: try showMe(request, token.account)
    case .posts: try showPosts(request, route.id, token.account)
    case .timeline: try showTimeline(request, route.id, token.account, call)
    case .upload: try upload(request, token.account, call)
    case .initializeUpload: try initializeUpload(request, token.account, call)
    case .appendUpload: try appendUpload(request, route.id, token.account, call)
    case .finalizeUpload: try finalizeUpload(route.id, token.account, call)
    case .uploadStatus: try showUpload(request, token.account, call)
    case .metadata: try describeMedia(request, token.account, call)
    }
  }

  // MARK: Helpers of all routes

  /// Runs `body` under the lock and carries its typed error out.
  func locked<Value: Sendable>(
    _ body: (inout XState) throws(XProblem) -> Value
  ) throws(XProblem) -> Value {
    let result = state.withLock { state -> Result<Value, XProblem> in
      do throws(XProblem) {
        return .success(try body(&state))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  static func object(in request: HTTPRequest) throws(XProblem) -> [JSON.Member] {
    guard request.mediaType == "application/json" else {
      throw .plain(
        415,
        title: "Unsupported Media Type",
        detail: "Content-Type must be application/json"
      )
    }
    let json: JSON
    do throws(JSONParser.Failure) {
      json = try JSONParser.parse(request.body)
    } catch {
      throw .invalid("$: the request body is not valid JSON (\(error.reason))")
    }
    guard let members = json.members else { throw .invalid("$: the request body must be an object") }
    return members
  }

  /// The query by name; refuses names that the route does not know.
  static func query(_ request: HTTPRequest, known: [String]) throws(XProblem) -> [String: String] {
    guard let items = request.queryItems() else { throw .invalid("The query string is not valid") }
    var values: [String: String] = [:]
    for item in items {
      guard known.contains(item.name) else {
        throw .invalid(
          "The query parameter [\(item.name)] is not one of [\(known.joined(separator: ","))]",
          parameter: item.name,
          values: [item.value]
        )
      }
      guard values.updateValue(item.value, forKey: item.name) == nil else {
        throw .invalid("The query parameter [\(item.name)] appears twice", parameter: item.name, values: [item.value])
      }
    }
    return values
  }

  static func id(_ text: String) -> Int64? {
    guard (1...19).contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
    return Int64(text)
  }
}

/// An answer, and whose token asked.
struct XAnswer: Sendable {
  let response: HTTPResponse
  let username: String?
}

/// A request's place among the routes.
struct XRoute {
  let endpoint: XEndpoint
  var id = ""

  init?(_ request: HTTPRequest) {
    switch (request.method, request.path) {
    case ("POST", "/2/tweets"): endpoint = .createPost
    case ("GET", "/2/tweets"): endpoint = .posts
    case ("GET", "/2/users/me"): endpoint = .me
    case ("POST", "/2/media/upload"): endpoint = .upload
    case ("GET", "/2/media/upload"): endpoint = .uploadStatus
    case ("POST", "/2/media/upload/initialize"): endpoint = .initializeUpload
    case ("POST", "/2/media/metadata"): endpoint = .metadata
    default:
      let parts = request.pathParts
      switch (request.method, parts.count) {
      case ("DELETE", 3) where parts[1] == "tweets":
        endpoint = .deletePost
        id = parts[2]
      case ("GET", 3) where parts[1] == "tweets":
        endpoint = .posts
        id = parts[2]
      case ("GET", 4) where parts[1] == "users" && parts[3] == "tweets":
        endpoint = .timeline
        id = parts[2]
      case ("POST", 5) where parts[1] == "media" && parts[2] == "upload" && parts[4] == "append":
        endpoint = .appendUpload
        id = parts[3]
      case ("POST", 5) where parts[1] == "media" && parts[2] == "upload" && parts[4] == "finalize":
        endpoint = .finalizeUpload
        id = parts[3]
      default: return nil
      }
    }
  }
}
