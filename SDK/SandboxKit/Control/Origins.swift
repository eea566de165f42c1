/// The real servers that the sandbox stands in for, and where in it they are.
///
/// One port stands in for many servers whose paths overlap, so each has a folder of its own: what the real
/// `https://graph.threads.net` has at `/me` is here at `/origin/graph.threads.net/me`.
enum Origins {
  private static let folder = "/origin/"

  /// Names of the servers by platform.
  static let hosts: [(platform: Platform, names: [String])] = [
    (.x, ["api.x.com", "x.com"]),
    (.linkedin, LinkedInPlatform.hosts),
    (.facebook, FacebookPlatform.hosts),
    (.instagram, InstagramPlatform.hosts),
    (.threads, ThreadsPlatform.hosts),
    (.tiktok, TikTokPlatform.hosts),
    (.mastodon, MastodonPlatform.hosts),
    (.microblog, ["api.microblog.example"]),
  ]

  private static let platforms: [String: Platform] = {
    var platforms: [String: Platform] = [:]
    for (platform, names) in hosts { for name in names { platforms[name] = platform } }
    return platforms
  }()

  static func platform(of host: String) -> Platform? { platforms[host] }

  /// Each real origin with its place in the sandbox at `base`.
  static func list(base: String) -> [(origin: String, place: String)] {
    hosts.flatMap(\.names).map { ("https://\($0)", "\(base)\(folder)\($0)") }
  }

  /// The request as the real server would get it.
  static func place(_ request: HTTPRequest) -> HTTPRequest {
    guard request.path.hasPrefix(folder) else { return request }
    let rest = request.path.dropFirst(folder.count)
    let end = rest.firstIndex(of: "/") ?? rest.endIndex
    return HTTPRequest(
      method: request.method,
      path: end == rest.endIndex ? "/" : String(rest[end...]),
      rawQuery: request.rawQuery,
      headers: request.headers,
      body: request.body,
      closes: request.closes,
      host: String(rest[..<end])
    )
  }
}
