import Egress
import JSONText
import Testing

/// Redirects are answers, unless a read says otherwise; then every hop is judged like a request.
@Suite struct RedirectTests {
  private static let rules = #"""
    [
      {"rule": "follow", "class": "read", "method": "GET", "origin": "https://api.example.com", "path": "/a/{id}",
       "query": ["q"], "headers": ["x-version"], "calls": ["post/publish"],
       "slots": {"header.authorization": {"secret": "token", "format": "Bearer {}"}, "query.key": {"secret": "other"}},
       "redirect": {"follow": true, "to": ["https://cdn.example.org"]}, "exposeHeaders": ["location"],
       "maxBody": 2000, "timeoutMs": 60000},
      {"rule": "sibling", "class": "read", "method": "GET", "origin": "https://api.example.com", "path": "/b/{id}",
       "calls": ["post/publish"], "maxBody": 2000, "timeoutMs": 60000},
      {"rule": "other", "class": "read", "method": "GET", "origin": "https://api.example.com", "path": "/c",
       "calls": ["account/*"], "maxBody": 2000, "timeoutMs": 60000},
      {"rule": "search", "class": "read", "reason": "searches", "method": "POST", "origin": "https://api.example.com",
       "path": "/search", "calls": ["post/publish"], "body": "json", "redirect": {"follow": true},
       "maxBody": 2000, "timeoutMs": 60000},
      {"rule": "again", "class": "read", "reason": "searches", "method": "POST", "origin": "https://api.example.com",
       "path": "/again", "calls": ["post/publish"], "body": "json", "maxBody": 2000, "timeoutMs": 60000},
      {"rule": "manual", "class": "commit", "method": "POST", "origin": "https://api.example.com", "path": "/m",
       "calls": ["post/publish"], "body": "json", "exposeHeaders": ["location"], "maxBody": 2000, "timeoutMs": 60000}
    ]
    """#
  private static let params = #"{"rule":"follow","path":{"id":"1"},"headers":{"x-version":"2"}}"#

  private func fixture(_ status: Int = 302, to location: String) throws -> RuleFixture {
    try RuleFixture(Self.rules, stands: ["https://cdn.example.org"]) { request in
      request.target.hasPrefix("/a/1") || request.target == "/search"
        ? .answer(status, headers: ["location": location]) : .answer(200, body: #"{"at":"\#(request.target)"}"#)
    }
  }

  @Test(arguments: [301, 302, 303, 307, 308])
  func withinTheRuleSecretsStay(_ status: Int) async throws {
    let fixture = try fixture(status, to: "/a/2?q=x")
    let result = try await fixture.json(Self.params)
    #expect(result?.pointer("/status")?.text == "200")
    let last = try #require(fixture.server.requests.last)
    #expect(last.target == "/a/2?q=x&key=other-secret-0002")
    #expect(last.headers["authorization"] == "Bearer tok-4f9c-secret-0001")
    #expect(last.headers["x-version"] == "2")
  }

  @Test func anotherRuleOfTheCallGetsNoSecretsOfThisOne() async throws {
    let fixture = try fixture(to: "https://api.example.com/b/7")
    #expect(try await fixture.json(Self.params)?.pointer("/json/at")?.text == #""/b/7""#)
    #expect(fixture.server.requests.last?.headers["authorization"] == nil)
  }

  @Test func anotherOriginGetsNoSecrets() async throws {
    let fixture = try fixture(to: "https://cdn.example.org/anything?x=1")
    #expect(try await fixture.json(Self.params)?.pointer("/json/at")?.text == #""/anything?x=1""#)
    let last = try #require(fixture.server.requests.last)
    #expect(last.headers["authorization"] == nil)
    #expect(last.headers["x-version"] == nil)
  }

  @Test func secretsDoNotComeBack() async throws {
    let fixture = try RuleFixture(Self.rules, stands: ["https://cdn.example.org"]) { request in
      switch request.target.prefix(4) {
      case "/a/1": .answer(302, headers: ["location": "https://cdn.example.org/x"])
      case "/x": .answer(302, headers: ["location": "https://api.example.com/a/3"])
      default: .answer(200, body: "{}")
      }
    }
    #expect(try await fixture.perform(Self.params).failure == nil)
    #expect(fixture.server.requests.last?.target == "/a/3")
    #expect(fixture.server.requests.last?.headers["authorization"] == nil)
  }

  @Test(arguments: [
    ("https://evil.example/", EgressError.Kind.egressDenied), ("//evil.example/a/2", .egressDenied),
    ("http://api.example.com/a/2", .egressDenied), ("https://api.example.com:8443/a/2", .egressDenied),
    ("https://api.example.com.evil.example/a/2", .egressDenied),
    ("https://api.example.com@evil.example/", .egressDenied),
    ("https://user:pass@api.example.com/a/2", .egressDenied), ("https://169.254.169.254/latest", .egressDenied),
    ("http://169.254.169.254/latest", .egressDenied), ("https://[::1]/a/2", .egressDenied),
    ("https://[::ffff:169.254.169.254]/", .egressDenied), ("https://2852039166/", .egressDenied),
    ("https://0xa9fea9fe/", .egressDenied), ("https://localhost/a/2", .egressDenied),
    ("file:///etc/passwd", .egressDenied),
    ("gopher://evil.example/", .egressDenied), ("javascript:alert(1)", .egressDenied), ("/c", .egressDenied),
    ("/m", .egressDenied), ("/admin", .egressDenied), ("/a/2/../../admin", .egressDenied),
    ("/a/%2e%2e", .egressDenied), ("/a/2%2fadmin", .egressDenied), ("/a/..;/admin", .egressDenied),
    ("\\\\evil.example\\a", .egressDenied), ("https://cdn.example.org./x", .egressDenied),
    ("https://CDN.example.org:444/x", .egressDenied),
  ])
  func elsewhereIsRefused(_ location: String, _ kind: EgressError.Kind) async throws {
    let fixture = try fixture(to: location)
    let answer = try await fixture.perform(Self.params)
    #expect(answer.failure?.kind == kind, "\(answer.reply)")
    #expect(fixture.server.requests.count == 1)
  }

  @Test func fiveHopsAreTheMost() async throws {
    let fixture = try RuleFixture(Self.rules) { _ in .answer(302, headers: ["location": "/a/1"]) }
    #expect(try await fixture.perform(Self.params).failure?.kind == .egressDenied)
    #expect(fixture.server.requests.count == 6)
  }

  @Test(arguments: [(301, "GET", ""), (303, "GET", ""), (307, "POST", #"{"q":1}"#), (308, "POST", #"{"q":1}"#)])
  func aPostBecomesAGetWhereTheStandardSaysSo(_ status: Int, _ method: String, _ body: String) async throws {
    let fixture = try fixture(status, to: method == "GET" ? "/b/1" : "/again")
    _ = try await fixture.perform(#"{"rule":"search","json":{"q":1}}"#)
    #expect(fixture.server.requests.last?.method == method)
    #expect(fixture.server.requests.last?.text == body)
    let wrong = try self.fixture(status, to: method == "GET" ? "/again" : "/b/1")
    #expect(try await wrong.perform(#"{"rule":"search","json":{"q":1}}"#).failure?.kind == .egressDenied)
  }

  @Test func withoutTheWordNothingIsFollowed() async throws {
    let fixture = try RuleFixture(Self.rules) { _ in .answer(308, headers: ["location": "/b/1"]) }
    let result = try #require(try await fixture.json(#"{"rule":"manual","step":"m","json":{}}"#))
    #expect(result.pointer("/status")?.text == "308")
    #expect(result.pointer("/headers/location")?.text == #""/b/1""#)
    #expect(fixture.server.requests.count == 1)
  }
}
