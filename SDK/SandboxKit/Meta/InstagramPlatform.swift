extension OAuthRules {
  /// Instagram Login: a short token, a long one for it, and a new one for that when it is a day old.
  static let instagram = OAuthRules(
    platform: .instagram,
    title: "Instagram",
    scopeSeparators: [",", " "],
    scopes: [
      "instagram_business_basic", "instagram_business_content_publish", "instagram_business_manage_comments",
      "instagram_business_manage_insights", "instagram_business_manage_messages",
    ],
    fixedScopes: ["instagram_business_basic"],
    codeSeconds: 3600,
    accessSeconds: 3600,
    longSeconds: 5_183_944,
    rotation: .none,
    renewalAgeSeconds: 86_400,
    denial: metaDenial,
    fragment: "#_",
    codePrefix: "AQB",
    accessPrefix: "IGA"
  )

  static let metaDenial: [HTTPRequest.QueryItem] = [
    .init(name: "error", value: "access_denied"), .init(name: "error_reason", value: "user_denied"),
    .init(name: "error_description", value: "The user denied your request"),
  ]
}

/// Instagram with its own login, as far as an app needs it to be let in.
final class InstagramPlatform: ConsentPlatform {
  static let hosts = ["www.instagram.com", "api.instagram.com", "graph.instagram.com"]
  static let kinds = ["BUSINESS", "MEDIA_CREATOR", "PERSONAL"]
  private static let fields: Set = ["id", "user_id", "username", "name", "profile_picture_url", "account_type"]

  let oauth = OAuthServer(rules: .instagram)

  func objection(to account: OAuthAccount) -> String? {
    guard let kind = account.kind, Self.kinds.contains(kind) else {
      return "kind must be one of \(Self.kinds.joined(separator: ", "))"
    }
    return nil
  }

  func answer(_ request: HTTPRequest, now: Int64) -> HTTPResponse {
    switch (request.host, request.method, request.path) {
    case ("www.instagram.com", _, "/oauth/authorize"): return consent(request, now)
    case ("api.instagram.com", "POST", "/oauth/access_token"):
      do throws(OAuthRefusal) {
        return try token(request, now)
      } catch {
        return GraphProblem.flat(error)
      }
    case ("graph.instagram.com", _, _):
      return MetaGraph(oauth: oauth, exchange: "ig_exchange_token", renewal: "ig_refresh_token", scope: Self.basic)
        .answer(request, now: now) { [self] graph, pass throws(GraphProblem) in try showMe(graph, pass) }
    default: return GraphProblem.unknownPath(request.path).response
    }
  }

  private static let basic = "instagram_business_basic"

  private func token(_ request: HTTPRequest, _ now: Int64) throws(OAuthRefusal) -> HTTPResponse {
    let (grant, id) = try oauth.codeExchange(request, at: now)
    return .json(
      JSONWriter.object {
        $0.array("data") {
          $0.object {
            $0.member("access_token", grant.access)
            $0.member("user_id", String(id))
            $0.member("permissions", grant.family.scopes.joined(separator: ","))
          }
        }
      }
    )
  }

  private func showMe(_ graph: GraphRequest, _ pass: OAuthPass) throws(GraphProblem) -> HTTPResponse {
    guard let account = oauth.state.withLock({ $0.account(pass.family.account) }),
      graph.parts == ["me"] || graph.parts == [String(account.id)]
    else { throw .noObject(graph.parts.first ?? "") }
    let fields = try graph.fields(default: ["user_id", "username"], known: Self.fields, of: "User")
    return .json(
      JSONWriter.object {
        for field in fields {
          switch field {
          case "user_id": $0.member("user_id", String(account.id))
          case "username": $0.member("username", account.username)
          case "name": $0.member("name", account.name)
          case "profile_picture_url": $0.member(field, "https://scontent.cdninstagram.com/\(account.id).jpg")
          case "account_type": $0.member("account_type", account.kind)
          // Another one for every app, and not what the other addresses take.
          default: $0.member("id", String(OAuthAccount.makeID("\(pass.family.app)/\(account.id)")))
          }
        }
      }
    )
  }
}
