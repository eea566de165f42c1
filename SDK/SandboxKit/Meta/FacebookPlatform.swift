extension OAuthRules {
  /// Facebook Login: short user tokens, long ones for them, and tokens of pages that follow from them.
  static let facebook = OAuthRules(
    platform: .facebook,
    title: "Facebook",
    scopeSeparators: [",", " "],
    scopes: [
      "public_profile", "email", "pages_show_list", "pages_manage_posts", "pages_read_engagement",
      "pages_manage_engagement", "pages_read_user_content", "pages_manage_metadata", "read_insights", "publish_video",
      "business_management", "instagram_basic", "instagram_content_publish", "instagram_manage_comments",
      "instagram_manage_insights", "instagram_manage_contents", "ads_management", "ads_read",
    ],
    fixedScopes: ["public_profile"],
    codeSeconds: 600,
    accessSeconds: 5400,
    longSeconds: 5_183_944,
    rotation: .none,
    denial: [
      .init(name: "error", value: "access_denied"), .init(name: "error_code", value: "200"),
      .init(name: "error_description", value: "Permissions error"), .init(name: "error_reason", value: "user_denied"),
    ],
    fragment: "#_=_",
    accessPrefix: "EAA"
  )
}

/// Facebook as far as an app needs it to be let in: OAuth, the user, the pages of the user, permissions.
final class FacebookPlatform: ConsentPlatform {
  static let hosts = ["www.facebook.com", "graph.facebook.com"]
  private static let userFields: Set = ["id", "name", "email", "picture"]
  private static let pageFields: Set = [
    "id", "name", "username", "link", "picture", "access_token", "tasks", "category", "instagram_business_account",
  ]

  let oauth = OAuthServer(rules: .facebook)

  func answer(_ request: HTTPRequest, now: Int64) -> HTTPResponse {
    if request.host == "www.facebook.com" {
      guard GraphRequest.path(of: request).parts == ["dialog", "oauth"] else {
        return GraphProblem.unknownPath(request.path).response
      }
      return consent(request, now)
    }
    do throws(GraphProblem) {
      return try answer(try GraphRequest(request), now)
    } catch {
      return error.response
    }
  }

  private func answer(_ graph: GraphRequest, _ now: Int64) throws(GraphProblem) -> HTTPResponse {
    let answer: Answer
    do throws(OAuthRefusal) {
      answer = try judge(graph, now)
    } catch {
      throw GraphProblem(error, now: oauth.state.withLock { $0.time(now) })
    }
    return try answer.get()
  }

  private typealias Answer = Result<HTTPResponse, GraphProblem>

  /// Both sorts of errors: the server's own, and those of the graph.
  private func judge(_ graph: GraphRequest, _ now: Int64) throws(OAuthRefusal) -> Answer {
    switch (graph.method, graph.parts.first ?? "", graph.parts.count) {
    case ("GET", "oauth", 2) where graph.parts[1] == "access_token",
      ("POST", "oauth", 2) where graph.parts[1] == "access_token":
      return .success(try token(graph, now))
    case ("GET", "debug_token", 1): return try showToken(graph, now)
    default: break
    }
    guard let text = graph.token else { return .failure(.noToken) }
    let pass = try oauth.pass(text, at: now)
    if let proof = graph.values["appsecret_proof"], !isProof(proof, of: text, pass) {
      return .failure(.invalid("Invalid appsecret_proof provided in the API argument"))
    }
    let account = try account(of: pass)
    let node = graph.parts.first ?? ""
    let isUser = node == String(account.id) || node == "me"
    if case .place(let id) = pass.access.kind, node == "me" || node == String(id) {
      guard graph.method == "GET", graph.parts.count == 1 else { return .failure(.unknownPath(graph.path)) }
      return showPage(graph, id, pass, account)
    }
    switch (graph.method, graph.parts.count, graph.parts.last ?? "") {
    case ("GET", 1, _) where isUser: return showUser(graph, pass, account)
    case ("GET", 2, "accounts") where isUser: return showPages(graph, pass, account)
    case ("GET", 2, "permissions") where isUser: return .success(Self.permissions(pass))
    case ("DELETE", 2, "permissions") where isUser:
      oauth.state.withLock { $0.giveBack(account: account.username, app: pass.family.app) }
      return .success(.json(JSONWriter.object { $0.member("success", true) }))
    case ("GET", 1, _):
      guard let id = Int64(node), account.places.contains(where: { $0.id == id }) else {
        return .failure(.noObject(node))
      }
      return showPage(graph, id, pass, account)
    default: return .failure(.unknownPath(graph.path))
    }
  }

  private func isProof(_ proof: String, of token: String, _ pass: OAuthPass) -> Bool {
    guard let secret = oauth.state.withLock({ $0.app(pass.family.app) })?.secret else { return false }
    let code = HMACSHA256.code(key: Array(secret.utf8), message: Array(token.utf8))
    return equalInConstantTime(Array(Hexadecimal.string(code).utf8), Array(proof.utf8))
  }

  // MARK: Tokens

  private func token(_ graph: GraphRequest, _ now: Int64) throws(OAuthRefusal) -> HTTPResponse {
    let app = try oauth.app(in: graph.values)
    let grant =
      switch graph.values["grant_type"] {
      case nil, "authorization_code": try oauth.exchange(graph.values, app: app, at: now)
      case "fb_exchange_token": try lengthen(graph.values, app, now)
      case let other?: throw OAuthRefusal.unsupportedGrant(other)
      }
    return MetaToken.answer(grant)
  }

  private func lengthen(_ values: [String: String], _ app: OAuthApp, _ now: Int64) throws(OAuthRefusal) -> OAuthGrant {
    let token = try OAuthServer.require("fb_exchange_token", in: values)
    return try oauth.locked { (state) throws(OAuthRefusal) in
      try state.lengthen(token, app: app, from: [.short, .long], at: now)
    }
  }

  private func showToken(_ graph: GraphRequest, _ now: Int64) throws(OAuthRefusal) -> Answer {
    let input = try OAuthServer.require("input_token", in: graph.values)
    guard let token = graph.token else { return .failure(.noToken) }
    let app: String
    if let bar = token.firstIndex(of: "|") {
      app = try oauth.app(id: String(token[..<bar]), secret: String(token[token.index(after: bar)...])).clientID
    } else {
      app = try oauth.pass(token, at: now).family.app
    }
    let time = oauth.state.withLock { $0.time(now) }
    return .success(
      MetaToken.description(
        of: Result { () throws(OAuthRefusal) in
          let pass = try oauth.pass(input, at: now)
          guard pass.family.app == app else { throw .unknownToken }
          return (pass, try account(of: pass))
        },
        app: app,
        now: time
      )
    )
  }

  // MARK: The user and the pages

  private static func permissions(_ pass: OAuthPass) -> HTTPResponse {
    .json(
      JSONWriter.object {
        $0.array("data") {
          for scope in pass.family.requested {
            $0.object {
              $0.member("permission", scope)
              $0.member("status", pass.has(scope) ? "granted" : "declined")
            }
          }
        }
      }
    )
  }

  private func showUser(_ graph: GraphRequest, _ pass: OAuthPass, _ account: OAuthAccount) -> Answer {
    Result { () throws(GraphProblem) in
      let fields = try graph.fields(default: ["name", "id"], known: Self.userFields, of: "User")
      return .json(
        JSONWriter.object { writer in
          for field in fields {
            switch field {
            case "name": writer.member("name", account.name)
            case "email": if pass.has("email") { writer.member("email", "\(account.username)@example.com") }
            case "picture": Self.picture(account.id, &writer)
            default: writer.member("id", String(account.id))
            }
          }
        }
      )
    }
  }

  private func showPages(_ graph: GraphRequest, _ pass: OAuthPass, _ account: OAuthAccount) -> Answer {
    Result { () throws(GraphProblem) in
      guard pass.has("pages_show_list") else { throw .missingPermission("pages_show_list") }
      let fields = try graph.fields(
        default: ["access_token", "category", "name", "id", "tasks"],
        known: Self.pageFields,
        of: "Page"
      )
      guard let limit = Int(graph.values["limit"] ?? "25"), (1...100).contains(limit) else {
        throw .invalid("Invalid limit")
      }
      let start = graph.values["after"].flatMap { Int($0) } ?? 0
      guard start >= 0 else { throw .invalid("Invalid cursor") }
      let page = account.places.dropFirst(start).prefix(limit)
      let tokens = page.map { place in oauth.state.withLock { $0.placeToken(place.id, for: pass) } }
      let hasMore = start + page.count < account.places.count
      return .json(
        JSONWriter.object { writer in
          writer.array("data") {
            for (place, token) in zip(page, tokens) { $0.object { Self.write(place, token, fields, &$0) } }
          }
          guard !page.isEmpty else { return }
          writer.object("paging") {
            $0.object("cursors") {
              $0.member("before", String(start))
              $0.member("after", String(start + page.count))
            }
            if hasMore { $0.member("next", "https://graph.facebook.com/me/accounts?after=\(start + page.count)") }
          }
        }
      )
    }
  }

  private func showPage(_ graph: GraphRequest, _ id: Int64, _ pass: OAuthPass, _ account: OAuthAccount) -> Answer {
    Result { () throws(GraphProblem) in
      guard let place = account.places.first(where: { $0.id == id }) else { throw .noObject(String(id)) }
      let fields = try graph.fields(default: ["name", "id"], known: Self.pageFields, of: "Page")
      let token = fields.contains("access_token") ? oauth.state.withLock { $0.placeToken(id, for: pass) } : ""
      return .json(JSONWriter.object { Self.write(place, token, fields, &$0) })
    }
  }

  private static func write(
    _ place: OAuthAccount.Place,
    _ token: String,
    _ fields: [String],
    _ writer: inout JSONWriter
  ) {
    for field in fields {
      switch field {
      case "name": writer.member("name", place.name)
      case "username": writer.member("username", place.handle)
      case "link": writer.member("link", "https://www.facebook.com/\(place.handle)")
      case "category": writer.member("category", "Publisher")
      case "picture": picture(place.id, &writer)
      case "access_token": writer.member("access_token", token)
      case "tasks": writer.array("tasks") { for role in place.roles { $0.string(role) } }
      // No page here has an account of Instagram behind it; the field is left out, as the platform does.
      case "instagram_business_account": break
      default: writer.member("id", String(place.id))
      }
    }
  }

  private static func picture(_ id: Int64, _ writer: inout JSONWriter) {
    writer.object("picture") {
      $0.object("data") {
        $0.member("is_silhouette", false)
        $0.member("url", "https://platform-lookaside.fbsbx.com/\(id).jpg")
      }
    }
  }
}
