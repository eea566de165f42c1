import Testing

@testable import SandboxKit

/// The sandbox without sockets: apps and accounts on every platform with an OAuth server.
///
/// Requests go to the real addresses, as a host sends them through its overrides.
final class OAuthFixture {
  /// The wall clock stands still at 2026-01-02T03:04:05Z; the servers' own clock is moved by `advance`.
  let router = Router(settings: SandboxSettings(), stopSignal: StopSignal(), clock: { 1_767_323_045_000 })
  static let redirect = "https://host.example/callback?from=here"
  static let plainRedirect = "https://host.example/callback"
  static let verifier = "abcdefghijklmnopqrstuvwxyz0123456789-._~ABCDEFG"

  struct Reply {
    let status: Int
    let headers: [HTTPRequest.Header]
    let body: [UInt8]
    /// The connection was reset instead.
    var isReset = false

    var text: String { String(decoding: body, as: UTF8.self) }
    var json: JSON { (try? JSONParser.parse(body)) ?? .null }
    func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
    /// The query of the address that a person is sent to.
    func sent(_ name: String) -> String? {
      guard let location = header("location"), let mark = location.firstIndex(of: "?") else { return nil }
      let query = location[location.index(after: mark)...].prefix { $0 != "#" }
      return HTTPRequest(method: "GET", path: "/", rawQuery: String(query)).queryItems()?.first { $0.name == name }?
        .value
    }
  }

  init() throws {
    router.setOrigin("http://127.0.0.1:4455")
    for platform in ["x", "linkedin", "facebook", "instagram", "threads", "tiktok"] {
      let address = platform == "tiktok" ? Self.plainRedirect : Self.redirect
      try control("apps", #"{"platform":"\#(platform)","redirectAddresses":["\#(address)"]}"#)
      try control(
        "accounts",
        #"[{"platform":"\#(platform)","username":"alice","name":"Alice Adams"},{"platform":"\#(platform)","username":"bob"}]"#
      )
    }
  }

  // MARK: Requests

  @discardableResult
  func control(_ path: String, _ body: String? = nil) throws -> JSON {
    let request = HTTPRequest(
      method: body == nil ? "GET" : "POST",
      path: "/_sandbox/\(path.prefix { $0 != "?" })",
      rawQuery: path.contains("?") ? String(path.drop { $0 != "?" }.dropFirst()) : "",
      body: Array((body ?? "").utf8)
    )
    let reply = try reply(router.answer(request))
    guard reply.status < 300 else { throw RawClient.Failure(what: reply.text) }
    return reply.json
  }

  /// Sends a request to a real address such as `https://api.x.com/2/oauth2/token`.
  func ask(
    _ method: String,
    _ address: String,
    query: [(String, String)] = [],
    form: [(String, String)]? = nil,
    headers: [(String, String)] = []
  ) throws -> Reply {
    let place = address.dropFirst("https://".count)
    var all = headers.map { HTTPRequest.Header(name: $0.0, value: $0.1) }
    if form != nil { all.append(.init(name: "content-type", value: "application/x-www-form-urlencoded")) }
    let request = HTTPRequest(
      method: method,
      path: "/origin/\(place)",
      rawQuery: Self.encode(query),
      headers: all,
      body: Array(Self.encode(form ?? []).utf8)
    )
    return try reply(router.answer(request))
  }

  func get(_ address: String, token: String? = nil, query: [(String, String)] = []) throws -> Reply {
    try ask("GET", address, query: query, headers: token.map { [("authorization", "Bearer \($0)")] } ?? [])
  }

  private static func encode(_ items: [(String, String)]) -> String {
    items.map { "\(PercentCoding.encode($0.0))=\(PercentCoding.encode($0.1))" }.joined(separator: "&")
  }

  private func reply(_ answer: Answer) throws -> Reply {
    switch answer {
    case .respond(let response), .truncate(let response):
      Reply(status: response.status, headers: response.headers, body: response.body)
    case .reset, .resetThen: Reply(status: 0, headers: [], body: [], isReset: true)
    }
  }

  // MARK: The way through

  /// The query of an authorization address.
  static func wish(_ platform: String, scopes: [String], changes: [String: String?] = [:]) -> [(String, String)] {
    var values = [
      "response_type": "code", "redirect_uri": platform == "tiktok" ? plainRedirect : redirect, "state": "st&te 1",
      platform == "tiktok" ? "client_key" : "client_id": "demo-\(platform)",
      "scope": scopes.joined(separator: platform == "x" || platform == "linkedin" ? " " : ","),
    ]
    if platform == "x" {
      values["code_challenge"] = Base64.encodeURL(SHA256.digest(Array(verifier.utf8)))
      values["code_challenge_method"] = "S256"
    }
    for (name, value) in changes { values[name] = value }
    return values.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  static let authorize = [
    "x": "https://x.com/i/oauth2/authorize", "linkedin": "https://www.linkedin.com/oauth/v2/authorization",
    "facebook": "https://www.facebook.com/v26.0/dialog/oauth", "instagram": "https://www.instagram.com/oauth/authorize",
    "threads": "https://www.threads.net/oauth/authorize", "tiktok": "https://www.tiktok.com/v2/auth/authorize/",
  ]

  static let token = [
    "x": "https://api.x.com/2/oauth2/token", "linkedin": "https://www.linkedin.com/oauth/v2/accessToken",
    "facebook": "https://graph.facebook.com/v26.0/oauth/access_token",
    "instagram": "https://api.instagram.com/oauth/access_token",
    "threads": "https://graph.threads.net/oauth/access_token", "tiktok": "https://open.tiktokapis.com/v2/oauth/token/",
  ]

  /// Says yes as a person does with the page, and returns where it leads.
  func consent(
    _ platform: String,
    scopes: [String],
    granted: [String]? = nil,
    account: String = "alice",
    decision: String = "allow",
    changes: [String: String?] = [:]
  ) throws -> Reply {
    let boxes = (granted ?? scopes).map { ("scope", $0) }
    return try ask(
      "POST",
      try #require(Self.authorize[platform]),
      query: Self.wish(platform, scopes: scopes, changes: changes),
      form: [("account", account), ("decision", decision)] + boxes
    )
  }

  func code(_ platform: String, scopes: [String], granted: [String]? = nil, account: String = "alice") throws -> String
  {
    let reply = try consent(platform, scopes: scopes, granted: granted, account: account)
    return try #require(reply.sent("code"), "\(reply.status) \(reply.text)")
  }

  /// Asks the token address, with the app's own way to say who it is.
  func tokens(_ platform: String, _ fields: [(String, String)], changes: [String: String?] = [:]) throws -> Reply {
    var form = Dictionary(uniqueKeysWithValues: fields)
    var headers: [(String, String)] = []
    if platform == "x" {
      headers.append(("authorization", "Basic \(Base64.encode(Array("demo-x:secret-of-demo-x".utf8)))"))
    } else {
      form[platform == "tiktok" ? "client_key" : "client_id"] = "demo-\(platform)"
      form["client_secret"] = "secret-of-demo-\(platform)"
    }
    for (name, value) in changes { form[name] = value }
    return try ask("POST", try #require(Self.token[platform]), form: form.sorted { $0.key < $1.key }, headers: headers)
  }

  func exchange(_ platform: String, code: String, changes: [String: String?] = [:]) throws -> Reply {
    var fields = [
      ("grant_type", "authorization_code"), ("code", code),
      ("redirect_uri", platform == "tiktok" ? Self.plainRedirect : Self.redirect),
    ]
    if platform == "x" { fields.append(("code_verifier", Self.verifier)) }
    return try tokens(platform, fields, changes: changes)
  }

  func refresh(_ platform: String, _ token: String) throws -> Reply {
    try tokens(platform, [("grant_type", "refresh_token"), ("refresh_token", token)])
  }

  /// The counts of one platform.
  func ledger(_ platform: String) throws -> JSON {
    try #require(try control("ledger?platform=\(platform)")["oauth"]?[platform])
  }

  func advance(seconds: Int) throws {
    try control("clock", #"{"advanceMs":\#(seconds * 1000)}"#)
  }
}
