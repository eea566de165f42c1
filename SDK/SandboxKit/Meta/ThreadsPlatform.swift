extension OAuthRules {
  /// Threads: as Instagram, with its own names.
  static let threads = OAuthRules(
    platform: .threads,
    title: "Threads",
    scopeSeparators: [",", " "],
    scopes: [
      "threads_basic", "threads_content_publish", "threads_manage_replies", "threads_read_replies",
      "threads_manage_insights", "threads_delete", "threads_location_tagging", "threads_keyword_search",
      "threads_manage_mentions", "threads_profile_discovery", "threads_share_to_instagram",
    ],
    fixedScopes: ["threads_basic"],
    codeSeconds: 3600,
    accessSeconds: 3600,
    longSeconds: 5_183_944,
    rotation: .none,
    renewalAgeSeconds: 86_400,
    denial: metaDenial,
    fragment: "#_",
    codePrefix: "AQB",
    accessPrefix: "THQ"
  )
}

/// Threads as far as an app needs it to be let in.
final class ThreadsPlatform: ConsentPlatform {
  static let hosts = [
    "www.threads.net", "threads.net", "www.threads.com", "threads.com", "graph.threads.net", "graph.threads.com",
  ]
  private static let basic = "threads_basic"
  private static let fields: Set = [
    "id", "username", "name", "threads_profile_picture_url", "threads_biography", "is_verified",
  ]

  let oauth = OAuthServer(rules: .threads)

  func answer(_ request: HTTPRequest, now: Int64) -> HTTPResponse {
    guard request.host?.hasPrefix("graph.") == true else {
      guard request.path == "/oauth/authorize" else { return GraphProblem.unknownPath(request.path).response }
      return consent(request, now)
    }
    if request.method == "POST", request.path == "/oauth/access_token" {
      do throws(OAuthRefusal) {
        return try token(request, now)
      } catch {
        return GraphProblem.flat(error)
      }
    }
    return MetaGraph(
      oauth: oauth,
      exchange: "th_exchange_token",
      renewal: "th_refresh_token",
      scope: Self.basic,
      version: "v1.0"
    )
    .answer(request, now: now) { [self] graph, pass throws(GraphProblem) in try showMe(graph, pass) }
  }

  private func token(_ request: HTTPRequest, _ now: Int64) throws(OAuthRefusal) -> HTTPResponse {
    let (grant, id) = try oauth.codeExchange(request, at: now)
    return .json(
      JSONWriter.object {
        $0.member("access_token", grant.access)
        // A number that a double cannot hold, as on the platform.
        $0.member("user_id", id)
      }
    )
  }

  private func showMe(_ graph: GraphRequest, _ pass: OAuthPass) throws(GraphProblem) -> HTTPResponse {
    guard let account = oauth.state.withLock({ $0.account(pass.family.account) }),
      graph.parts == ["me"] || graph.parts == [String(account.id)]
    else { throw .noObject(graph.parts.first ?? "") }
    let fields = try graph.fields(default: ["id"], known: Self.fields, of: "ThreadsUser")
    return .json(
      JSONWriter.object {
        for field in fields {
          switch field {
          case "username": $0.member("username", account.username)
          case "name": $0.member("name", account.name)
          case "threads_profile_picture_url": $0.member(field, "https://scontent.cdninstagram.com/\(account.id).jpg")
          case "threads_biography": $0.member(field, "")
          case "is_verified": $0.member("is_verified", false)
          default: $0.member("id", String(account.id))
          }
        }
      }
    )
  }
}
