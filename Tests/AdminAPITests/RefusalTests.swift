import HTTPServer
import Identity
import JSONDocument
import Postgres
import TestSupport
import Testing

@testable import AdminAPI

/// What is wrong gets the documented error and changes nothing.
@Suite(.database) struct RefusalTests {
  private func expect(
    _ answer: TestClient.Answer,
    _ status: Int,
    _ code: String? = nil,
    field: String? = nil,
    location: SourceLocation = #_sourceLocation
  ) {
    #expect(answer.status == status, "\(answer.text)", sourceLocation: location)
    #expect(answer.json.pointer("/success")?.boolValue == false, sourceLocation: location)
    #expect(answer.json.pointer("/error/message")?.stringValue?.isEmpty == false, sourceLocation: location)
    if let code { #expect(answer.code == code, sourceLocation: location) }
    if let field { #expect(answer.field == field, sourceLocation: location) }
  }

  /// Runs requests and checks that no row came or went.
  private func unchanged(
    _ change: (inout APILimits) -> Void = { _ in },
    _ body: (APIFixture) async throws -> Void
  ) async throws {
    try await APIFixture.run(change) { api in
      let before = try await api.rows()
      try await body(api)
      #expect(try await api.rows() == before)
    }
  }

  @Test func withoutATokenNothingIsSaid() async throws {
    // There are more operations than one address may try at once.
    try await unchanged({ $0.address.burst = 1_000 }) { api in
      for endpoint in AdminAPI.endpoints {
        if case .open = endpoint.access { continue }
        let target = endpoint.path.replacing("{id}", with: "1")
        let answer = await api.send(endpoint.method, target, as: nil, json: "{}")
        expect(answer, 401, "unauthorized")
        #expect(answer.headers["www-authenticate"] == "Bearer")
      }
    }
  }

  @Test(arguments: ["Bearer", "Bearer ", "Basic abc", "Bearer rst_x", "rst_x", "Bearer rst_é"])
  func wrongTokensAreNone(header: String) async throws {
    try await unchanged { api in
      expect(await api.send(.get, "/api/sites", as: nil, headers: ["authorization": header]), 401, "unauthorized")
    }
  }

  @Test func viewersOnlyLook() async throws {
    try await APIFixture.run { api in
      let post = try await api.makePost()
      let before = try await api.rows()
      let bodies: [(HTTPMethod, String, String, Role)] = [
        (.post, "/api/posts", #"{"title":"a"}"#, .viewer), (.put, "/api/posts/\(post)", #"{"title":"a"}"#, .viewer),
        (.delete, "/api/posts/\(post)", "", .viewer),
        (
          .post, "/api/admin/distribution/dispatch", #"{"postId":\#(post),"connectionIds":[\#(api.connection)]}"#,
          .author
        ),
        (.post, "/api/admin/distribution/connections", #"{"platform":"probe"}"#, .editor),
        (.delete, "/api/admin/distribution/connections/\(api.connection)", "", .editor),
        (.post, "/api/admin/distribution/targets", #"{"connectionId":\#(api.connection),"name":"t"}"#, .editor),
        (.put, "/api/sites/\(api.site)", #"{"name":"x"}"#, .editor), (.post, "/api/sites", #"{"name":"x"}"#, .owner),
        (.get, "/metrics", "", .owner),
      ]
      for (method, target, body, role) in bodies {
        let answer = await api.send(method, target, as: role, json: body.isEmpty ? nil : body)
        expect(answer, 403, "forbidden")
      }
      #expect(try await api.rows() == before)
      for target in ["/api/posts", "/api/posts/\(post)", "/api/admin/distribution/queue", "/api/sites/\(api.site)"] {
        #expect(await api.get(target, as: .viewer).status == 200)
      }
    }
  }

  @Test func aForeignSiteIsLikeNone() async throws {
    try await unchanged { api in
      let site = api.otherSite
      expect(await api.get("/api/posts?siteId=\(site)"), 404, "site_not_found", field: "siteId")
      expect(await api.get("/api/sites/\(site)"), 404, "site_not_found")
      expect(await api.send(.put, "/api/sites/\(site)", json: #"{"name":"x"}"#), 404)
      expect(await api.send(.post, "/api/posts", json: #"{"title":"a","siteId":\#(site)}"#), 404, "site_not_found")
      expect(await api.get("/api/posts?siteId=999999"), 404, "site_not_found")
      expect(
        await api.send(.post, "/api/posts?siteId=\(api.site)", json: #"{"title":"a","siteId":\#(site)}"#),
        400,
        field: "siteId"
      )
    }
  }

  @Test func thingsOfAForeignSiteAreNotThere() async throws {
    try await APIFixture.run { api in
      let foreign: Int64 = try await api.pool.query(
        "INSERT INTO posts (site_id) VALUES (\(api.otherSite)) RETURNING id"
      )[0].get(0)
      try await api.pool.execute(
        "INSERT INTO post_versions (post_id, version, site_id, title) VALUES (\(foreign), 1, \(api.otherSite), 't')"
      )
      try await api.pool.execute("UPDATE platform_connections SET site_id = \(api.otherSite)")
      let before = try await api.rows()
      expect(await api.get("/api/posts/\(foreign)"), 404, "post_not_found")
      expect(await api.send(.delete, "/api/posts/\(foreign)"), 404, "post_not_found")
      expect(await api.send(.put, "/api/posts/\(foreign)", json: #"{"title":"a"}"#), 404, "post_not_found")
      let base = "/api/admin/distribution/connections/\(api.connection)"
      for (method, path) in [(HTTPMethod.get, base), (.delete, base), (.post, base + "/test")] {
        expect(await api.send(method, path), 404)
      }
      expect(
        await api.send(
          .post,
          "/api/admin/distribution/dispatch",
          json: #"{"postId":\#(foreign),"connectionIds":[\#(api.connection)]}"#
        ),
        404,
        "post_not_found"
      )
      #expect(try await api.rows() == before)
    }
  }

  @Test(arguments: [
    (#"{"title":"a","color":1}"#, "unknown", "color"), ("{}", "missing", "title"),
    (#"{"title":1}"#, "wrongType", "title"), (#"{"title":null}"#, "wrongType", "title"),
    (#"{"title":""}"#, "tooShort", "title"), (#"{"title":"a","tags":"b"}"#, "wrongType", "tags"),
    (#"{"title":"a","tags":["b",2]}"#, "wrongType", "tags[1]"),
    (#"{"title":"a","media":[{"mediaId":1,"x":1}]}"#, "unknown", "media[0].x"),
    (#"{"title":"a","media":[{}]}"#, "missing", "media[0].mediaId"),
    (#"{"title":"a","url":"javascript:alert(1)"}"#, "notAllowed", "url"),
    (#"{"title":"a","url":"https://me@a.example"}"#, "notAllowed", "url"), ("[]", "wrongType", nil),
    ("null", "wrongType", nil), ("", "invalidJSON", nil), (#"{"title":"a""#, "invalidJSON", nil),
    (#"{"title":"a","title":"b"}"#, "invalidJSON", nil), (#"{"title":"a\u0000"}"#, "invalidJSON", nil),
    (#"{"title":"a","siteId":"1"}"#, "wrongType", "siteId"), (#"{"title":"a","siteId":0}"#, "outOfRange", "siteId"),
  ])
  func wrongBodiesAreNamed(body: String, code: String, field: String?) async throws {
    try await unchanged { api in
      expect(await api.send(.post, "/api/posts", json: body), 400, code, field: field)
    }
  }

  @Test func aBodyThatIsTooLargeIsNotRead() async throws {
    try await unchanged { api in
      let long = String(repeating: "a", count: (1 << 20) + 1)
      expect(await api.send(.post, "/api/posts", json: #"{"title":"\#(long)"}"#), 413)
      let deep = String(repeating: "[", count: 100_000)
      expect(await api.send(.post, "/api/posts", json: deep), 400, "invalidJSON")
    }
  }

  @Test(arguments: ["text/plain", "application/jsonx", "application/x-www-form-urlencoded", "multipart/form-data"])
  func otherMediaTypesAreRefused(type: String) async throws {
    try await unchanged { api in
      let answer = await api.send(.post, "/api/posts", json: #"{"title":"a"}"#, headers: ["content-type": type])
      expect(answer, 415, "unsupported_media_type")
    }
  }

  @Test(arguments: ["application/json", "application/json; charset=utf-8", "Application/JSON ;x=y"])
  func jsonIsTaken(type: String) async throws {
    try await APIFixture.run { api in
      let answer = await api.send(.post, "/api/posts", json: #"{"title":"a"}"#, headers: ["content-type": type])
      #expect(answer.status == 201)
    }
  }

  @Test(arguments: [
    "limit=0", "limit=101", "limit=x", "cursor=-1", "cursor=99999999999999999999", "siteId=x", "foo=1",
    "limit=1&limit=2", "status=gone",
  ])
  func wrongQueriesAreNamed(query: String) async throws {
    try await unchanged { api in
      let answer = await api.get("/api/admin/distribution/queue?\(query)")
      expect(answer, 400, field: String(query.prefix { $0 != "=" }))
    }
  }

  @Test(arguments: ["0", "-1", "x", "99999999999999999999", "1.5"])
  func wrongNumbersInPathsAreRefused(id: String) async throws {
    try await unchanged { api in
      let answer = await api.get("/api/posts/\(id)")
      #expect([400, 404].contains(answer.status))
      #expect(answer.code != nil)
    }
  }

  @Test func unknownPathsAndMethods() async throws {
    try await unchanged { api in
      expect(await api.get("/api/nothing"), 404)
      expect(await api.send(.patch, "/api/posts", json: "{}"), 405)
    }
  }

  @Test func guessingTokensIsSlow() async throws {
    try await APIFixture.run({ $0.address = .init(burst: 3, perSecond: 0.001) }) { api in
      for _ in 0..<3 { expect(await api.get("/api/sites", as: nil), 401) }
      let answer = await api.get("/api/sites", as: nil)
      expect(answer, 429, "too_many_requests")
      #expect(answer.headers["retry-after"].flatMap { Int($0) } ?? 0 > 0)
      // Who has a token is not locked out by a neighbour.
      #expect(await api.get("/api/sites").status == 200)
    }
  }

  @Test func aTokenHasItsLimit() async throws {
    try await APIFixture.run({ $0.token = .init(burst: 2, perSecond: 0.001) }) { api in
      #expect(await api.get("/api/sites").status == 200)
      #expect(await api.get("/api/sites").status == 200)
      expect(await api.get("/api/sites"), 429)
      #expect(await api.get("/api/sites", as: .viewer).status == 200)
    }
  }
}
