import Cryptography
import FoundationEssentials
import HTTPServer
import Identity
import JSONDocument
import Postgres
import TestSupport
import Testing

@testable import AdminAPI

/// Tokens over HTTP: one's own, and those of other systems.
@Suite(.database) struct TokenRouteTests {
  private func send(
    _ api: APIFixture,
    _ method: HTTPMethod,
    _ target: String,
    _ cookie: String,
    json: String? = nil
  ) async -> TestClient.Answer {
    await api.send(method, target, as: nil, json: json, headers: ["cookie": cookie, "sec-fetch-site": "same-origin"])
  }

  private func use(
    _ api: APIFixture,
    _ token: String,
    _ method: HTTPMethod,
    _ target: String,
    json: String? = nil
  ) async -> TestClient.Answer {
    await api.send(method, target, as: nil, json: json, headers: ["authorization": "Bearer \(token)"])
  }

  @Test func aPersonMakesAndEndsTokens() async throws {
    try await APIFixture.run { api in
      let session = try await api.cookie(.editor)
      let made = await send(api, .post, "/api/tokens", session, json: #"{"name":"script","scopes":["read"]}"#)
      #expect(made.status == 200, "\(made.text)")
      let token = try #require(made.json.pointer("/data/token")?.stringValue)
      #expect(await use(api, token, .get, "/api/posts").status == 200)
      #expect(await use(api, token, .get, "/api/session").status == 200)
      let refused = await use(api, token, .post, "/api/posts", json: #"{"title":"a"}"#)
      #expect(refused.status == 403 && refused.text.contains("“write”"), "\(refused.text)")
      // A token makes no token.
      #expect(await use(api, token, .post, "/api/tokens", json: #"{"name":"x"}"#).status == 403)
      let list = await send(api, .get, "/api/tokens", session)
      let rows = try #require(list.json.pointer("/data")?.arrayValue)
      #expect(rows.count == 2)
      #expect(rows[0].pointer("/hint")?.stringValue == String(token.suffix(4)))
      #expect(!list.text.contains(token))
      let id = try #require(made.json.pointer("/data/id")?.int64Value)
      let foreign = try await api.cookie(.owner)
      #expect(await send(api, .delete, "/api/tokens/\(id)", foreign).code == "token_not_found")
      #expect(await send(api, .delete, "/api/tokens/\(id)", session).status == 200)
      #expect(await use(api, token, .get, "/api/posts").status == 401)
    }
  }

  @Test(arguments: [
    (#"{"name":"x","siteIds":[999999]}"#, 422, "siteIds"), (#"{"name":"x","siteIds":[]}"#, 400, "siteIds"),
    (#"{"name":"x","expiresAt":"2020-01-31T09:00:00Z"}"#, 422, "expiresAt"),
    (#"{"name":"x","scopes":["everything"]}"#, 400, "scopes[0]"), (#"{"name":"x","role":"king"}"#, 400, "role"),
    ("{}", 400, "name"),
  ])
  func wrongLimitsAreNamed(body: String, status: Int, field: String) async throws {
    try await APIFixture.run { api in
      let answer = await send(api, .post, "/api/tokens", try await api.cookie(.editor), json: body)
      #expect(answer.status == status && answer.field == field, "\(answer.text)")
    }
  }

  @Test func aTypoIsToldApart() async throws {
    try await APIFixture.run { api in
      let token = try #require(api.tokens[.viewer])
      let cut = await use(api, String(token.dropLast()), .get, "/api/posts")
      let unknown = await use(api, "rst_" + String(repeating: "A", count: 43), .get, "/api/posts")
      #expect(cut.status == 401 && cut.text.contains("not copied whole"))
      #expect(unknown.status == 401 && !unknown.text.contains("not copied whole"))
    }
  }

  @Test func ownersTrustAnotherSystem() async throws {
    try await APIFixture.run { api in
      let secret = "a secret of at least thirty-two bytes"
      let body = #"""
        {"name":"CMS","issuer":"cms","audience":"here","secret":"\#(secret)","roles":{"chief":"author"}}
        """#
      #expect(await api.send(.post, "/api/issuers", as: .admin, json: body).status == 403)
      let made = await api.send(.post, "/api/issuers", json: body)
      #expect(made.status == 200, "\(made.text)")
      let claims =
        #"{"iss":"cms","aud":"here","sub":"7","role":"chief","name":"Ada","exp":\#(Date().timeIntervalSince1970 + 60)}"#
      let parts = [#"{"alg":"HS256"}"#, claims].map { Base64.encodeURL(Array($0.utf8)) }.joined(separator: ".")
      let code = HMACSHA256.authenticate(Array(parts.utf8), key: Secret(secret))
      let token = parts + "." + Base64.encodeURL(code)
      let me = await use(api, token, .get, "/api/session")
      #expect(me.json.pointer("/data/name")?.stringValue == "Ada", "\(me.text)")
      #expect(await use(api, token, .post, "/api/posts", json: #"{"title":"a"}"#).status == 201)
      #expect(await use(api, token, .get, "/api/posts?siteId=\(api.otherSite)").code == "site_not_found")
      #expect(await use(api, token, .get, "/api/tokens").status == 403)
      let list = await api.get("/api/issuers")
      #expect(list.json.pointer("/data/0/issuer")?.stringValue == "cms" && !list.text.contains(secret), "\(list.text)")
      let id = try #require(made.json.pointer("/data/id")?.int64Value)
      #expect(await api.send(.delete, "/api/issuers/\(id)").status == 200)
      #expect(await use(api, token, .get, "/api/session").status == 401)
    }
  }

  @Test(arguments: [
    #"{"name":"a","issuer":"a","audience":"a","defaultRole":"viewer"}"#,
    #"{"name":"a","issuer":"a","audience":"a","defaultRole":"viewer","jwksUrl":"https://a.example/k","secret":"a secret of at least thirty-two bytes"}"#,
    #"{"name":"a","issuer":"a","audience":"a","jwksUrl":"https://a.example/k"}"#,
    #"{"name":"a","issuer":"a","audience":"a","jwksUrl":"https://a.example/k","roles":{"x":"owner"}}"#,
  ])
  func wrongIssuersAreRefused(body: String) async throws {
    try await APIFixture.run { api in
      let answer = await api.send(.post, "/api/issuers", json: body)
      #expect([400, 422].contains(answer.status), "\(answer.text)")
      let stored = try await api.pool.query("SELECT FROM token_issuers")
      #expect(stored.isEmpty)
    }
  }
}
