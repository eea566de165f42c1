import Connecting
import Cryptography
import FoundationEssentials
import HTTPServer
import Identity
import JSONDocument
import Postgres
import Publishing
import Testing

@testable import AdminAPI

/// The API with a plugin whose accounts are connected by a sign-in, and the platform behind it.
struct SignInFixture: Sendable {
  let api: APIFixture
  let platform: SignInPlatform

  static let base = "/api/admin/distribution/platforms/probe"
  static let returnTo = "https://rostrum.example/accounts"

  /// - Parameter more: members of `oauth` beside the usual ones, with a comma behind each.
  static func manifest(_ text: String, more: String = "", scopes: String = "") -> String {
    text.replacing(#""source": "entered""#, with: #""source": "oauth""#).replacing(
      #""input": [],"#,
      with: #"""
        "input": [], "configuration": [{"name": "PROBE_ID", "label": "ID"},
          {"name": "PROBE_SECRET", "label": "Secret", "secret": true}, {"name": "PROBE_CALLBACK", "label": "Callback"}],
        "oauth": {\#(more)
          "application": {"id": "PROBE_ID", "secret": "PROBE_SECRET", "callback": "PROBE_CALLBACK"},
          "authorize": {"url": "https://www.example.com/authorize", "parameters": {
            "response_type": "code", "client_id": "{client.id}", "redirect_uri": "{redirect}", "scope": "{scope}",
            "state": "{state}", "code_challenge": "{challenge}", "code_challenge_method": "S256"}},
          "scopes": [{"name": "publish", "label": "Publish", "required": true, "scopes": ["post.write", "offline"]},
                     {"name": "metrics", "label": "Metrics", "reason": "To show how posts do", "scopes": ["insights"]}],
          "exchange": [{"method": "POST", "url": "https://api.example.com/token", "authentication": "basic",
            "parameters": {"grant_type": "authorization_code", "code": "{code}", "redirect_uri": "{redirect}",
                           "code_verifier": "{verifier}"}}],
          "refresh": {"request": {"method": "POST", "url": "https://api.example.com/token", "authentication": "basic",
            "parameters": {"grant_type": "refresh_token", "refresh_token": "{refresh}"}}, "rotation": "strict",
            "needsRefreshToken": true}},
        """#
    )
  }

  /// Pages of a person, each with a token of its own.
  static let accounts = #"""
    "accounts": {"request": {"method": "GET", "url": "https://api.example.com/accounts", "authentication": "bearer"},
      "each": "/data", "token": "/access_token", "needs": {"pointer": "/tasks", "anyOf": ["MANAGE"]},
      "next": {"pointer": "/after", "parameter": "after"}},
    """#

  static func run(
    _ change: (inout APILimits) -> Void = { _ in },
    more: String = "",
    settings: [String: String] = ["PROBE_ID": "probe-id", "PROBE_SECRET": "canary-secret"],
    _ body: (SignInFixture) async throws -> Void
  ) async throws {
    let platform = SignInPlatform()
    try await platform.serve { port in
      try await APIFixture.run(
        change,
        manifest: { manifest($0, more: more) },
        platformPort: port,
        settings: settings
      ) { api in try await body(SignInFixture(api: api, platform: platform)) }
    }
  }

  /// A sign-in that was started in a browser.
  struct Started {
    let page: String
    let state: String
    /// What the browser sends: its session and the cookie of the sign-in.
    var cookies: String
    let id: Int64
  }

  // MARK: Steps

  /// A request as a browser with a session sends it.
  func browse(
    _ method: HTTPMethod,
    _ target: String,
    _ cookies: String,
    json: String? = nil
  ) async -> TestClient.Answer {
    await api.send(
      method,
      target,
      as: nil,
      json: json,
      headers: ["cookie": cookies, "sec-fetch-site": method == .get ? "cross-site" : "same-origin"]
    )
  }

  func connectBody(_ more: String = "", returnTo: String = returnTo) -> String {
    #"{"siteId":\#(api.site),"redirectUrl":"\#(returnTo)"\#(more)}"#
  }

  func start(as role: Role = .admin, _ more: String = "") async throws -> Started {
    let session = try await api.cookie(role)
    let answer = await browse(.post, Self.base + "/connect", session, json: connectBody(more))
    try #require(answer.status == 200, "\(answer.text)")
    let cookie = try #require(answer.headers["set-cookie"]).prefix { $0 != ";" }
    return Started(
      page: try #require(answer.json.pointer("/data/authUrl")?.stringValue),
      state: try #require(answer.json.pointer("/data/state")?.stringValue),
      cookies: "\(session); \(cookie)",
      id: try #require(answer.json.pointer("/data/signInId")?.int64Value)
    )
  }

  func callback(
    _ started: Started,
    _ query: String = "code=canary-code",
    cookies: String? = nil
  ) async -> TestClient.Answer {
    await browse(.get, Self.base + "/callback?\(query)&state=\(started.state)", cookies ?? started.cookies)
  }

  /// Where an answer sends the browser, as name and value of each parameter; nil if nowhere.
  func sentBack(_ answer: TestClient.Answer) throws -> [String: String]? {
    guard answer.status == 303, let location = answer.headers["location"], location.hasPrefix(Self.returnTo + "?")
    else {
      return nil
    }
    return Dictionary(try QueryParameters(location.dropFirst(Self.returnTo.count + 1)).list) { first, _ in first }
  }

  /// What the plugin says of the next accounts, as a member of its answers.
  func identify(_ member: String) throws {
    try (member + "\n").write(toFile: api.plugin + ".identify", atomically: true, encoding: .utf8)
  }

  // MARK: Looking

  func connections() async throws -> Int {
    try await api.pool.query("SELECT count(*) FROM platform_connections WHERE deleted_at IS NULL")[0].get(0)
  }

  func ends() async throws -> [String] {
    try await api.pool.query("SELECT concat_ws(' ', outcome, reason) FROM oauth_states ORDER BY id").map {
      try $0.get(0)
    }
  }

  func audits() async throws -> Int {
    try await api.pool.query("SELECT count(*) FROM audit_logs WHERE action = 'connection.sign-in'")[0].get(0)
  }
}
