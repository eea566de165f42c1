import HTTPServer
import Identity
import JSONDocument
import TestSupport
import Testing

@testable import AdminAPI

/// One's own tokens over HTTP.
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
}
