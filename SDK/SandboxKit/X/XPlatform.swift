/// The platform X, API v2, as strict as its contract.
final class XPlatform: Sendable {
  let state = Guarded(XState())

  /// The handle behind a request's token, for faults and the log.
  func username(of request: HTTPRequest) -> String? {
    guard let token = Self.bearer(request) else { return nil }
    return state.withLock { $0.username(of: token) }
  }

  func answer(_ request: HTTPRequest, call: XCall) -> XAnswer {
    guard let route = XRoute(request) else { return XAnswer(response: XProblem.notFound.response, username: nil) }
    let token = Self.bearer(request)
    if route.endpoint == .createPost { return createPost(request, token: token, call) }
    let (rate, access, username) = state.withLock { state in
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

  private static func bearer(_ request: HTTPRequest) -> String? {
    guard let value = request.header("authorization"), value.utf8.count > 7 else { return nil }
    guard value.prefix(7).lowercased() == "bearer " else { return nil }
    return String(value.dropFirst(7))
  }

  private func perform(
    _ route: XRoute,
    _ request: HTTPRequest,
    _ token: XToken,
    _ call: XCall
  ) throws(XProblem) -> HTTPResponse {
    switch route.endpoint {
    // Answered before, under a single lock.
    case .createPost: createPost(request, token: Self.bearer(request), call).response
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
